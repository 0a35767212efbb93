"""Tangents of one sample along many directions, in buffers that are reused."""

from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.errors import RunError
from onnxprobe.graph import differentiate, infer_types, parse_model
from onnxprobe.runtime import DirectionRunner, Session, Settings, TangentOutput
from onnxprobe.types import Program
from tests.analysis import networks


def _runner(shape: tuple[int, ...] = (1, 20)) -> tuple[DirectionRunner, np.ndarray]:
    proto = networks.linear()
    graph = parse_model(proto.SerializeToString())
    derived = differentiate(graph, infer_types(graph), ["x"], ["y", "z"], keep_outputs=False)
    program = Program(derived.proto.SerializeToString(), derived.weights)
    session = Session(program, Settings(), optimise=True)
    x = np.full((1, 12), 0.5, np.float32)
    runner = DirectionRunner(
        session,
        {"x": x, "unknown": x},
        {"x": (derived.sources["x"], (1, 12))},
        [TangentOutput("y", derived.tangents["y"], shape)],
    )
    weight = next(each for each in proto.graph.initializer if each.name == "w")
    return runner, np.frombuffer(weight.raw_data, np.float32).reshape(12, 20)


@pytest.mark.parametrize("count", [1, 7, 12])
def test_tangents_of_a_linear_map_are_its_rows(count: int) -> None:
    runner, weight = _runner()
    vectors = np.eye(12, dtype=np.float32)[:count]
    found = runner.run({"x": vectors})
    assert found["y"].shape == (count, 20)
    np.testing.assert_allclose(found["y"], weight[:count], rtol=1e-6)


def test_buffers_are_reused_and_grow() -> None:
    runner, weight = _runner()
    vectors = np.eye(12, dtype=np.float32)
    first = runner.run({"x": vectors[:5]})["y"]
    again = runner.run({"x": vectors[5:10]})["y"]
    assert np.shares_memory(first, again)
    np.testing.assert_allclose(again, weight[5:10], rtol=1e-6)
    np.testing.assert_allclose(runner.run({"x": vectors})["y"], weight, rtol=1e-6)
    np.testing.assert_allclose(runner.run({"x": vectors[:2]})["y"], weight[:2], rtol=1e-6)


def test_a_tensor_of_another_shape_is_an_error() -> None:
    runner, _ = _runner((1, 21))
    with pytest.raises(RunError, match=r"^ONNX Runtime cannot run the model: "):
        runner.run({"x": np.eye(12, dtype=np.float32)})
