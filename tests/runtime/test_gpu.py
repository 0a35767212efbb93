"""On a CUDA device: the session is there, has all bits of float32, and measures what the CPU does.

Elsewhere each test is skipped with the reason that a user would be given.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import onnxprobe
from onnxprobe import Report
from onnxprobe.errors import RunError
from onnxprobe.graph import canary_program, canary_weight, expose_tensors, load_model
from onnxprobe.record import TensorRecord
from onnxprobe.runtime import (
    CUDA,
    Provider,
    RowLayout,
    RowRunner,
    Session,
    Settings,
    choose_provider,
)
from onnxprobe.types import Array
from tests.shared import ROOT

pytestmark = pytest.mark.gpu

MODEL = ROOT / "models" / "digits_cnn_torch.onnx"
DATA = ROOT / "models" / "digits.npz"

# Kernels of CPU and CUDA add up in different orders; TensorFloat-32 would leave about 5e-4.
DIFFERENCE = 1e-4


@pytest.fixture(scope="module")
def chosen() -> tuple[Provider, Settings]:
    """CUDA and the settings that use it."""
    try:
        return choose_provider("cuda", Settings(), canary_program(), canary_weight())
    except RunError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def settings(chosen: tuple[Provider, Settings]) -> Settings:
    return chosen[1]


@cache
def _images(count: int) -> Array:
    with np.load(DATA) as archive:
        images: Array = archive["images"][:count]
    return images.reshape(count, 1, 8, 8).astype(np.float32) / np.float32(255)


def _activations(settings: Settings) -> dict[str, Array]:
    """Every tensor of the network for 32 images."""
    graph = load_model(MODEL)
    names = [name for node in graph.proto.graph.node for name in node.output]
    session = Session(expose_tensors(graph, names), settings, optimise=False)
    (kind,) = session.input_types
    return dict(zip(names, session.run({kind.name: _images(32)}), strict=True))


@cache
def _analysed(device: str, run: int = 0) -> Report:
    """Analyse the network at one image; another run is analysed anew."""
    assert device in {"cpu", "cuda"}
    return onnxprobe.analyze(
        MODEL,
        DATA,
        samples=1,
        data_limit=100,
        device="cuda" if device == "cuda" else "cpu",
        threads=2,
    )


def _tensors(report: Report) -> dict[str, TensorRecord]:
    return {tensor.name: tensor for tensor in report.tensors}


def test_the_session_is_on_cuda(chosen: tuple[Provider, Settings]) -> None:
    """Asked of a session that is made with the settings, and TensorFloat-32 is off in it."""
    provider, settings = chosen
    assert provider.name == settings.provider == CUDA
    assert provider.reason == "a CUDA session could be made"
    session = Session(canary_program(), settings, optimise=False)
    in_force = session.provider_options
    assert session.providers[0] == CUDA
    assert in_force[CUDA] == provider.options
    assert in_force[CUDA]["use_tf32"] == "0"
    assert in_force[CUDA]["gpu_mem_limit"] == str(settings.memory_bytes)


def test_products_have_every_bit_of_float32(settings: Settings) -> None:
    """Of matrices that need them."""
    x = canary_weight().T.astype(np.float32)
    (y,) = Session(canary_program(), settings, optimise=False).run({"x": x})
    truth = x.astype(np.float64) @ canary_weight()
    assert np.linalg.norm(y - truth) < 1e-5 * np.linalg.norm(truth)


def test_activations_are_those_of_the_cpu(settings: Settings) -> None:
    """Each tensor of a convolutional network, in the norm of the whole."""
    found, expected = _activations(settings), _activations(Settings())
    assert list(found) == list(expected)
    assert len(expected) >= 10
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
        difference = np.linalg.norm(found[name] - array)
        assert difference <= DIFFERENCE * np.linalg.norm(array), name


def test_a_run_is_repeated_bit_for_bit(settings: Settings) -> None:
    """In a session of its own each."""
    first, again = _activations(settings), _activations(settings)
    for name, array in first.items():
        assert np.array_equal(array, again[name]), name


def test_rows_in_bound_buffers_are_those_of_the_session(settings: Settings) -> None:
    """Buffers lie in the memory of the CPU, and are filled before they are read."""
    graph = load_model(MODEL)
    name = graph.proto.graph.output[0].name
    session = Session(expose_tensors(graph, [name]), settings, optimise=False)
    (kind,) = session.input_types
    images = _images(32)
    (expected,) = session.run({kind.name: images})
    layouts = {kind.name: RowLayout((1, 1, 8, 8), 0)}, {name: RowLayout((1, 10), 0)}
    for batched in (True, False):
        runner = RowRunner(session, *layouts, batched=batched)
        for count in (32, 5, 32):
            found = runner.run({kind.name: images[:count, None]})[name]
            difference = np.linalg.norm(found - expected[:count])
            assert difference <= DIFFERENCE * np.linalg.norm(expected[:count])


def test_an_analysis_finds_the_ranks_of_the_cpu(settings: Settings) -> None:
    """Within 1: a singular value may stand at the tolerance."""
    report = _analysed("cuda")
    assert report.execution is not None
    assert report.execution.provider == settings.provider == CUDA
    found, expected = _tensors(report), _tensors(_analysed("cpu"))
    assert list(found) == list(expected)
    assert report.coverage.failed == []
    ranked = 0
    for name, tensor in expected.items():
        assert found[name].status == tensor.status, name
        if tensor.jacobian is None or tensor.jacobian.rank is None:
            continue
        jacobian = found[name].jacobian
        assert jacobian is not None, name
        assert jacobian.rank is not None, name
        assert abs(jacobian.rank.median - tensor.jacobian.rank.median) <= 1, name
        ranked += 1
    assert ranked >= 5


@pytest.mark.usefixtures("settings")
def test_an_analysis_is_repeated_bit_for_bit() -> None:
    """Every figure of every tensor."""
    first, again = _analysed("cuda"), _analysed("cuda", run=1)
    assert first is not again
    assert [each.model_dump() for each in first.tensors] == [
        each.model_dump() for each in again.tensors
    ]
