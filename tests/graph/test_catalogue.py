"""The inventory: every tensor once, with its type, its parents and what is in its way."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnxprobe.graph import TensorInfo, catalogue, infer_types
from onnxprobe.graph.catalogue import obstacle
from onnxprobe.graph.dtypes import BITS
from onnxprobe.types import TensorType
from tests.graph.models import (
    body,
    branching,
    looping,
    model,
    node,
    opened,
    perceptron,
    stored,
    value,
    weight,
)

CONTROL_FLOW = "not exposed: control flow"


def test_a_known_graph_is_listed() -> None:
    """Names, operators, nodes, parents, types, outputs."""
    graph = opened(perceptron())
    assert catalogue(graph, infer_types(graph)) == (
        TensorInfo("h", "MatMul", "#0", ("x", "w1"), TensorType("h", "float32", ("n", 64))),
        TensorInfo("hb", "Add", "#1", ("h", "b1"), TensorType("hb", "float32", ("n", 64))),
        TensorInfo("r", "Relu", "relu", ("hb",), TensorType("r", "float32", ("n", 64))),
        TensorInfo(
            "y", "MatMul", "#3", ("r", "w2"), TensorType("y", "float32", ("n", 5)), is_output=True
        ),
    )


def test_without_types_nothing_is_in_the_way() -> None:
    """They are not known yet."""
    listed = catalogue(opened(perceptron()), {})
    assert [info.skip for info in listed] == [None] * 4
    assert listed[0].type == TensorType("h", None, None)


def test_tensors_of_branches_are_listed_with_the_reason() -> None:
    """After those of the main graph, by the path that leads to them."""
    listed = catalogue(opened(branching()), {})
    assert [(info.name, info.node, info.skip) for info in listed] == [
        ("h", "#0", None),
        ("y", "choice", None),
        ("z", "#2", None),
        ("choice/up", "choice/#0", CONTROL_FLOW),
        ("choice/down", "choice/#0", CONTROL_FLOW),
    ]


def test_tensors_of_loops_are_listed_with_the_reason() -> None:
    listed = catalogue(opened(looping()), {})
    inner = [info for info in listed if info.skip == CONTROL_FLOW]
    assert [info.name for info in inner] == ["loop/go_on", "loop/next", "loop/kept"]
    assert [info.op_type for info in inner] == ["Identity", "MatMul", "Tanh"]
    assert inner[1].node == "loop/step"


def test_bodies_read_the_tensors_around_them() -> None:
    """What a body captures is a parent, what it defines itself is none."""
    parents = {info.name: info.parents for info in catalogue(opened(branching()), {})}
    assert parents["y"] == ("c", "h")
    assert catalogue(opened(looping()), {})[1].parents == ("times", "on", "r", "w")


@pytest.mark.parametrize("names", [("same", "same"), ("y", "y"), ("z", "h2")])
def test_names_are_distinct(names: tuple[str, str]) -> None:
    """Two branches may use one name, and that of a tensor outside."""
    listed = catalogue(opened(branching(names)), {})
    assert len({info.name for info in listed}) == len(listed) == 5


def test_a_copied_name_is_numbered() -> None:
    """Unless the number is taken."""
    then = body([node("Relu", "x", "t"), node("Neg", "x", "t#2")], [value("t", None)])
    other = body([node("Neg", "x", "t")], [value("t", None)])
    choice = node("If", "c", "y", name="if", then_branch=then, else_branch=other)
    proto = model([choice], [value("x", [2]), value("c", [], "bool")], [value("y", None)])
    names = [info.name for info in catalogue(opened(proto), {})]
    assert names == ["y", "if/t", "if/t#2", "if/t#3"]


def test_bodies_in_bodies_are_listed() -> None:
    inner = body([node("Relu", "x", "deep")], [value("deep", None)])
    outer = body(
        [node("If", "c", "mid", then_branch=inner, else_branch=inner)], [value("mid", None)]
    )
    choice = node("If", "c", "y", then_branch=outer, else_branch=inner)
    proto = model([choice], [value("x", [2]), value("c", [], "bool")], [value("y", None)])
    names = [info.name for info in catalogue(opened(proto), {})]
    assert names == ["y", "#0/mid", "#0/deep", "#0/#0/deep", "#0/#0/deep#2"]


def test_omitted_outputs_are_no_tensors() -> None:
    """An empty name, for an output nobody wants."""
    proto = model(
        [node("Dropout", "x", "y _"), node("Split", "y", "_ b", axis=0)],
        [value("x", [4])],
        [value("b", [2])],
    )
    assert [info.name for info in catalogue(opened(proto), {})] == ["y", "b"]


def test_repeated_and_omitted_inputs_are_parents_once() -> None:
    proto = model(
        [node("Add", "x x", "d"), node("Clip", "d _ hi", "y")],
        [value("x", [4])],
        [value("y", [4])],
        [stored("hi", np.float32(1))],
    )
    assert [info.parents for info in catalogue(opened(proto), {})] == [("x",), ("d", "hi")]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (TensorType("t", None, None, "sequence"), "not numeric: a sequence"),
        (TensorType("t", None, None, "optional"), "not numeric: an optional"),
        (TensorType("t", "string", (2,)), "not numeric: strings"),
        (TensorType("t", "complex64", (2,)), "not real: complex numbers"),
        (TensorType("t", "complex128", None), "not real: complex numbers"),
        (TensorType("t", "float4e2m1", (2,)), "not readable: type float4e2m1"),
        (TensorType("t", "float6e2m3", (2,)), "not readable: type float6e2m3"),
    ],
)
def test_what_cannot_be_measured_has_a_reason(kind: TensorType, reason: str) -> None:
    assert obstacle(kind) == reason


@pytest.mark.parametrize("dtype", sorted(set(BITS) - {"complex64", "complex128", "float4e2m1"}))
def test_numbers_can_be_measured(dtype: str) -> None:
    """Whatever their declared shape: exporters write 0 for sizes they do not know."""
    assert obstacle(TensorType("t", dtype, (0, None, "n"))) is None


def test_unknown_types_are_no_reason() -> None:
    assert obstacle(TensorType("t", None, None)) is None


def test_types_are_inferred() -> None:
    """Of inner tensors and outputs; also of what is no tensor of numbers."""
    proto = model(
        [
            node("Shape", "x", "s"),
            node("SequenceConstruct", "x x", "q"),
            node("SequenceAt", "q zero", "y"),
            node("Cast", "x", "half", to=TensorProto.BFLOAT16),
        ],
        [value("x", ["n", 3])],
        [value("y", None)],
        [stored("zero", np.array(0))],
    )
    types = infer_types(opened(proto))
    assert types["s"] == TensorType("s", "int64", (2,))
    assert types["q"] == TensorType("q", None, None, "sequence")
    assert types["half"] == TensorType("half", "bfloat16", ("n", 3))
    assert types["y"].dtype == "float32"


def test_lifted_weights_do_not_hinder_inference() -> None:
    graph = opened(perceptron())
    assert "w1" in graph.weights
    assert infer_types(graph)["r"].shape == ("n", 64)


def test_inference_leaves_the_graph_alone() -> None:
    graph = opened(branching())
    before = graph.proto.SerializeToString(deterministic=True)
    infer_types(graph)
    assert graph.proto.SerializeToString(deterministic=True) == before


def test_a_size_of_minus_one_is_unknown() -> None:
    """Some exporters write it; inference would compute with it, and find empty tensors."""
    proto = model(
        [node("Conv", "x w", "y", strides=[2, 2])],
        [value("x", [-1, 1, -1, -1])],
        [value("y", None)],
        [stored("w", weight(4, 1, 3, 3))],
    )
    graph = opened(proto)
    assert graph.inputs[0].shape == (None, 1, None, None)
    shape = infer_types(graph)["y"].shape
    assert shape is not None
    assert [isinstance(size, int) for size in shape] == [False, True, False, False]
    assert graph.proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value == -1


def test_declared_types_remain_where_inference_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever native code throws."""

    def fail(proto: object) -> object:
        raise RuntimeError("inference failed")

    monkeypatch.setattr("onnx.shape_inference.infer_shapes", fail)
    proto = perceptron()
    proto.graph.value_info.append(value("r", ["n", 64]))
    types = infer_types(opened(proto))
    assert sorted(types) == ["r", "y"]
    assert types["r"] == TensorType("r", "float32", ("n", 64))


def test_an_undeclared_type_is_unknown() -> None:
    """Of an operator that nobody knows."""
    proto = model(
        [node("Strange", "x", "y", domain="nobody")], [value("x", [2])], [], domains={"nobody": 1}
    )
    proto.graph.output.append(helper.make_empty_tensor_value_info("y"))
    assert infer_types(opened(proto)) == {"y": TensorType("y", None, None)}
