"""Which device is chosen, why, and that what it computes is looked at first."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from onnxprobe.errors import RunError
from onnxprobe.graph import canary_program, canary_weight
from onnxprobe.runtime import CPU, CUDA, Provider, Settings, choose_provider, integers_saturate
from onnxprobe.types import Array, Floats, Program
from tests.graph.messages import exactly
from tests.graph.models import model, node, value

Patch = pytest.MonkeyPatch

# Settings whose every field differs from the default.
SETTINGS = Settings(provider="Nobody", threads=2, seed=7, memory_bytes=2**29)
MISSING = b"libcublasLt.so.13: cannot open shared object file: No such file or directory\n"

SINGLE_BITS, TENSOR_FLOAT_BITS = 23, 10


def _choose(device: str, weight: Floats | None = None) -> tuple[Provider, Settings]:
    weight = canary_weight() if weight is None else weight
    return choose_provider(device, SETTINGS, canary_program(), weight)


def _claim(monkeypatch: Patch, *providers: str) -> None:
    """Let the runtime say what it was compiled with, and find no library."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: list(providers))
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)


def _without_libraries(monkeypatch: Patch) -> None:
    """Make sessions as a machine without CUDA does: a line in the log, and the CPU instead."""
    plain = onnxruntime.InferenceSession

    def made(*arguments: Any, providers: list[Any], **options: Any) -> Any:
        if providers != [CPU]:
            os.write(2, MISSING)
        return plain(*arguments, providers=[CPU], **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", made)


class _Device:
    """A session that says it is on CUDA, and multiplies what it is given with fewer bits."""

    def __init__(self, session: Any, bits: int) -> None:
        self._session = session
        self._bits = bits

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return {CUDA: {"use_tf32": "0", "device_id": "0"}, CPU: {}}

    def run(self, names: Any, feeds: dict[str, Array], options: Any) -> Any:
        cut = {name: _cut(array, self._bits) for name, array in feeds.items()}
        return self._session.run(names, cut, options)


def _cut(array: Array, bits: int) -> Array:
    """Keep the first bits of what stands behind the point of a float32."""
    mask = np.uint32(2**32 - 2 ** (SINGLE_BITS - bits))
    return (array.astype(np.float32).view(np.uint32) & mask).view(np.float32)


def _with_device(monkeypatch: Patch, bits: int) -> None:
    plain = onnxruntime.InferenceSession

    def made(*arguments: Any, providers: list[Any], **options: Any) -> Any:
        session = plain(*arguments, providers=[CPU], **options)
        return session if providers == [CPU] else _Device(session, bits)

    monkeypatch.setattr(onnxruntime, "InferenceSession", made)


def test_the_cpu_is_chosen_without_a_look_at_cuda(monkeypatch: Patch) -> None:
    def refuse() -> None:
        raise AssertionError("CUDA was looked for")

    monkeypatch.setattr(onnxruntime, "preload_dlls", refuse)
    monkeypatch.setattr(onnxruntime, "get_available_providers", refuse)
    provider, settings = _choose("cpu")
    assert provider == Provider(CPU, "chosen by --device cpu", {})
    assert settings == replace(SETTINGS, provider=CPU)


def test_auto_takes_the_cpu_where_no_cuda_session_can_be_made(monkeypatch: Patch) -> None:
    """What was compiled in is not trusted; the reason is that of the session."""
    _claim(monkeypatch, CUDA, CPU)
    _without_libraries(monkeypatch)
    provider, settings = _choose("auto")
    assert provider == Provider(CPU, "the CUDA libraries are missing (libcublasLt.so.13)", {})
    assert settings == replace(SETTINGS, provider=CPU)


def test_cuda_that_cannot_be_had_is_an_error(monkeypatch: Patch) -> None:
    """It says why, and what to do; nobody is given the CPU unasked."""
    _claim(monkeypatch, CUDA, CPU)
    _without_libraries(monkeypatch)
    message = (
        "--device cuda was asked for, but the CUDA libraries are missing (libcublasLt.so.13); "
        "use --device cpu"
    )
    with pytest.raises(RunError, match=exactly(message)):
        _choose("cuda")


def test_a_runtime_without_cuda_is_told(monkeypatch: Patch) -> None:
    """No session is tried."""
    _claim(monkeypatch, CPU)
    _with_device(monkeypatch, SINGLE_BITS)
    reason = "this ONNX Runtime is built without CUDA"
    assert _choose("auto")[0] == Provider(CPU, reason, {})
    message = f"--device cuda was asked for, but {reason}; use --device cpu"
    with pytest.raises(RunError, match=exactly(message)):
        _choose("cuda")


def test_a_session_that_is_refused_gives_the_reason(monkeypatch: Patch) -> None:
    """In the runtime's words alone."""
    _claim(monkeypatch, CUDA, CPU)
    plain = onnxruntime.InferenceSession

    def made(*arguments: Any, providers: list[Any], **options: Any) -> Any:
        if providers != [CPU]:
            raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected")
        return plain(*arguments, providers=providers, **options)

    monkeypatch.setattr(onnxruntime, "InferenceSession", made)
    reason = "CUDA failure 100: no CUDA-capable device is detected"
    assert _choose("auto")[0] == Provider(CPU, reason, {})
    message = f"--device cuda was asked for, but {reason}; use --device cpu"
    with pytest.raises(RunError, match=exactly(message)):
        _choose("cuda")


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_cuda_is_chosen_where_a_session_computes_with_it(device: str, monkeypatch: Patch) -> None:
    """With the options that the session reports, not those that were asked for."""
    _claim(monkeypatch, CUDA, CPU)
    _with_device(monkeypatch, SINGLE_BITS)
    provider, settings = _choose(device)
    options = {"use_tf32": "0", "device_id": "0"}
    assert provider == Provider(CUDA, "a CUDA session could be made", options)
    assert settings == replace(SETTINGS, provider=CUDA)


TENSOR_FLOAT = (
    r"CUDAExecutionProvider multiplies matrices with a relative error of [2-9]\.\de-04, which "
    r"float32 does not explain \(TensorFloat-32 would\), so derivatives through it are noise"
)


def test_cuda_that_rounds_to_tensorfloat_is_not_chosen(monkeypatch: Patch) -> None:
    """Whatever options the session reports."""
    _claim(monkeypatch, CUDA, CPU)
    _with_device(monkeypatch, TENSOR_FLOAT_BITS)
    provider, settings = _choose("auto")
    assert provider.name == settings.provider == CPU
    assert not provider.options
    with pytest.raises(RunError, match=f"^{TENSOR_FLOAT}$"):
        raise RunError(provider.reason)
    with pytest.raises(
        RunError, match=f"^--device cuda was asked for, but {TENSOR_FLOAT}; use --device cpu$"
    ):
        _choose("cuda")


@pytest.mark.parametrize(("bits", "name"), [(14, CPU), (18, CUDA)])
def test_few_bits_are_noticed(bits: int, name: str, monkeypatch: Patch) -> None:
    """Between TensorFloat-32 and float32: 2⁻¹⁴ is 6e-5, 2⁻¹⁸ is 4e-6."""
    _claim(monkeypatch, CUDA, CPU)
    _with_device(monkeypatch, bits)
    assert _choose("auto")[0].name == name


def test_a_product_that_is_wrong_is_an_error() -> None:
    """By 0.1 %, as TensorFloat-32 would be, on the device that was asked for."""
    message = (
        "CPUExecutionProvider multiplies matrices with a relative error of 1.0e-03, which float32 "
        "does not explain (TensorFloat-32 would), so derivatives through it are noise; "
        "install another build of ONNX Runtime"
    )
    with pytest.raises(RunError, match=exactly(message)):
        _choose("cpu", canary_weight() * (1 + 1e-3))


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_that_is_perturbed_is_noticed(seed: int) -> None:
    """At random by 0.1 % of each entry, and where only one entry in sixteen is."""
    rng = np.random.default_rng(seed)
    weight = canary_weight()
    noise = 1e-3 * rng.normal(size=weight.shape) * weight
    sparse = noise * (rng.random(weight.shape) < 1 / 16)
    for change in (noise, sparse):
        with pytest.raises(RunError, match=r"^CPUExecutionProvider multiplies matrices with a "):
            _choose("cpu", weight + change)


def test_a_product_that_is_no_number_is_refused() -> None:
    weight = canary_weight()
    weight[0, 0] = np.nan
    with pytest.raises(RunError, match=r"install another build of ONNX Runtime$"):
        _choose("cpu", weight)


@pytest.mark.parametrize(("share", "is_accepted"), [(0.9, True), (1.1, False)])
def test_the_canary_may_err_by_one_in_a_hundred_thousand(share: float, is_accepted: bool) -> None:
    """100 times what float32 leaves, a fiftieth of what TensorFloat-32 does."""
    weight = canary_weight() * (1 + share * 1e-5)
    if is_accepted:
        assert _choose("cpu", weight)[0].name == CPU
    else:
        with pytest.raises(RunError, match=r"a relative error of 1\.1e-05, "):
            _choose("cpu", weight)


def test_a_canary_that_fails_on_the_cpu_too_is_an_error(monkeypatch: Patch) -> None:
    """There is nothing left to choose."""
    _claim(monkeypatch, CUDA, CPU)
    _without_libraries(monkeypatch)
    with pytest.raises(RunError, match=r"^CPUExecutionProvider multiplies matrices with a "):
        _choose("auto", canary_weight().T)


def test_libraries_are_looked_for_before_a_session_is_made(
    monkeypatch: Patch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nothing of what that prints is printed."""
    _claim(monkeypatch, CUDA, CPU)
    _with_device(monkeypatch, SINGLE_BITS)
    events = []
    plain = onnxruntime.InferenceSession

    def preload() -> None:
        os.write(1, b"Failed to load libcudnn.so.9\n")
        os.write(2, b"Please follow https://onnxruntime.ai to install CUDA\n")
        events.append("preloaded")

    def made(*arguments: Any, **options: Any) -> Any:
        events.append(options["providers"][0][0])
        return plain(*arguments, **options)

    monkeypatch.setattr(onnxruntime, "preload_dlls", preload)
    monkeypatch.setattr(onnxruntime, "InferenceSession", made)
    _choose("auto")
    assert events == ["preloaded", CUDA]
    assert capfd.readouterr() == ("", "")


def test_this_machine_answers_auto_and_cuda_alike() -> None:
    """No stand-ins: CUDA for both, or the CPU for the reason that the error gives."""
    provider, settings = _choose("auto")
    assert settings.provider == provider.name
    if provider.name == CUDA:
        assert _choose("cuda") == (provider, settings)
    else:
        message = f"--device cuda was asked for, but {provider.reason}; use --device cpu"
        with pytest.raises(RunError, match=exactly(message)):
            _choose("cuda")


def test_the_canary_is_the_product_that_it_is_compared_with() -> None:
    """Its weight needs every bit of a float32: TensorFloat-32 would change nearly all entries."""
    weight = canary_weight()
    assert np.array_equal(weight, weight.astype(np.float32))
    assert np.mean(_cut(weight, TENSOR_FLOAT_BITS) != weight) > 0.99
    assert not np.allclose(weight, weight.T)


@pytest.mark.parametrize(("exact", "saturates"), [(64, False), (65, True)])
def test_sums_of_integers_are_compared_with_the_exact_one(exact: int, saturates: bool) -> None:
    """64 products of 1 and 1, which every processor adds."""
    proto = model(
        [node("MatMulInteger", "x w", "y")],
        [value("x", [1, 64], "uint8"), value("w", [64, 1], "int8")],
        [value("y", [1, 1], "int32")],
    )
    feeds: dict[str, Array] = {"x": np.ones((1, 64), np.uint8), "w": np.ones((64, 1), np.int8)}
    program = Program(proto.SerializeToString(), {})
    assert integers_saturate(program, feeds, exact, Settings()) == saturates
