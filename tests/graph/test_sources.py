"""What derivatives are taken with respect to."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnxprobe.errors import DataError
from onnxprobe.graph import (
    ChosenSource,
    Lookup,
    choose_source,
    embedding_lookups,
    index_limits,
    infer_types,
    source_inputs,
)
from onnxprobe.types import TensorType
from tests.graph.messages import exactly
from tests.graph.models import model, node, opened, perceptron, stored, tokens, value, weight


def _tokens(*nodes: NodeProto, ids: str = "int64", **tables: object) -> ModelProto:
    return model(
        nodes,
        [value("ids", ["n", 5], ids), value("kinds", ["n", 5], "int64")],
        [value(nodes[-1].output[0], None)],
        [stored(name, table) for name, table in tables.items()],  # type: ignore[arg-type]
    )


def _choose(proto: ModelProto, wrt: str | None = None) -> ChosenSource:
    graph = opened(proto)
    return choose_source(graph, infer_types(graph), wrt)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_the_float_input_is_the_source(dtype: str) -> None:
    proto = model([node("Identity", "x", "y")], [value("x", [2], dtype)], [value("y", [2], dtype)])
    assert _choose(proto) == ChosenSource(("x",), False, "the float input")
    assert source_inputs(opened(proto)) == (TensorType("x", dtype, (2,)),)


def test_several_float_inputs_are_one_source() -> None:
    """Integers beside them are not, and weights that may be fed are not."""
    proto = model(
        [node("Sum", "a b w", "s"), node("Gather", "s i", "y")],
        [value("a", [2]), value("i", [1], "int64"), value("b", [2]), value("w", [2])],
        [value("y", [1])],
        [stored("w", np.ones(2, np.float32))],
    )
    expected = ChosenSource(("a", "b"), False, "the float inputs, taken together")
    assert _choose(proto) == expected


def test_without_float_inputs_the_embedding_is_the_source() -> None:
    assert _choose(tokens()) == ChosenSource(
        ("embedded",),
        True,
        "the lookup of 'ids' in the table of 30 rows at node 'embed', the largest",
    )


def test_the_largest_table_is_chosen_and_the_others_are_named() -> None:
    proto = _tokens(
        node("Gather", "few kinds", "k"),
        node("Gather", "many ids", "e"),
        node("Gather", "some ids", "p"),
        node("Sum", "k e p", "y"),
        few=weight(3, 8), many=weight(50, 8), some=weight(20, 8),
    )  # fmt: skip
    assert _choose(proto) == ChosenSource(
        ("e",),
        True,
        "the lookup of 'ids' in the table of 50 rows at node 'Gather', the largest; "
        "not chosen: p, k",
    )


def test_tables_of_one_size_keep_the_order_of_the_graph() -> None:
    proto = _tokens(
        node("Gather", "a ids", "first"), node("Gather", "b kinds", "second"),
        a=weight(9, 8), b=weight(9, 8),
    )  # fmt: skip
    found = embedding_lookups(opened(proto), {})
    assert found == (Lookup("first", "Gather", "ids", 9), Lookup("second", "Gather", "kinds", 9))


@pytest.mark.parametrize(
    "between",
    [
        [node("Cast", "ids", "i", to=TensorProto.INT64)],
        [node("Clip", "ids", "i")],
        [node("Identity", "ids", "h"), node("Flatten", "h", "i")],
        [node("Unsqueeze", "ids axis", "h"), node("Squeeze", "h", "i")],
        [node("Transpose", "ids", "i")],
    ],
)
def test_indices_may_be_handed_on(between: list[NodeProto]) -> None:
    """Cast, clipped, moved: they are still the user's tokens."""
    nodes = [*between, node("Gather", "table i", "y")]
    proto = _tokens(*nodes, table=weight(30, 8), axis=np.array([0]))
    assert _choose(proto).names == ("y",)
    assert index_limits(opened(proto)) == {"ids": 30}


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Mul", "ids kinds", "i"), node("Gather", "table i", "y")],
        [node("Range", "z ids z", "i"), node("Gather", "table i", "y")],
        [node("Shape", "ids", "i"), node("Gather", "table i", "y")],
        [node("Gather", "table position", "y")],
        [node("Gather", "line ids", "y")],
        [node("Gather", "integers ids", "y")],
        [node("Gather", "ids position", "y")],
        [node("OneHot", "ids depth pair", "y")],
        [node("GatherElements", "table ids", "y")],
        [node("Gather", "table ids", "y", domain="nobody")],
        [node("Cast", "ids", "y", to=TensorProto.FLOAT)],
        [node("Identity", "", "i"), node("Gather", "table i", "y")],
        [node("Gather", "table ids", "_")],
        [node("Gather", "empty ids", "y")],
    ],
    ids=lambda nodes: " ".join(f"{each.op_type} {' '.join(each.input)}" for each in nodes),
)
def test_what_is_no_embedding_is_no_source(nodes: list[NodeProto]) -> None:
    """Computed indices, positions, one-dimensional and integer tables, masks, one-hot codes."""
    proto = _tokens(
        *nodes, table=weight(30, 8), position=np.array([1, 2]), line=weight(30), z=np.array(0),
        integers=np.ones((30, 8), np.int64), depth=np.array(9), pair=np.array([0.0, 1.0]),
        empty=np.zeros((0, 8), np.float32),
    )  # fmt: skip
    graph = opened(proto)
    assert embedding_lookups(graph, {}) == ()
    assert choose_source(graph, {}, None) == ChosenSource((), False, "no float source")


def test_a_float_input_is_no_index() -> None:
    proto = _tokens(node("Gather", "table ids", "y"), ids="float32", table=weight(30, 8))
    assert embedding_lookups(opened(proto), {}) == ()


def test_the_type_that_is_inferred_decides() -> None:
    """The tensor that is looked up must be real, whatever the table claims."""
    graph = opened(tokens())
    assert embedding_lookups(graph, {"embedded": TensorType("embedded", "int64", None)}) == ()
    unknown = {"embedded": TensorType("embedded", None, None)}
    assert len(embedding_lookups(graph, unknown)) == 1


@pytest.mark.parametrize("rows", [30, 3000])
def test_tables_of_types_numpy_lacks_are_found(rows: int) -> None:
    """A bfloat16 language model, its table small or lifted."""
    table = helper.make_tensor("table", TensorProto.BFLOAT16, [rows, 2], [1.0] * (2 * rows))
    proto = _tokens(node("Gather", "table ids", "y"))
    proto.graph.initializer.append(table)
    graph = opened(proto)
    assert embedding_lookups(graph, {}) == (Lookup("y", "Gather", "ids", rows),)
    assert index_limits(graph) == {"ids": rows}


@pytest.mark.parametrize(("axis", "rows"), [(0, 30), (1, 8), (-1, 8), (5, 30)])
def test_rows_are_counted_along_the_axis(axis: int, rows: int) -> None:
    """An axis that the table lacks is left to the runtime."""
    proto = _tokens(node("Gather", "table ids", "y", axis=axis), table=weight(30, 8))
    assert embedding_lookups(opened(proto), {})[0].rows == rows


def test_fused_embeddings_are_found() -> None:
    """ONNX Runtime's operator looks up words and segments."""
    fused = node(
        "EmbedLayerNormalization", "ids kinds words positions segments g b", "y m",
        domain="com.microsoft", name="emb",
    )  # fmt: skip
    proto = _tokens(
        fused, words=weight(50, 8), positions=weight(16, 8), segments=weight(2, 8),
        g=weight(8), b=weight(8),
    )  # fmt: skip
    graph = opened(proto)
    assert embedding_lookups(graph, {}) == (
        Lookup("y", "emb", "ids", 50),
        Lookup("y", "emb", "kinds", 2),
    )
    assert index_limits(graph) == {"ids": 50, "kinds": 2}
    chosen = choose_source(graph, {}, None).chosen
    assert chosen == "the lookup of 'ids' in the table of 50 rows at node 'emb', the largest"


def test_quantised_embeddings_are_found_by_the_type_they_give() -> None:
    """Rows of a table in blocks of int4, along the axis of the indices."""
    table = helper.make_tensor("table", TensorProto.UINT8, [30, 16], bytes(480), raw=True)
    gather = node(
        "GatherBlockQuantized", "table ids scales", "y", domain="com.microsoft", gather_axis=0
    )
    proto = _tokens(gather, scales=weight(30, 1))
    proto.graph.initializer.append(table)
    graph = opened(proto)
    assert index_limits(graph) == {"ids": 30}
    assert embedding_lookups(graph, {}) == ()
    types = {"y": TensorType("y", "float32", ("n", 5, 16))}
    assert embedding_lookups(graph, types) == (Lookup("y", "GatherBlockQuantized", "ids", 30),)


def test_the_smallest_table_limits_the_index() -> None:
    proto = _tokens(
        node("Gather", "many ids", "a"), node("Gather", "few ids", "b"),
        node("Gather", "line kinds", "c"), node("Gather", "line where", "d"),
        many=weight(50, 8), few=weight(7, 8), line=weight(4), where=np.array([0]),
    )  # fmt: skip
    assert index_limits(opened(proto)) == {"ids": 7, "kinds": 4}


def test_the_user_names_an_input() -> None:
    assert _choose(perceptron(), "x") == ChosenSource(("x",), False, "chosen by --wrt")


def test_the_user_names_a_tensor() -> None:
    """Also one of unknown type."""
    assert _choose(perceptron(), "r") == ChosenSource(("r",), True, "chosen by --wrt")
    assert choose_source(opened(perceptron()), {}, "r").names == ("r",)


@pytest.mark.parametrize(
    ("wrt", "hint"),
    [
        ("R", ""),
        ("rr", " (did you mean 'r'?)"),
        ("hbb", " (did you mean 'hb' or 'h'?)"),
        ("something else", ""),
        ("", ""),
    ],
)
def test_a_name_that_is_not_there_is_refused(wrt: str, hint: str) -> None:
    """With close matches, where there are some."""
    message = (
        f"--wrt names {wrt!r}, which is no input and no tensor of the main graph{hint} "
        "(onnxprobe inspect lists them)"
    )
    with pytest.raises(DataError, match=exactly(message)):
        _choose(perceptron(), wrt)


def test_a_weight_is_refused() -> None:
    """It is stored, not computed."""
    message = (
        "--wrt names 'w1', which is a weight stored in the model; choose an input or a tensor that "
        "is computed (onnxprobe inspect lists them)"
    )
    with pytest.raises(DataError, match=exactly(message)):
        _choose(perceptron(), "w1")


def test_tensors_that_are_not_real_are_refused() -> None:
    """Integers, and what is no tensor."""
    proto = model(
        [node("ArgMax", "x", "i"), node("SequenceConstruct", "x", "q")],
        [value("x", [2, 3])],
        [value("i", None, "int64")],
    )
    for wrt, kind in (("i", "int64"), ("q", "sequence")):
        with pytest.raises(
            DataError,
            match=exactly(
                f"--wrt names {wrt!r}, whose type is {kind}; derivatives need a float tensor: "
                "choose one that onnxprobe inspect lists with a float type"
            ),
        ):
            _choose(proto, wrt)


@pytest.mark.parametrize("wrt", ["k", "f"])
def test_a_constant_tensor_is_refused(wrt: str) -> None:
    """No input reaches it, or only an input's shape."""
    proto = model(
        [
            node("Constant", "", "k", value_float=1.0),
            node("Shape", "x", "s"),
            node("Cast", "s", "f", to=TensorProto.FLOAT),
            node("Mul", "x k", "y"),
        ],
        [value("x", [2, 3])],
        [value("y", [2, 3])],
    )
    with pytest.raises(
        DataError,
        match=exactly(
            f"--wrt names {wrt!r}, which is constant: no value of an input reaches it; "
            "choose a tensor that follows an input"
        ),
    ):
        _choose(proto, wrt)
