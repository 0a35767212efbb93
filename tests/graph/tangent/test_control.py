"""Derivatives through If and Loop: which branch counts, what is carried, what nesting costs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from onnx import GraphProto, ModelProto, helper

from onnxprobe.graph import differentiate, infer_types
from onnxprobe.graph.tangent import Differentiated
from onnxprobe.types import Array
from tests.graph.models import body, model, node, opened, stored, value
from tests.graph.tangent.checker import check_tangents

X = np.random.default_rng(0).uniform(0.5, 1.5, (1, 3)).astype(np.float32)


def _derive(proto: ModelProto, **options: Any) -> Differentiated:
    graph = opened(proto)
    types = infer_types(graph, follow_shapes=True)
    return differentiate(graph, types, ["x"], ["y"], **options)


def _squeeze_or_not(condition: str) -> list[Any]:
    """What PyTorch exports for ``x.squeeze(0)`` where the size of that axis may not be 1."""
    return [
        node("Shape", "x", "shape"),
        node("Gather", "shape axis", "size", axis=0),
        node("Equal", "size one", "alone"),
        node(
            "If",
            condition,
            "z",
            then_branch=body([node("Squeeze", "x", "a")], [value("a", None)]),
            else_branch=body([node("Identity", "x", "b")], [value("b", None)]),
        ),
    ]


STORED = [
    stored("axis", np.array(0)),
    stored("one", np.array(1)),
    stored("weight", np.arange(12, dtype=np.float32).reshape(3, 4) / 7),
]


def _ambiguous(rows: int | str, condition: str = "alone") -> ModelProto:
    tail = [node("MatMul", "z weight", "m"), node("Tanh", "m", "y")]
    inputs = [value("x", [rows, 3])]
    if condition == "fed":
        inputs.append(value("fed", [], "bool"))
    return model(_squeeze_or_not(condition) + tail, inputs, [value("y", None)], STORED)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_branch_over_fixed_shapes_is_taken_as_it_is_always_taken(rows: int) -> None:
    proto = _ambiguous(rows)
    x = np.linspace(0.5, 1.5, 3 * rows, dtype=np.float32).reshape(rows, 3)
    assert check_tangents(proto, {"x": x}, directions=(1, 2, 3)).status == "exact"
    derived = _derive(proto)
    assert derived.outcome.failed == {}
    written = derived.proto.graph.node[len(proto.graph.node) :]
    assert "If" not in {each.op_type for each in written}


def test_a_branch_within_a_branch_is_resolved_as_well() -> None:
    """Behind the inner one ranks become known only once it is resolved."""
    inner = [*_squeeze_or_not("alone"), node("MatMul", "z weight", "m"), node("Tanh", "m", "t")]
    outer = node(
        "If",
        "fed",
        "y",
        then_branch=body(inner, [value("t", None)]),
        else_branch=body([node("MatMul", "x weight", "n")], [value("n", None)]),
    )
    inputs = [value("x", [1, 3]), value("fed", [], "bool")]
    proto = model([outer], inputs, [value("y", None)], STORED)
    for fed in (True, False):
        feeds = {"x": X, "fed": np.array(fed)}
        assert check_tangents(proto, feeds, directions=(1, 3)).status == "exact"


def test_sizes_that_are_not_fixed_are_named_with_the_node() -> None:
    derived = _derive(_ambiguous("rows"))
    assert derived.outcome.failed["y"] == "m (MatMul): the rank of 'z' is not known"


def _dropping(output: str) -> list[Any]:
    """A Dropout that may be switched on and keeps its mask to itself has no derivative."""
    return [node("Dropout", "x _ on", "dropped"), node("Mul", "x dropped", output)]


REASON = (
    "dropped (Dropout): this Dropout may be switched on, and it does not give its mask: what it "
    "draws is not known"
)
SWITCHES = [value("x", [3, 3]), value("fed", [], "bool"), value("on", [], "bool")]


def test_a_value_known_beforehand_decides_a_branch() -> None:
    """The dead branch may be one that has no derivative at all."""
    choice = node(
        "If",
        "fed",
        "y",
        "choice",
        then_branch=body([node("Tanh", "x", "t")], [value("t", None)]),
        else_branch=body(_dropping("n"), [value("n", None)]),
    )
    proto = model([choice], SWITCHES, [value("y", [3, 3])])
    assert _derive(proto).outcome.failed["y"] == f"choice (If) holds {REASON}"
    derived = _derive(proto, known={"fed": np.array(True)})
    assert derived.outcome.failed == {}
    assert derived.outcome.numerical == []
    primal = proto.graph.node[0].SerializeToString()
    written = [each for each in derived.proto.graph.node if each.SerializeToString() != primal]
    assert not {"If", "Dropout"} & {each.op_type for each in written}


def test_a_node_deep_inside_is_named_once_beside_the_outermost() -> None:
    branch = body(_dropping("n"), [value("n", [3, 3])])
    for depth in range(4):
        wrapped = node(
            "If", "fed", f"n{depth}", f"if_{depth}", then_branch=branch, else_branch=branch
        )
        branch = body([wrapped], [value(f"n{depth}", [3, 3])])
    outer = node("If", "fed", "y", "outer", then_branch=branch, else_branch=branch)
    proto = model([outer], SWITCHES, [value("y", [3, 3])])
    assert _derive(proto).outcome.failed["y"] == f"outer (If) holds {REASON}"


def _loop(inner: GraphProto, state: str, outputs: str, turns: int = 3) -> ModelProto:
    whole = node("Loop", f"turns going {state}", outputs, body=inner)
    weights = [stored("turns", np.array(turns)), stored("going", np.array(True))]
    return model([whole], [value("x", [2, 3])], [value("y", None)], weights, opset=9)


def _turn(shape: list[int]) -> list[Any]:
    return [value("i", shape, "int64"), value("on", [], "bool")]


@pytest.mark.parametrize("shape", [[], [1]])
def test_the_number_of_a_turn_has_the_shape_that_the_body_declares(shape: list[int]) -> None:
    """Old exporters declare one element where the operator speaks of a scalar."""
    flat = [] if shape == [] else [node("Squeeze", "i", "s", axes=[0])]
    inner = body(
        [
            *flat,
            node("Cast", "s" if shape else "i", "f", to=1),
            node("Add", "f one", "g"),
            node("Mul", "a g", "b"),
            node("Tanh", "b", "c"),
            node("Identity", "on", "still"),
        ],
        [value("still", [], "bool"), value("c", [2, 3])],
        [*_turn(shape), value("a", [2, 3])],
        [stored("one", np.array(1, np.float32))],
    )
    feeds = {"x": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}
    verdict = check_tangents(_loop(inner, "x", "y"), feeds, directions=(1, 2, 3))
    assert verdict.status == "exact", verdict


def test_what_is_carried_may_start_to_move_in_a_later_turn() -> None:
    """``b`` starts constant and takes the value of ``a``, which takes that of ``x``."""
    inner = body(
        [
            node("Tanh", "x", "t"),
            node("Add", "a t", "a1"),
            node("Mul", "b a", "b1"),
            node("Sin", "b", "c1"),
            node("Identity", "on", "still"),
        ],
        [value("still", [], "bool"), *(value(each, [2, 3]) for each in ("a1", "b1", "c1"))],
        [*_turn([]), *(value(each, [2, 3]) for each in ("a", "b", "c"))],
    )
    whole = node("Loop", "turns going s s s", "p q y", body=inner)
    weights = [
        stored("turns", np.array(4)),
        stored("going", np.array(True)),
        stored("s", np.full((2, 3), 0.7, np.float32)),
    ]
    proto = model([whole], [value("x", [2, 3])], [value("y", None)], weights)
    feeds = {"x": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}
    assert check_tangents(proto, feeds, directions=(1, 2, 3)).status == "exact"


def _nested(depth: int) -> ModelProto:
    names = ["x", *(f"x{level}" for level in range(depth))]
    inner = [node("Tanh", names[depth], "deep"), node("Identity", "on", "still")]
    out = "deep"
    for level in reversed(range(depth)):
        graph = body(
            inner,
            [value("still", [], "bool"), value(out, None)],
            [value("i", [], "int64"), value("on", [], "bool"), value(names[level + 1], None)],
        )
        out = f"out{level}"
        inner = [node("Loop", f"turns going {names[level]}", out, body=graph)]
        inner.append(node("Identity", "going", "still"))
    weights = [stored("turns", np.array(1)), stored("going", np.array(True))]
    return model(inner[:1], [value("x", [2])], [value(out, None)], weights)


def test_nested_loops_cost_no_more_than_there_are() -> None:
    """Each body is differentiated once, not twice: 24 levels would never end."""
    proto = _nested(24)
    graph = opened(proto)
    target = proto.graph.output[0].name
    start = time.process_time()
    derived = differentiate(graph, infer_types(graph), ["x"], [target])
    assert derived.outcome.failed == {}
    assert time.process_time() - start < 20
    feeds: dict[str, Array] = {"x": np.array([0.3, -0.4], np.float32)}
    assert check_tangents(_nested(5), feeds, directions=(1, 2)).status == "exact"


def _collecting(opset: int, *, start: str) -> ModelProto:
    """Collect something of each turn in a sequence, then stack it."""
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, None))
    inner = body(
        [
            node("Cast", "i", "f", to=1),
            node("Mul", "x f", "t"),
            node("Sin", "t", "u"),
            node("SequenceInsert", "s u", "s1"),
            node("Identity", "on", "still"),
        ],
        [value("still", [], "bool"), helper.make_value_info("s1", kind)],
        [*_turn([]), helper.make_value_info("s", kind)],
    )
    starts = {
        "empty": node("SequenceEmpty", "", "start"),
        "constant": node("SequenceConstruct", "w w", "start"),
        "moving": node("SequenceConstruct", "x w", "start"),
    }
    nodes = [
        starts[start],
        node("Loop", "turns going start", "found", body=inner),
        node("ConcatFromSequence", "found", "y", axis=0, new_axis=1),
    ]
    weights = [
        stored("turns", np.array(3)),
        stored("going", np.array(True)),
        stored("w", np.full((2, 3), 0.7, np.float32)),
    ]
    return model(nodes, [value("x", [2, 3])], [value("y", None)], weights, opset=opset)


@pytest.mark.parametrize("start", ["empty", "constant", "moving"])
def test_a_sequence_is_carried_from_turn_to_turn(start: str) -> None:
    feeds = {"x": np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)}
    verdict = check_tangents(_collecting(17, start=start), feeds, directions=(1, 2, 3, 7))
    assert verdict.status == "exact", verdict
