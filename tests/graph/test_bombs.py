"""Small files that expand to something large, refused in time that follows the file's size."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from onnx import FunctionProto, ModelProto, TensorProto, helper

from onnxprobe.errors import ModelError
from onnxprobe.graph import admission, catalogue, find_sharing, index_limits, parse_model
from onnxprobe.graph.admission import MAX_NODES, admit
from tests.graph.messages import beginning, exactly
from tests.graph.models import model, node, opened, relu, value


def _function(name: str, calls: Sequence[str]) -> FunctionProto:
    """A chain of calls of local functions, or of operators."""
    nodes = []
    for position, call in enumerate(calls):
        domain = "local" if call[0].islower() else ""
        read = "a" if position == 0 else f"t{position - 1}"
        written = "b" if position == len(calls) - 1 else f"t{position}"
        nodes.append(node(call, read, written, domain=domain))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    return helper.make_function("local", name, ["a"], ["b"], nodes, opsets)


def _calling(first: str, functions: Sequence[FunctionProto]) -> ModelProto:
    return model(
        [node(first, "x", "y", domain="local")],
        [value("x", [2])],
        [value("y", [2])],
        domains={"local": 1},
        functions=functions,
    )


def _doubling(levels: int) -> ModelProto:
    functions = [_function(f"f{level}", [f"f{level + 1}"] * 2) for level in range(levels - 1)]
    return _calling("f0", [*functions, _function(f"f{levels - 1}", ["Relu", "Neg"])])


def test_functions_that_double_are_refused_at_once() -> None:
    """30 levels in 2 kB hang ONNX Runtime, onnx's checker and its inference."""
    content = _doubling(30).SerializeToString()
    assert len(content) < 4000
    start = time.perf_counter()
    with pytest.raises(
        ModelError,
        match=exactly(
            "the local functions expand to more than the 1,000,000 nodes that onnxprobe inlines; "
            "export the model with its functions flattened"
        ),
    ):
        parse_model(content)
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize(("limit", "fits"), [(7, False), (8, True)])
def test_expanded_nodes_are_counted_exactly(
    limit: int, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three doubling levels make 8 nodes."""
    monkeypatch.setattr(admission, "MAX_EXPANDED_NODES", limit)
    if fits:
        admit(_doubling(3))
    else:
        with pytest.raises(
            ModelError, match=beginning("the local functions expand to more than the 7")
        ):
            admit(_doubling(3))


def test_a_function_called_from_many_places_is_counted_once() -> None:
    """A thousand calls of a function of ten thousand nodes: counting is linear in the file."""
    functions = [_function("f0", ["f1"] * 1000), _function("f1", ["Relu"] * 10_000)]
    start = time.perf_counter()
    with pytest.raises(ModelError, match=beginning("the local functions expand to more")):
        admit(_calling("f0", functions))
    assert time.perf_counter() - start < 5.0


@pytest.mark.parametrize("calls", [["f0"], ["Relu", "f1"]])
def test_recursion_is_refused(calls: list[str]) -> None:
    """Direct, or through another function."""
    functions = [_function("f0", calls), _function("f1", ["f0"])]
    with pytest.raises(
        ModelError,
        match=exactly(
            "local function 'f0' calls itself, and ONNX has no recursion; export the model again"
        ),
    ):
        admit(_calling("f0", functions))


def test_functions_that_share_callees_are_no_recursion() -> None:
    """A diamond: f0 calls f1 and f2, which both call f3."""
    functions = [
        _function("f3", ["Relu"]), _function("f0", ["f1", "f2", "f3"]),
        _function("f2", ["f3", "f3"]), _function("f1", ["f3"]),
    ]  # fmt: skip
    admit(_calling("f0", functions))


def test_a_function_defined_twice_is_refused() -> None:
    functions = [_function("f0", ["Relu"]), _function("f0", ["Neg"])]
    with pytest.raises(
        ModelError,
        match=exactly(
            "local function 'local.f0:' is defined twice, and readers differ in which definition "
            "they take; export the model again"
        ),
    ):
        admit(_calling("f0", functions))


def test_overloads_of_a_function_are_different() -> None:
    functions = [_function("f0", ["Relu"]), _function("f0", ["Neg"])]
    functions[1].overload = "other"
    admit(_calling("f0", functions))


def test_a_bomb_of_nodes_is_refused_before_it_costs() -> None:
    """One node more than allowed."""
    proto = relu()
    proto.graph.node.extend([node("Relu", "x", "")] * MAX_NODES)
    with pytest.raises(ModelError, match=beginning("the model has more than 200,000 nodes")):
        parse_model(proto.SerializeToString())


def test_a_bomb_of_dimensions_is_refused_at_once() -> None:
    """Their product would be a number of 12 million bits."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2**62] * 200_000)
    start = time.perf_counter()
    with pytest.raises(
        ModelError,
        match=exactly(
            "stored tensor 'w' has 200,000 dimensions, more than the 64 that numpy holds; "
            "export the model again"
        ),
    ):
        admit(relu(tensor))
    assert time.perf_counter() - start < 1.0


def test_long_chains_are_followed_in_linear_time() -> None:
    """20,000 moves, each of them looked up and shared with: no step walks the chain again."""
    length = 20_000
    nodes = [node("Identity", f"t{i}", f"t{i + 1}") for i in range(length)]
    nodes += [node("Gather", f"table t{i}", f"g{i}") for i in range(0, length, 10)]
    table = helper.make_tensor("table", TensorProto.FLOAT, [3, 2], [0.0] * 6)
    proto = model(nodes, [value("t0", [2], "int64")], [value(f"t{length}", [2], "int64")], [table])
    start = time.perf_counter()
    graph = opened(proto)
    assert index_limits(graph) == {"t0": 3}
    assert find_sharing(graph, {}).origin(f"t{length}") == "t1"
    assert time.perf_counter() - start < 10.0


def test_many_bodies_of_one_name_are_listed_in_linear_time() -> None:
    """5,000 nodes of the same name, whose bodies use the same names."""
    then = helper.make_graph([node("Relu", "x", "b")], "then", [], [value("b", [2])])
    nodes = [
        node("If", "c", f"y{i}", name="same", then_branch=then, else_branch=then)
        for i in range(5_000)
    ]
    proto = model(nodes, [value("x", [2]), value("c", [], "bool")], [value("y0", [2])])
    start = time.perf_counter()
    listed = catalogue(opened(proto), {})
    assert len({info.name for info in listed}) == len(listed) == 15_000
    assert time.perf_counter() - start < 10.0


def test_more_stored_tensors_than_any_network_has_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "MAX_STORED", 2)
    stored = [helper.make_tensor(f"w{index}", TensorProto.FLOAT, [1], [0]) for index in range(3)]
    admit(relu(*stored[:2]))
    with pytest.raises(ModelError, match=r"^the model stores more than 2 tensors, which no netw"):
        admit(relu(*stored))


def _nested(levels: int) -> ModelProto:
    made = node("Relu", "x", "y")
    for _ in range(levels):
        branch = helper.make_graph([made], "branch", [], [value("y", [2])])
        made = node("If", "c", "y", then_branch=branch, else_branch=branch)
    return model([made], [value("x", [2]), value("c", [], "bool")], [value("y", [2])])


def test_bodies_that_are_nested_too_deep_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_DEPTH", 3)
    admit(_nested(3))
    with pytest.raises(ModelError, match=r"^bodies are nested more than 3 deep, which no runtime"):
        admit(_nested(4))


def test_a_name_that_is_too_long_is_refused_without_repeating_it() -> None:
    name = "x" * 65_537
    proto = model([node("Relu", "x", name)], [value("x", [2])], [value(name, [2])])
    with pytest.raises(
        ModelError,
        match=exactly(
            "a 'Relu' node bears a name of more than 65,536 letters; export the model again"
        ),
    ):
        admit(proto)


def test_an_attribute_that_lists_more_than_any_operator_needs_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "MAX_LISTED", 3)
    proto = model([node("Squeeze", "x", "y", axes=[0, 1, 2, 3])], [value("x", [2])], [])
    with pytest.raises(ModelError, match=r"^attribute 'axes' of node 'Squeeze' lists 4 values, wh"):
        admit(proto)


def test_code_that_is_compiled_already_is_refused() -> None:
    made = node("EPContext", "x", "y", domain="com.microsoft", name="engine")
    proto = model([made], [value("x", [2])], [value("y", [2])], domains={"com.microsoft": 1})
    with pytest.raises(
        ModelError,
        match=exactly(
            "node 'engine' (EPContext) holds or names code that was compiled for one device, which "
            "nobody can audit; export the model without compiling it"
        ),
    ):
        admit(proto)
