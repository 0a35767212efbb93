"""Walks over what a model holds: everything once, at any depth, without recursion."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import AttributeProto, GraphProto, NodeProto, TypeProto, helper

from onnxprobe.graph import walk
from tests.graph.models import body, branching, looping, model, node, perceptron, stored, value


def _if(then: GraphProto, other: GraphProto, outputs: str = "y") -> NodeProto:
    return node("If", "c", outputs, then_branch=then, else_branch=other)


def _plain(read: str, written: str) -> GraphProto:
    return body([node("Relu", read, written)], [value(written, None)])


def test_bodies_of_a_node_come_in_order() -> None:
    """Branches, and lists of graphs."""
    first, second = _plain("a", "b"), _plain("c", "d")
    assert list(walk.body_graphs(_if(first, second))) == [first, second]
    several = node("Custom", "x", "y")
    attribute = several.attribute.add(name="bodies", type=AttributeProto.GRAPHS)
    attribute.graphs.extend([second, first])
    assert list(walk.body_graphs(several)) == [second, first]
    assert list(walk.body_graphs(node("Relu", "x", "y"))) == []


def test_nested_graphs_come_once_and_outer_first() -> None:
    inner, other = _plain("a", "b"), _plain("c", "d")
    outer = body([_if(inner, other)], [value("y", None)])
    proto = model([_if(outer, other, "z")], [], [value("z", None)])
    assert list(walk.nested_graphs(proto.graph)) == [outer, inner, other, other]


def test_depth_costs_no_recursion() -> None:
    """90 levels, as deep as protobuf goes, with room for few frames."""
    graph = _plain("a", "y")
    for _ in range(28):
        graph = body([node("If", "c", "y", then_branch=graph)], [value("y", None)])
    limit = sys.getrecursionlimit()
    frame, depth = sys._getframe(), 0
    while frame.f_back:
        frame, depth = frame.f_back, depth + 1
    try:
        sys.setrecursionlimit(depth + 25)
        count = sum(1 for _ in walk.nested_graphs(graph))
        read = walk.outer_names(node("If", "c", "y", then_branch=graph))
    finally:
        sys.setrecursionlimit(limit)
    assert count == 28
    assert read == {"a", "c"}


def test_every_node_comes_once() -> None:
    """Main graph, bodies, functions and training graphs."""
    proto = branching()
    inner = node("Relu", "a", "b", name="in function")
    proto.functions.append(helper.make_function("local", "f", ["a"], ["b"], [inner], []))
    training = proto.training_info.add()
    training.initialization.CopyFrom(_plain("p", "q"))
    training.algorithm.CopyFrom(body([_if(_plain("p", "q"), _plain("p", "r"))], []))
    found = [each.op_type for each in walk.nodes(proto)]
    assert found == ["MatMul", "If", "Relu", "Add", "Neg", "Relu", "Relu", "If", "Relu", "Relu"]


def test_main_initializers_are_told_apart() -> None:
    """Only they may be large, or lie in another file without being copied."""
    proto = branching()
    sparse = proto.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(stored("values", [1.0]))
    sparse.indices.CopyFrom(stored("indices", [0]))
    proto.graph.node.append(node("Constant", "", "k", value=stored("constant", [1.0])))
    found = [(tensor.name, liftable) for tensor, liftable in walk.tensors(proto)]
    assert found == [
        ("w", True),
        ("one", False),
        ("values", False),
        ("indices", False),
        ("constant", False),
    ]


def test_types_are_found_inside_types() -> None:
    """A sequence of optionals of tensors, a map, a sparse tensor, an attribute."""
    half = helper.make_tensor_type_proto(10, [1])
    nested = helper.make_sequence_type_proto(helper.make_optional_type_proto(half))
    proto = branching()
    del proto.graph.value_info[:]
    proto.graph.value_info.append(helper.make_value_info("s", nested))
    proto.graph.value_info.append(helper.make_value_info("m", helper.make_map_type_proto(7, half)))
    sparse = TypeProto()
    sparse.sparse_tensor_type.elem_type = 11
    proto.graph.value_info.append(helper.make_value_info("p", sparse))
    proto.graph.node.append(node("Optional", "", "o", type=half))
    found = sorted(kind.elem_type for kind in walk.tensor_types(proto))
    # x, z and the two branches' outputs are float32 (1), c is a bool (9).
    assert found == [1, 1, 1, 1, 9, 10, 10, 10, 11]


def test_bodies_read_what_they_do_not_define() -> None:
    """Captured names, not their own inputs, initializers and outputs."""
    assert walk.outer_names(branching().graph.node[1]) == {"h"}
    assert walk.outer_names(looping().graph.node[1]) == {"w"}
    assert walk.outer_names(perceptron().graph.node[0]) == set()


def test_an_output_taken_from_outside_is_read() -> None:
    """A branch may hand an outer value through."""
    through = body([], [value("h", None)])
    assert walk.outer_names(_if(through, _plain("g", "y"))) == {"h", "g"}


def test_a_name_defined_in_one_branch_is_free_in_the_other() -> None:
    """Scopes are those of the bodies around the reader."""
    defines, reads = _plain("a", "b"), _plain("b", "d")
    assert walk.outer_names(_if(defines, reads)) == {"a", "b"}
    around = body([node("Relu", "a", "b"), _if(reads, reads)], [value("y", None)])
    assert walk.outer_names(_if(around, around)) == {"a", "c"}


def test_a_body_that_names_its_output_like_the_node_reads_nothing() -> None:
    """Legal, and common: the If's own output is not among its inputs."""
    assert walk.outer_names(_if(_plain("x", "y"), _plain("x", "y"))) == {"x"}


def test_sparse_initializers_of_bodies_are_their_own() -> None:
    graph = _plain("s", "y")
    graph.sparse_initializer.add(dims=[9]).values.CopyFrom(stored("s", [1.0]))
    assert walk.outer_names(_if(graph, graph)) == set()


def test_operators_bear_their_domain() -> None:
    """The default one has two names and is left out."""
    assert walk.operator_name(node("Conv", "x", "y")) == "Conv"
    assert walk.operator_name(node("Conv", "x", "y", domain="ai.onnx")) == "Conv"
    gelu = node("Gelu", "x", "y", domain="com.microsoft")
    assert walk.operator_name(gelu) == "com.microsoft.Gelu"


def test_sorted_nodes_stay_in_order() -> None:
    assert walk.topological_order(perceptron().graph.node) == [0, 1, 2, 3]


def test_unsorted_nodes_are_sorted() -> None:
    """A body's captures count."""
    nodes = list(branching().graph.node)
    assert walk.topological_order(nodes[::-1]) == [2, 1, 0]


def test_nodes_in_a_circle_are_left_out() -> None:
    """With all that depends on them."""
    nodes = [
        node("Neg", "b", "a"),
        node("Relu", "x", "r"),
        node("Add", "a r", "b"),
        node("Neg", "b", "c"),
    ]
    assert walk.topological_order(nodes) == [1]


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_every_order_of_nodes_is_sorted(data: st.DataObject) -> None:
    """Each node behind what it reads, each node once."""
    count = data.draw(st.integers(1, 12))
    nodes = []
    for index in range(count):
        sources = data.draw(st.lists(st.integers(-1, index - 1), min_size=1, max_size=3))
        nodes.append(node("Sum", " ".join(f"t{each}" for each in sources), f"t{index}"))
    shuffled = data.draw(st.permutations(nodes))
    order = walk.topological_order(shuffled)
    assert sorted(order) == list(range(count))
    known = {"t-1"}
    for index in order:
        assert known.issuperset(shuffled[index].input)
        known.update(shuffled[index].output)
