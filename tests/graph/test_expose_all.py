"""Every tensor of the main graph as an output of the whole model."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, checker, helper

from onnxprobe.graph import Graph, catalogue, expose_all, infer_types, load_model
from onnxprobe.types import Array, Program, TensorType
from tests.graph.checker import is_bit_equal
from tests.graph.models import (
    MODELS,
    branching,
    looping,
    model,
    node,
    opened,
    perceptron,
    run,
    run_file,
    stored,
    value,
    weight,
)


def _exposed(graph: Graph) -> ModelProto:
    return expose_all(graph, infer_types(graph))


def _names(proto: ModelProto) -> list[str]:
    return [each.name for each in proto.graph.output]


def test_outputs_keep_their_place() -> None:
    """Then every other tensor follows in the order of the nodes."""
    proto = perceptron()
    proto.graph.output.insert(0, value("r", ["n", 64]))
    assert _names(_exposed(opened(proto))) == ["r", "y", "h", "hb"]


def test_outputs_have_their_types_and_shapes() -> None:
    proto = _exposed(opened(perceptron()))
    assert proto.graph.output[2] == value("hb", ["n", 64])
    assert proto.graph.output[0] == perceptron().graph.output[0]


def test_a_type_that_is_not_known_is_not_made_up() -> None:
    """The runtime finds it out."""
    graph = opened(perceptron())
    proto = expose_all(graph, {})
    assert proto.graph.output[1] == helper.make_empty_tensor_value_info("h")
    assert len(run(Program(proto.SerializeToString(), graph.weights), {"x": weight(2, 8)})) == 4


def test_a_tensor_is_described_once() -> None:
    """An output needs no entry among the inner values."""
    proto = perceptron()
    proto.graph.value_info.extend([value("r", ["n", 64]), value("nothing", [1])])
    found = _exposed(opened(proto))
    assert [each.name for each in found.graph.value_info] == ["nothing"]


def test_what_is_no_tensor_of_numbers_is_left_out() -> None:
    """Sequences, optional values, strings; but outputs of the model stay."""
    proto = model(
        [
            node("SequenceConstruct", "x x", "q"),
            node("Optional", "x", "o"),
            node("Identity", "s", "t"),
            node("Identity", "s", "u"),
            node("OptionalGetElement", "o", "e"),
            node("Neg", "e", "y"),
        ],
        [value("x", [2]), value("s", [2], "string")],
        [value("u", [2], "string"), value("y", [2])],
    )
    graph = opened(proto)
    assert _names(_exposed(graph)) == ["u", "y", "e"]
    listed = {info.name: info.skip for info in catalogue(graph, infer_types(graph))}
    assert [name for name, skip in listed.items() if skip] == ["q", "o", "t", "u"]


def test_types_that_numpy_lacks_are_written_as_they_are() -> None:
    """The file is for any reader; nothing is cast."""
    proto = model(
        [node("Cast", "x", "b", to=TensorProto.BFLOAT16), node("Cast", "b", "y", to=1)],
        [value("x", [2])],
        [value("y", [2])],
    )
    found = _exposed(opened(proto))
    assert found.graph.output[1] == value("b", [2], "bfloat16")
    assert len(found.graph.node) == 2


def test_omitted_outputs_stay_omitted() -> None:
    proto = model([node("Dropout", "x", "y _")], [value("x", [2])], [value("y", [2])])
    assert _names(_exposed(opened(proto))) == ["y"]


def test_an_output_that_stands_twice_stays() -> None:
    """ONNX lets it; positions mean something to callers."""
    proto = perceptron()
    proto.graph.output.append(proto.graph.output[0])
    assert _names(_exposed(opened(proto))) == ["y", "y", "h", "hb", "r"]


@pytest.mark.parametrize(
    ("proto", "feeds"),
    [
        (perceptron(), {"x": weight(3, 8)}),
        (branching(), {"x": weight(3, 4), "c": np.array(True)}),
        (looping(), {"x": weight(20)}),
    ],
)
def test_nothing_else_changes(proto: ModelProto, feeds: dict[str, Array]) -> None:
    """Nodes, inputs and weights are those of the graph, the outputs' bits those of the model."""
    graph = opened(proto)
    before = graph.proto.SerializeToString(deterministic=True)
    found = _exposed(graph)
    assert graph.proto.SerializeToString(deterministic=True) == before
    assert found.graph.node == graph.proto.graph.node
    assert found.graph.input == graph.proto.graph.input
    values = run(Program(found.SerializeToString(), graph.weights), feeds)
    expected = run_file(proto.SerializeToString(), feeds)
    for original, name in zip(expected, graph.outputs, strict=True):
        assert is_bit_equal(original, values[name])


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_here_stays_valid(path: object) -> None:
    """For onnx's own checker, which asks for shapes that nobody knows before running the model."""
    graph = load_model(path)  # type: ignore[arg-type]
    types = infer_types(graph)
    proto = expose_all(graph, types)
    exposed = set(_names(proto))
    assert exposed == {info.name for info in catalogue(graph, types) if info.skip is None}
    shaped = [each for each in proto.graph.output if each.type.tensor_type.HasField("shape")]
    assert len(shaped) >= len(proto.graph.output) - 1
    del proto.graph.output[:]
    proto.graph.output.extend(shaped)
    for tensor in proto.graph.initializer:
        if tensor.name in graph.weights:
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            tensor.raw_data = graph.weights[tensor.name].tobytes()
    checker.check_model(proto)


def test_an_unused_initializer_stays() -> None:
    """The audited model is never simplified."""
    proto = perceptron()
    proto.graph.initializer.append(stored("unused", weight(3)))
    found = _exposed(opened(proto))
    assert [each.name for each in found.graph.initializer][-1] == "unused"


def test_known_types_are_written() -> None:
    graph = opened(perceptron())
    types = {"h": TensorType("h", "float32", (None, 64)), "r": TensorType("r", "float32", None)}
    outputs = {each.name: each for each in expose_all(graph, types).graph.output}
    assert outputs["h"] == value("h", [None, 64])
    assert outputs["r"] == value("r", None)
