"""How a source reaches each tensor."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto

from onnxprobe.graph import Reach, load_model, random_nodes, trace
from onnxprobe.graph.catalogue import infer_types
from onnxprobe.graph.dtypes import element_type
from onnxprobe.graph.flow import (
    FLAT_OPERATORS,
    RANDOM_OPERATORS,
    ROUNDING_OPERATORS,
    may_drop,
    rounding_nodes,
)
from tests.graph.models import (
    ROOT,
    body,
    branching,
    looping,
    model,
    node,
    opened,
    perceptron,
    stored,
    value,
)

NONE, SHAPE, FLAT, SMOOTH = Reach.NONE, Reach.SHAPE, Reach.PIECEWISE_CONSTANT, Reach.SMOOTH


def _chain(*nodes: NodeProto) -> ModelProto:
    return model(nodes, [value("x", [2, 3]), value("other", [2, 3])], [value("y", None)])


def test_a_network_is_smooth_throughout() -> None:
    assert trace(opened(perceptron()), ["x"]) == dict.fromkeys(["x", "h", "hb", "r", "y"], SMOOTH)


def test_what_the_source_does_not_reach_is_not_reached() -> None:
    """Before it, and beside it."""
    found = trace(opened(perceptron()), ["hb"])
    assert found == {"hb": SMOOTH, "h": NONE, "r": SMOOTH, "y": SMOOTH}


def test_only_the_shape_reaches_what_follows_shape() -> None:
    """Whatever is computed from it, even by smooth operators."""
    proto = _chain(
        node("Shape", "x", "s"),
        node("Size", "x", "n"),
        node("Cast", "s", "f", to=TensorProto.FLOAT),
        node("ReduceSum", "f", "t", keepdims=0),
        node("Shape", "s", "ss"),
    )
    found = trace(opened(proto), ["x"])
    assert [found[name] for name in ("s", "n", "f", "t", "ss")] == [SHAPE] * 5


def test_values_beside_a_shape_count() -> None:
    """A Reshape by a computed shape is smooth."""
    proto = _chain(node("Shape", "x", "s"), node("Reshape", "x s", "y"))
    assert trace(opened(proto), ["x"])["y"] is SMOOTH


def test_the_shape_of_what_is_not_reached_is_not_reached() -> None:
    proto = _chain(node("Shape", "other", "s"), node("Relu", "x", "y"))
    assert trace(opened(proto), ["x"])["s"] is NONE


@pytest.mark.parametrize(
    "flat",
    [
        node("Floor", "x", "f"),
        node("Sign", "x", "f"),
        node("ArgMax", "x", "f"),
        node("Greater", "x other", "f"),
        node("Cast", "x", "f", to=TensorProto.INT64),
        node("Cast", "x", "f", to=TensorProto.FLOAT8E4M3FN),
        node("QuantizeLinear", "x other", "f"),
        node("Round", "x", "f", domain="ai.onnx"),
        node("TreeEnsembleRegressor", "x", "f", domain="ai.onnx.ml"),
        node("QLinearAdd", "x", "f", domain="com.microsoft"),
    ],
    ids=lambda each: each.op_type,
)
def test_steps_have_no_derivative(flat: NodeProto) -> None:
    """Nor has what follows them."""
    found = trace(opened(_chain(flat, node("Identity", "f", "y"))), ["x"])
    assert (found["f"], found["y"]) == (FLAT, FLAT)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_cast_to_real_numbers_is_smooth(dtype: str) -> None:
    proto = _chain(node("Cast", "x", "y", to=element_type(dtype)))
    assert trace(opened(proto), ["x"])["y"] is SMOOTH


@pytest.mark.parametrize(
    "other",
    [node("Floor", "x", "y", domain="nobody"), node("Nobody", "x", "y", domain="com.microsoft")],
)
def test_operators_of_other_domains_are_taken_for_smooth(other: NodeProto) -> None:
    """Their names mean nothing here; differences decide."""
    assert trace(opened(_chain(other)), ["x"])["y"] is SMOOTH


def test_a_smooth_path_beside_a_flat_one_counts() -> None:
    """As in a straight-through sum."""
    proto = _chain(node("Floor", "x", "f"), node("Add", "f x", "y"))
    assert trace(opened(proto), ["x"])["y"] is SMOOTH


def test_a_flat_path_beside_a_shape_counts() -> None:
    proto = _chain(node("Shape", "x", "s"), node("Floor", "x", "f"), node("Reshape", "f s", "y"))
    assert trace(opened(proto), ["x"])["y"] is FLAT


def test_what_is_not_real_carries_no_derivative() -> None:
    """By its type, where no operator says so: the indices of TopK."""
    proto = _chain(node("TopK", "x k", "v i"), node("Add", "i one", "y"))
    proto.graph.initializer.extend([stored("k", np.array([1])), stored("one", np.array(1))])
    graph = opened(proto)
    assert trace(graph, ["x"])["i"] is SMOOTH
    found = trace(graph, ["x"], infer_types(graph))
    assert (found["v"], found["i"], found["y"]) == (SMOOTH, FLAT, FLAT)


def test_a_sequence_of_real_tensors_is_passed() -> None:
    """Its type has no element."""
    proto = _chain(
        node("SequenceConstruct", "x other", "q"), node("ConcatFromSequence", "q", "y", axis=0)
    )
    graph = opened(proto)
    assert trace(graph, ["x"], infer_types(graph))["y"] is SMOOTH


def test_bodies_are_reached_through_what_they_capture() -> None:
    """The condition alone is a bool and carries nothing."""
    graph = opened(branching())
    assert trace(graph, ["x"])["z"] is SMOOTH
    assert trace(graph, ["h"])["y"] is SMOOTH
    assert trace(opened(looping()), ["w"])["last"] is SMOOTH


@pytest.mark.parametrize("names", [("y", "y"), ("z", "h2")])
def test_a_body_that_names_its_output_like_the_node_is_passed(names: tuple[str, str]) -> None:
    """The node does not wait for itself: ONNX Runtime runs such models."""
    found = trace(opened(branching(names)), ["x"])
    assert found == dict.fromkeys(["x", "h", "y", "z"], SMOOTH)


def test_unsorted_nodes_are_followed() -> None:
    proto = perceptron()
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes[::-1])
    assert trace(opened(proto), ["x"])["y"] is SMOOTH


def test_a_source_stays_one() -> None:
    """Though another source would reach it by steps, or not at all."""
    proto = _chain(node("Floor", "x", "f"), node("Neg", "f", "y"))
    assert trace(opened(proto), ["x", "f"]) == {"x": SMOOTH, "f": SMOOTH, "y": SMOOTH}
    assert trace(opened(proto), ["f"])["f"] is SMOOTH


def test_every_tensor_has_a_reach() -> None:
    """Without sources, none."""
    assert set(trace(opened(perceptron()), []).values()) == {NONE}
    assert set(trace(opened(perceptron()), [])) == {"h", "hb", "r", "y"}


def test_quantised_models_are_flat_behind_the_first_step() -> None:
    """The int8 model of this repository."""
    graph = load_model(ROOT / "models" / "digits_cnn_int8.onnx")
    found = trace(graph, ["image"], infer_types(graph))
    behind = [reach for name, reach in found.items() if name != "image" and reach is not NONE]
    assert len(behind) > 20
    assert set(behind) == {FLAT}


def test_integer_operators_are_flat() -> None:
    """Dynamic quantisation: the integer product is a step, and its scale tells of one element."""
    proto = _chain(
        node("DynamicQuantizeLinear", "x", "q scale zero"),
        node("MatMulInteger", "q w zero", "p"),
        node("Cast", "p", "f", to=TensorProto.FLOAT),
        node("Mul", "f scale", "y"),
    )
    proto.graph.initializer.append(stored("w", np.ones((3, 2), np.uint8)))
    graph = opened(proto)
    found = trace(graph, ["x"], infer_types(graph))
    assert {found[name] for name in ("q", "p", "f", "scale", "y")} == {FLAT}


def _dropout(mode: object, *, ratio: str = "_", domain: str = "") -> ModelProto:
    proto = model(
        [node("Dropout", f"x {ratio} mode", "y mask", name="drop", domain=domain)],
        [value("x", [2, 3])],
        [value("y", None)],
    )
    if isinstance(mode, bool):
        proto.graph.initializer.append(stored("mode", np.array(mode)))
    else:
        proto.graph.input.append(value("mode", [], "bool"))
    return proto


@pytest.mark.parametrize(("mode", "draws"), [(True, True), (False, False), (None, True)])
def test_dropout_draws_unless_it_is_surely_off(mode: object, draws: bool) -> None:
    """Stored as true, stored as false, fed."""
    graph = opened(_dropout(mode))
    assert may_drop(graph, graph.proto.graph.node[0]) is draws
    assert random_nodes(graph) == (("drop (Dropout)",) if draws else ())


@pytest.mark.parametrize("inputs", ["x", "x ratio", "x ratio _"])
def test_dropout_without_a_mode_is_off(inputs: str) -> None:
    proto = _chain(node("Dropout", inputs, "y"))
    proto.graph.initializer.append(stored("ratio", np.float32(0.5)))
    graph = opened(proto)
    assert not may_drop(graph, graph.proto.graph.node[0])


def test_dropout_of_another_domain_is_not_known() -> None:
    graph = opened(_dropout(True, domain="nobody"))
    assert not may_drop(graph, graph.proto.graph.node[0])


@pytest.mark.parametrize("operator", sorted(RANDOM_OPERATORS))
def test_random_operators_are_named(operator: str) -> None:
    """By their output where they have no name; those of other domains are not known."""
    assert random_nodes(opened(_chain(node(operator, "x", "_ y")))) == (f"y ({operator})",)
    assert random_nodes(opened(_chain(node(operator, "x", "")))) == (f"unnamed ({operator})",)
    assert random_nodes(opened(_chain(node(operator, "x", "y", domain="nobody")))) == ()


def test_random_nodes_in_bodies_are_named() -> None:
    noise = body([node("RandomNormalLike", "x", "r", name="noise")], [value("r", None)])
    plain = body([node("Relu", "x", "p")], [value("p", None)])
    choice = node("If", "c", "y", then_branch=noise, else_branch=plain)
    proto = model([choice], [value("x", [2]), value("c", [], "bool")], [value("y", None)])
    assert random_nodes(opened(proto)) == ("noise (RandomNormalLike)",)
    assert random_nodes(opened(perceptron())) == ()


def test_the_lists_hold_full_names() -> None:
    """An operator stands under its domain; the default one is left out."""
    every = FLAT_OPERATORS | ROUNDING_OPERATORS
    assert not any(name.startswith("ai.onnx.") and "ml" not in name for name in every)
    assert RANDOM_OPERATORS <= FLAT_OPERATORS
    assert FLAT_OPERATORS.isdisjoint(ROUNDING_OPERATORS)


def test_rounding_by_a_scale_that_moves_ends_a_derivative() -> None:
    """The scale has one, which says nothing of what passes."""
    proto = _chain(
        node("DynamicQuantizeLinear", "x", "q s z", "round"),
        node("DequantizeLinear", "q s z", "d"),
        node("Relu", "d", "y"),
    )
    graph = opened(proto)
    found = trace(graph, ["x"], infer_types(graph))
    assert {found[name] for name in ("q", "s", "d", "y")} == {FLAT}
    assert rounding_nodes(graph, found) == ("round (DynamicQuantizeLinear)",)


@pytest.mark.parametrize(("level", "straight"), [(0, False), (4, False), (4, True)])
def test_products_of_few_bits_round_at_one_level_only(level: int, straight: bool) -> None:
    made = node("MatMulNBits", "x w s", "y", domain="com.microsoft", accuracy_level=level)
    graph = opened(model([made], [value("x", [2, 3])], [value("y", None)]))
    found = trace(graph, ["x"], straight_through=straight)
    assert (found["y"] is SMOOTH) == (level == 0 or straight)
