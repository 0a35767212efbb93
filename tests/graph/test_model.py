"""What can be read off a graph without running it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxprobe.graph import Graph
from onnxprobe.graph.model import tensor_type
from onnxprobe.types import Array, TensorType
from tests.graph.models import branching, looping, model, node, opened, perceptron, stored, value


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (value("t", [2, "n", None]), TensorType("t", "float32", (2, "n", None))),
        (value("t", None), TensorType("t", "float32", None)),
        (value("t", []), TensorType("t", "float32", ())),
        (value("t", [-1, 0], "int4"), TensorType("t", "int4", (None, 0))),
        (value("t", [1], "string"), TensorType("t", "string", (1,))),
        (helper.make_empty_tensor_value_info("t"), TensorType("t", None, None)),
        (
            helper.make_tensor_sequence_value_info("t", 1, None),
            TensorType("t", None, None, "sequence"),
        ),
        (
            helper.make_sparse_tensor_value_info("t", 1, [2]),
            TensorType("t", None, None, "sparse tensor"),
        ),
        (
            helper.make_value_info(
                "t", helper.make_map_type_proto(7, helper.make_tensor_type_proto(1, None))
            ),
            TensorType("t", None, None, "map"),
        ),
        (
            helper.make_value_info(
                "t", helper.make_optional_type_proto(helper.make_tensor_type_proto(1, None))
            ),
            TensorType("t", None, None, "optional"),
        ),
    ],
)
def test_declared_types_are_read(declared: object, expected: TensorType) -> None:
    assert tensor_type(declared) == expected  # type: ignore[arg-type]


def _constant(attributes: dict[str, object]) -> Graph:
    made = node("Constant", "", "c")
    made.attribute.extend(helper.make_attribute(key, each) for key, each in attributes.items())
    return opened(model([made], [], [value("c", None)]))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"value": stored("c", np.array([1.5, 2.5]))}, np.array([1.5, 2.5])),
        ({"value_float": 0.5}, np.float32(0.5)),
        ({"value_floats": [0.5, 2.0]}, np.array([0.5, 2.0], np.float32)),
        ({"value_int": 7}, np.int64(7)),
        ({"value_ints": [7, 8]}, np.array([7, 8])),
    ],
)
def test_constants_are_read_in_every_spelling(
    attributes: dict[str, object], expected: Array
) -> None:
    graph = _constant(attributes)
    found = graph.constant("c")
    assert found is not None
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)
    kind = graph.stored_type("c")
    assert kind == TensorType("c", str(expected.dtype), expected.shape)


@pytest.mark.parametrize(
    "attributes",
    [
        {"value_string": "a"},
        {"value_strings": ["a"]},
        {"sparse_value": helper.make_sparse_tensor(stored("v", [1.0]), stored("i", [0]), [3])},
    ],
)
def test_constants_that_are_no_arrays_are_not_read(attributes: dict[str, object]) -> None:
    assert _constant(attributes).constant("c") is None


def test_a_constant_of_another_domain_is_none() -> None:
    """Nobody knows what it does."""
    nodes = [node("Constant", "", "c", domain="nobody", value=stored("c", [1.0]))]
    proto = model(nodes, [], [value("c", None)], domains={"nobody": 1})
    assert opened(proto).constant("c") is None


def test_initializers_are_read_wherever_they_lie() -> None:
    """In the protobuf or lifted."""
    graph = opened(perceptron())
    assert "w1" in graph.weights
    assert "b1" not in graph.weights
    for name, shape in (("w1", (8, 64)), ("b1", (64,))):
        stored_value = graph.constant(name)
        assert stored_value is not None
        assert stored_value.shape == shape
        assert graph.stored_type(name) == TensorType(name, "float32", shape)


@pytest.mark.parametrize("name", ["x", "h", "y", "nothing"])
def test_what_is_fed_or_computed_is_not_stored(name: str) -> None:
    graph = opened(perceptron())
    assert graph.constant(name) is None
    assert graph.stored_type(name) is None


@pytest.mark.parametrize("count", [3, 3000])
def test_types_numpy_lacks_are_known_but_not_read(count: int) -> None:
    """In the protobuf, or lifted."""
    tensor = helper.make_tensor("w", TensorProto.BFLOAT16, [count], [1.0] * count)
    proto = model([node("Identity", "w", "y")], [], [value("y", None, "bfloat16")], [tensor])
    graph = opened(proto)
    assert ("w" in graph.weights) == (count > 3)
    assert graph.constant("w") is None
    assert graph.stored_type("w") == TensorType("w", "bfloat16", (count,))


def test_outputs_come_once_and_in_order() -> None:
    """ONNX lets them stand twice."""
    proto = perceptron()
    proto.graph.output.extend([value("h", None), proto.graph.output[0]])
    assert opened(proto).outputs == ("y", "h")


def test_names_are_those_of_all_values() -> None:
    """Of bodies, too: a fresh name must collide with none."""
    names = opened(branching()).names
    assert names == {"x", "c", "w", "h", "y", "z", "up", "down", "one"}
    assert {"state", "go", "i", "next", "kept"} <= opened(looping()).names


def test_opsets_are_told_by_domain() -> None:
    proto = model([], [], [value("w", None)], [stored("w", [1.0])], domains={"com.microsoft": 1})
    assert opened(proto).opsets == {"ai.onnx": 17, "com.microsoft": 1}
