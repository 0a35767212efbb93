"""Which devices really run something here."""

from __future__ import annotations

from typing import Any

from onnxprobe.errors import RunError
from onnxprobe.graph import canary_program, canary_weight
from onnxprobe.runtime import CPU, CUDA, USE_CPU, Settings, choose_provider, has_cuda_driver

__all__ = ["try_providers"]


def try_providers() -> list[dict[str, Any]]:
    """Open a session on each device that an analysis could use, and let it multiply matrices.

    Returns:
        For each, its name, whether it works, why or why not, and whether it ought to.
    """
    found = []
    for device, name, is_expected in (("cpu", CPU, True), ("cuda", CUDA, has_cuda_driver())):
        try:
            choose_provider(device, Settings(), canary_program(), canary_weight())
            works, reason = True, "a session multiplied matrices as it should"
        except RunError as error:
            asked = "--device cuda was asked for, but "
            works, reason = False, str(error).removeprefix(asked).removesuffix(f"; {USE_CPU}")
        found.append({"name": name, "works": works, "reason": reason, "expected": is_expected})
    return found
