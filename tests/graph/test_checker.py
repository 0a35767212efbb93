"""The checker must fail where a rewrite is wrong, or it proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from onnx import ModelProto, helper

from onnxprobe.graph import Graph, expose_tensors
from onnxprobe.types import Array, Program, TensorType
from tests.graph.checker import check_close, check_exposure, is_bit_equal
from tests.graph.models import branching, looping, perceptron, weight

Types = Mapping[str, TensorType]


def _altered(change: Callable[[ModelProto], None]) -> Callable[..., Program]:
    def rewrite(graph: Graph, names: Sequence[str], *, types: Types) -> Program:
        program = expose_tensors(graph, names, types=types)
        proto = ModelProto.FromString(program.proto)
        change(proto)
        return Program(proto.SerializeToString(), program.weights)

    return rewrite


def _renamed(proto: ModelProto, name: str) -> None:
    for node in proto.graph.node:
        for position, read in enumerate(node.input):
            if read == name:
                node.input[position] = f"{name}@wrong"


def _scale_relu(proto: ModelProto) -> None:
    """Multiply what follows the Relu by 1.0001."""
    _renamed(proto, "r")
    factor = helper.make_node("Constant", [], ["factor"], value_float=1.0001)
    scaled = helper.make_node("Mul", ["r", "factor"], ["r@wrong"])
    proto.graph.node.extend([factor, scaled])


def _nudge_output(proto: ModelProto) -> None:
    """Move the output alone, by one unit in the last place."""
    proto.graph.node[-1].output[0] = "y@right"
    factor = helper.make_node("Constant", [], ["factor"], value_float=float(np.float32(1 + 2e-7)))
    proto.graph.node.extend([factor, helper.make_node("Mul", ["y@right", "factor"], ["y"])])


def _drop_relu(proto: ModelProto) -> None:
    proto.graph.node[2].op_type = "Identity"


def _change_given(graph: Graph, names: Sequence[str], *, types: Types) -> Program:
    program = expose_tensors(graph, names, types=types)
    graph.proto.graph.node[0].doc_string = "touched"
    return program


@pytest.mark.parametrize(
    ("rewrite", "complaint"),
    [
        (_altered(_drop_relu), "'r' is off by"),
        (_altered(_scale_relu), "'y' is off by"),
        (_altered(_nudge_output), "output 'y' is not bit-equal"),
        (_change_given, "the graph was changed"),
    ],
)
def test_a_wrong_rewrite_is_caught(rewrite: Callable[..., Program], complaint: str) -> None:
    """Off by 0.01 %, by one unit in the last place, or by a touched original."""
    with pytest.raises(AssertionError, match=complaint):
        check_exposure(perceptron(), {"x": weight(3, 8)}, rewrite)


@pytest.mark.parametrize(
    ("proto", "feeds"),
    [
        (perceptron(), {"x": weight(3, 8)}),
        (branching(), {"x": weight(2, 4), "c": np.array(True)}),
        (looping(), {"x": weight(20)}),
    ],
)
def test_a_right_rewrite_passes(proto: ModelProto, feeds: dict[str, Array]) -> None:
    """Without complaint, and every tensor of the main graph is compared."""
    assert check_exposure(proto, feeds) == [
        name for node in proto.graph.node for name in node.output
    ]


def test_closeness_is_measured_against_the_largest_element() -> None:
    """A float32 may be off by 1e-5 of it, an integer by nothing."""
    truth = np.array([0.0, 100.0], np.float32)
    check_close("t", truth, truth + np.float32(5e-4))
    with pytest.raises(AssertionError, match=r"'t' is off by 0\.002"):
        check_close("t", truth, truth + np.float32(2e-3))
    infinite = np.array([np.inf, 1.0], np.float32)
    check_close("t", infinite, infinite)
    for first, second in ((np.array([1]), np.array([2])), (infinite, -infinite)):
        with pytest.raises(AssertionError, match="'t' differs"):
            check_close("t", first, second)
    with pytest.raises(AssertionError, match=r"'t' has shape \(2, 1\), not \(2,\)"):
        check_close("t", truth, truth[:, None])


@pytest.mark.parametrize(
    ("first", "second", "equal"),
    [
        (np.array([np.nan]), np.array([np.nan]), True),
        (np.array([0.0]), np.array([-0.0]), False),
        (np.array([1.0]), np.array([1.0], np.float32), False),
        (np.array([1.0]), np.array([[1.0]]), False),
        ([np.array([1.0])], [np.array([1.0])], True),
        ([np.array([1.0])], [], False),
        (np.array(["a"], object), np.array(["a"], object), True),
        (None, None, True),
        ({"a": 1.0}, {"a": 1.0}, True),
        ({"a": 1.0}, {"a": 2.0}, False),
    ],
)
def test_bits_are_compared(first: object, second: object, equal: bool) -> None:
    assert is_bit_equal(first, second) is equal
