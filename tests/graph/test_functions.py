"""Local functions are inlined: the same numbers, and no function left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import AttributeProto, FunctionProto, ModelProto, helper

from onnxprobe.errors import ModelError
from onnxprobe.types import Array
from tests.graph.checker import check_exposure
from tests.graph.messages import exactly
from tests.graph.models import body, model, node, opened, stored, value, weight

OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
Made = tuple[ModelProto, dict[str, Array]]


def _function(name: str, inputs: str, outputs: str, *nodes: object) -> FunctionProto:
    return helper.make_function("local", name, inputs.split(), outputs.split(), nodes, OPSETS)  # type: ignore[arg-type]


def _calling(*nodes: object, functions: list[FunctionProto], **options: object) -> ModelProto:
    proto = model(
        nodes,  # type: ignore[arg-type]
        [value("x", [2, 20])],
        [value("y", None)],
        [stored("w", weight(20, 20))],
        domains={"local": 1},
        functions=functions,
    )
    if "conditional" in options:
        proto.graph.input.append(value("c", [], "bool"))
    return proto


def _nested() -> Made:
    """A function that calls another, which is called from outside, too."""
    inner = _function("inner", "a", "b", node("Relu", "a", "t"), node("Add", "t t", "b"))
    outer = _function(
        "outer", "a w", "b", node("MatMul", "a w", "m"), node("inner", "m", "b", domain="local")
    )
    proto = _calling(
        node("outer", "x w", "h", domain="local"),
        node("inner", "h", "y", domain="local"),
        functions=[inner, outer],
    )
    return proto, {"x": weight(2, 20)}


def _colliding() -> Made:
    """The function's inner names are taken in the graph that calls it."""
    function = _function("clash", "x", "y", node("Relu", "x", "t"), node("Add", "t x", "y"))
    proto = _calling(
        node("Neg", "x", "t"),
        node("clash", "t", "u", domain="local"),
        node("clash", "u", "y", domain="local"),
        functions=[function],
    )
    return proto, {"x": weight(2, 20)}


def _parametrised() -> Made:
    """An attribute is handed on to the function's node."""
    function = _function("twice", "a", "b", node("Concat", "a a", "b"))
    function.attribute.append("along")
    function.node[0].attribute.add(name="axis", ref_attr_name="along", type=AttributeProto.INT)
    call = node("twice", "x", "y", domain="local", along=1)
    return _calling(call, functions=[function]), {"x": weight(2, 20)}


def _with_bodies() -> Made:
    """A function that holds an If, whose bodies read the function's input."""
    then = body([node("Add", "a a", "u")], [value("u", None)])
    other = body([node("Neg", "a", "d")], [value("d", None)])
    choose = _function(
        "choose", "a c", "b", node("If", "c", "b", then_branch=then, else_branch=other)
    )
    proto = _calling(
        node("choose", "x c", "h", domain="local"),
        node("choose", "h c", "y", domain="local"),
        functions=[choose],
        conditional=True,
    )
    return proto, {"x": weight(2, 20), "c": np.array(False)}


@pytest.mark.parametrize("made", [_nested, _colliding, _parametrised, _with_bodies])
def test_functions_are_inlined_without_changing_a_number(made: Callable[[], Made]) -> None:
    """Against the reference, and bit for bit against ONNX Runtime's own expansion."""
    proto, feeds = made()
    graph = opened(proto)
    assert not graph.proto.functions
    assert graph.local_functions == len(proto.functions)
    assert all(each.domain == "" for each in graph.proto.graph.node)
    check_exposure(proto, feeds)


def test_inner_tensors_of_functions_become_tensors_of_the_model() -> None:
    proto, feeds = _nested()
    assert len(check_exposure(proto, feeds)) == 5


def test_the_original_keeps_its_functions() -> None:
    """What runs first is the model as given."""
    proto, _ = _nested()
    graph = opened(proto)
    assert len(ModelProto.FromString(graph.original.proto).functions) == 2


def test_inlining_keeps_everything_else() -> None:
    """Opset, IR version, metadata, weights, sparse initializers, names of nodes."""
    proto, _ = _nested()
    proto.producer_name = "tests"
    proto.metadata_props.add(key="author", value="x")
    proto.graph.node.append(node("Relu", "y", "z", name="last"))
    sparse = proto.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(stored("s", np.array([1.0], np.float32)))
    sparse.indices.CopyFrom(stored("i", np.array([1])))
    graph = opened(proto)
    assert graph.opsets == {"ai.onnx": 17, "local": 1}
    assert graph.proto.ir_version == proto.ir_version
    assert graph.proto.producer_name == "tests"
    assert [each.key for each in graph.proto.metadata_props] == ["author"]
    assert set(graph.weights) == {"w"}
    assert graph.initializers == {"w", "s"}
    assert graph.proto.graph.node[-1].name == "last"
    assert [kind.name for kind in graph.inputs] == ["x"]


def test_a_model_without_functions_is_left_alone() -> None:
    proto = _calling(node("Relu", "x", "y"), functions=[])
    graph = opened(proto)
    assert graph.local_functions == 0
    assert graph.proto.graph.node == proto.graph.node


def test_functions_of_another_opset_are_refused() -> None:
    """Their operators may mean something else."""
    function = helper.make_function(
        "local", "old", ["a"], ["b"], [node("Relu", "a", "b")], [helper.make_opsetid("", 11)]
    )
    proto = _calling(node("old", "x", "y", domain="local"), functions=[function])
    with pytest.raises(
        ModelError,
        match=exactly(
            "the local functions cannot be inlined (Opset mismatch when inlining function "
            "'local::old': domain '' has version 17 in the model but version 11 in the function); "
            "export the model with its functions flattened"
        ),
    ):
        opened(proto)
