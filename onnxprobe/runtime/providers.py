"""Which device really runs a model: asked of a session, not of a list of what was compiled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from onnxprobe.errors import RunError
from onnxprobe.runtime.chatter import capture_chatter
from onnxprobe.runtime.library import onnxruntime
from onnxprobe.runtime.session import CPU, CUDA, REFUSAL, USE_CPU, Session, Settings
from onnxprobe.types import Array, Floats, Program

__all__ = ["Provider", "choose_provider", "has_cuda_driver", "integers_saturate"]

# TensorFloat-32 would leave about 5e-4; float32 leaves about 1e-7.
MAX_CANARY_ERROR = 1e-5


@dataclass(frozen=True)
class Provider:
    """The execution provider that an analysis uses.

    Attributes:
        name: Such as ``"CPUExecutionProvider"``.
        reason: Why this one.
        options: The options in force, as the session reports them.
    """

    name: str
    reason: str
    options: dict[str, str]


def choose_provider(
    device: str, settings: Settings, canary: Program, weight: Floats
) -> tuple[Provider, Settings]:
    """Choose between CUDA and CPU by running a small model.

    Args:
        device: ``"auto"``, ``"cuda"`` or ``"cpu"``.
        settings: Settings whose provider is to be decided.
        canary: A model computing ``x W``.
        weight: W, shape (n, n).

    Returns:
        What was chosen, and the settings that use it.

    Raises:
        RunError: If CUDA was asked for and cannot be had, or computes with fewer bits than float32.
    """
    on_cpu = replace(settings, provider=CPU)
    if device == "cpu":
        return _checked("chosen by --device cpu", on_cpu, canary, weight)
    reason = "this ONNX Runtime is built without CUDA"
    if CUDA in onnxruntime.get_available_providers():
        with capture_chatter():
            # Finds the CUDA libraries that Python packages carry.
            onnxruntime.preload_dlls()
        on_cuda = replace(settings, provider=CUDA)
        try:
            return _checked("a CUDA session could be made", on_cuda, canary, weight)
        except RunError as error:
            reason = str(error).removeprefix(REFUSAL).removesuffix(f"; {USE_CPU}")
    if device == "cuda":
        raise RunError(f"--device cuda was asked for, but {reason}; {USE_CPU}")
    return _checked(reason, on_cpu, canary, weight)


def has_cuda_driver() -> bool:
    """Tell whether the machine has a driver for CUDA devices.

    Returns:
        False where CUDA cannot work whatever is installed.
    """
    return Path("/dev/nvidiactl").exists() or Path("/dev/dxg").exists()


def integers_saturate(
    canary: Program, feeds: Mapping[str, Array], exact: int, settings: Settings
) -> bool:
    """Tell whether this processor loses sums of integer products, as x86 without VNNI does.

    Args:
        canary: A model whose only output is one sum of products of 8-bit integers.
        feeds: Its inputs.
        exact: The exact sum.
        settings: Settings of the analysis.

    Returns:
        True if ONNX Runtime, with optimisation off, gives another number.
    """
    (sums,) = Session(canary, settings, optimise=False).run(feeds)
    return bool((sums != exact).any())


def _checked(
    reason: str, settings: Settings, canary: Program, weight: Floats
) -> tuple[Provider, Settings]:
    session = Session(canary, settings, optimise=False)
    x = weight.T.astype(np.float32)
    (y,) = session.run({"x": x})
    truth = x.astype(np.float64) @ weight
    error = float(np.linalg.norm(y - truth) / np.linalg.norm(truth))
    # A product that is not a number is further off than any other.
    if not error <= MAX_CANARY_ERROR:
        raise RunError(
            f"{settings.provider} multiplies matrices with a relative error of {error:.1e}, which "
            "float32 does not explain (TensorFloat-32 would), so derivatives through it are noise; "
            f"{USE_CPU if settings.provider != CPU else 'install another build of ONNX Runtime'}"
        )
    options = session.provider_options.get(settings.provider, {})
    return Provider(settings.provider, reason, options), settings
