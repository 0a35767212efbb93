"""What the static checks of a model's structure refuse, and what they let pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from onnx import ModelProto, helper

from onnxprobe.errors import ModelError
from onnxprobe.graph import admission, load_model, parse_model
from onnxprobe.graph.admission import admit
from tests.graph.messages import beginning, exactly
from tests.graph.models import (
    MODELS,
    body,
    branching,
    looping,
    model,
    node,
    opened,
    perceptron,
    relu,
    stored,
    value,
    weight,
    with_bytes,
)


def test_a_model_without_nodes_and_outputs_is_refused() -> None:
    with pytest.raises(
        ModelError,
        match=exactly(
            "the file holds no graph; expected an ONNX model with nodes: export the model again"
        ),
    ):
        admit(ModelProto())


def test_a_model_of_outputs_alone_is_admitted() -> None:
    """An initializer may be the output."""
    admit(model([], [], [value("w", [2])], [stored("w", [1.0, 2.0])]))


@pytest.mark.parametrize("count", [3, 4])
def test_more_nodes_than_a_network_needs_are_refused(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nodes of bodies count: branching has 3 of its own and 2 inside."""
    monkeypatch.setattr(admission, "MAX_NODES", count)
    with pytest.raises(
        ModelError,
        match=exactly(
            f"the model has more than {count} nodes, which no network needs; "
            "export it again, or split it"
        ),
    ):
        admit(branching())


def test_as_many_nodes_as_allowed_are_admitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_NODES", 5)
    admit(branching())


def test_an_attribute_given_twice_is_refused() -> None:
    """Readers differ in which they take."""
    proto = model([node("Softmax", "x", "y", axis=0)], [value("x", [2, 2])], [value("y", [2, 2])])
    proto.graph.node[0].attribute.append(helper.make_attribute("axis", 1))
    with pytest.raises(
        ModelError,
        match=exactly(
            "node 'Softmax' gives attribute 'axis' twice, and readers differ in which they take; "
            "export the model again"
        ),
    ):
        admit(proto)


def test_a_named_node_is_called_by_its_name() -> None:
    """In a body, too."""
    proto = branching()
    inner = proto.graph.node[1].attribute[0].g.node[0]
    inner.name = "bump"
    inner.attribute.extend([helper.make_attribute("a", 1), helper.make_attribute("a", 1)])
    with pytest.raises(ModelError, match=beginning("node 'bump' gives attribute 'a' twice")):
        admit(proto)


def _twice_by_nodes() -> ModelProto:
    nodes = [node("Relu", "x", "y"), node("Neg", "x", "y")]
    return model(nodes, [value("x", [2])], [value("y", [2])])


def _twice_by_initializers() -> ModelProto:
    return relu(stored("y2", [1.0]), stored("y2", [2.0]))


def _node_and_initializer() -> ModelProto:
    return relu(stored("y", [1.0]))


def _node_and_input() -> ModelProto:
    nodes = [node("Relu", "x", "x2"), node("Neg", "x2", "y")]
    return model(nodes, [value("x", [2]), value("x2", [2])], [value("y", [2])])


def _twice_as_input() -> ModelProto:
    return model([node("Relu", "x", "y")], [value("x", [2])] * 2, [value("y", [2])])


def _twice_in_a_body() -> ModelProto:
    proto = branching()
    proto.graph.node[1].attribute[0].g.node.append(node("Neg", "h", "up"))
    return proto


def _twice_in_a_function() -> ModelProto:
    inner = helper.make_function(
        "local", "f", ["a"], ["b"], [node("Relu", "a", "b"), node("Neg", "a", "b")],
        [helper.make_opsetid("", 17)],
    )  # fmt: skip
    proto = relu()
    proto.functions.append(inner)
    return proto


def _twice_sparse() -> ModelProto:
    proto = relu(stored("s", [1.0]))
    sparse = proto.graph.sparse_initializer.add()
    sparse.values.CopyFrom(stored("s", [1.0]))
    sparse.indices.CopyFrom(stored("", [0]))
    sparse.dims.append(2)
    return proto


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (_twice_by_nodes, "y"),
        (_twice_by_initializers, "y2"),
        (_node_and_initializer, "y"),
        (_node_and_input, "x2"),
        (_twice_as_input, "x"),
        (_twice_in_a_body, "up"),
        (_twice_in_a_function, "b"),
        (_twice_sparse, "s"),
    ],
)
def test_a_tensor_defined_twice_is_refused(made: Callable[[], ModelProto], name: str) -> None:
    """In the main graph, a body or a function."""
    with pytest.raises(
        ModelError,
        match=exactly(
            f"tensor '{name}' is defined twice, and readers differ in which definition they take; "
            "export the model again"
        ),
    ):
        admit(made())


def test_an_input_with_a_default_is_defined_once() -> None:
    """So were all weights before IR version 4."""
    proto = perceptron()
    proto.graph.input.append(value("w1", [8, 64]))
    admit(proto)


def test_branches_may_use_the_same_names() -> None:
    """Each body is a graph of its own, and may call its output what the node calls it."""
    admit(branching(("same", "same")))
    admit(branching(("y", "y")))


def test_omitted_outputs_are_not_one_tensor() -> None:
    """Several empty names stand for several outputs that nobody wants."""
    nodes = [node("Dropout", "x", "a _"), node("Dropout", "a", "y _")]
    admit(model(nodes, [value("x", [2])], [value("y", [2])]))


def _cyclic() -> ModelProto:
    nodes = [node("Relu", "x", "r"), node("Add", "r b", "a", name="first"), node("Neg", "a", "b")]
    return model(nodes, [value("x", [2])], [value("b", [2])])


def _cyclic_through_a_body() -> ModelProto:
    proto = branching()
    proto.graph.node[1].attribute[1].g.node[0].input[0] = "z"
    proto.graph.node[1].name = "first"
    return proto


@pytest.mark.parametrize("made", [_cyclic, _cyclic_through_a_body])
def test_nodes_that_wait_for_each_other_are_refused(made: Callable[[], ModelProto]) -> None:
    with pytest.raises(
        ModelError,
        match=exactly(
            "node 'first' waits for its own outputs, directly or through others; "
            "export the model again"
        ),
    ):
        admit(made())


def test_nodes_in_any_order_are_admitted() -> None:
    proto = perceptron()
    nodes = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend(reversed(nodes))
    admit(proto)


def test_two_versions_of_one_opset_are_refused() -> None:
    """The default domain has two names."""
    proto = relu()
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 13))
    with pytest.raises(
        ModelError,
        match=exactly(
            "the model imports opset 'ai.onnx' twice, as 17 and 13, and readers differ in which "
            "they take; export the model again"
        ),
    ):
        admit(proto)


def test_one_version_twice_is_admitted() -> None:
    proto = relu()
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 17))
    admit(proto)


def _named(place: str) -> ModelProto:
    """A model whose only NAME stands in one place."""
    proto = branching(("up", "down"))
    choice = proto.graph.node[1]
    then = choice.attribute[0].g
    if place == "a 'NAME' node":
        proto.graph.node[2].op_type = "NAME"
    elif place == "a 'Relu' node":
        proto.graph.node[2].output[0] = proto.graph.output[0].name = "NAME"
    elif place == "a 'Add' node":
        then.node[0].name = "NAME"
    elif place == "a 'If' node":
        choice.attribute[0].name = "NAME"
    elif place == "a graph value":
        then.output[0].name = "NAME"
    elif place == "a dimension":
        proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "NAME"
    elif place == "an opset":
        proto.opset_import.add(domain="NAME", version=1)
    elif place == "the model's producer":
        proto.producer_name = "NAME"
    else:
        proto.functions.append(
            helper.make_function("local", "NAME", ["a"], ["b"], [node("Relu", "a", "b")], [])
        )
    return proto


@pytest.mark.parametrize(
    "place",
    [
        "a 'NAME' node",
        "a 'Relu' node",
        "a 'Add' node",
        "a 'If' node",
        "a graph value",
        "a dimension",
        "an opset",
        "the model's producer",
        "a function",
    ],
)
def test_a_name_that_is_not_utf8_is_refused(place: str) -> None:
    """Protobuf hands it out as bytes, which no report could hold."""
    proto = _named(place)
    parse_model(with_bytes(proto, "NAME", b"name"))
    bearer = place.replace("a 'NAME' node", r"a b'\xff\xfe\xfd\xfc' node")
    bearer = bearer.replace("a function", "a graph value")
    with pytest.raises(
        ModelError,
        match=exactly(f"{bearer} bears a name that is not UTF-8; export the model again"),
    ):
        parse_model(with_bytes(proto, "NAME", b"\xff\xfe\xfd\xfc"))


@pytest.mark.parametrize("name", ["a\0b", "\x1b]0;pwn\x07", "\u202e<script>", "é", "x" * 10_000])
def test_a_name_of_any_characters_is_admitted(name: str) -> None:
    """Whoever prints it makes it printable."""
    proto = relu()
    proto.graph.node[0].output[0] = proto.graph.output[0].name = name
    assert opened(proto).outputs == (name,)


@pytest.mark.parametrize("proto", [perceptron(), branching(), looping()])
def test_admission_changes_nothing(proto: ModelProto) -> None:
    before = proto.SerializeToString(deterministic=True)
    admit(proto)
    assert proto.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_what_exporters_write_is_admitted(path: object) -> None:
    """Every model of this repository."""
    assert load_model(path).outputs  # type: ignore[arg-type]


def test_a_body_is_searched_at_any_depth() -> None:
    """What stands twice in the innermost of 20 bodies is found."""
    twice = body([node("Relu", "x", "d"), node("Neg", "x", "d")], [value("d", [2])])
    plain = body([node("Relu", "x", "d")], [value("d", [2])])
    for _ in range(20):
        twice = body(
            [node("If", "c", "d", then_branch=twice, else_branch=plain)], [value("d", [2])]
        )
    proto = model(twice.node, [value("c", [], "bool"), value("x", [2])], [value("d", [2])])
    with pytest.raises(ModelError, match=beginning("tensor 'd' is defined twice")):
        admit(proto)


def test_weights_are_not_the_business_of_the_structure() -> None:
    """An initializer that nothing reads is admitted."""
    admit(relu(stored("unused", weight(100, 100))))


def _many(what: str, count: int) -> ModelProto:
    proto = relu()
    if what == "inputs":
        proto.graph.input.extend(value(f"i{n}", [2]) for n in range(count))
    elif what == "values":
        proto.graph.value_info.extend(value(f"v{n}", [2]) for n in range(count))
    elif what == "opsets":
        proto.opset_import.extend(helper.make_opsetid(f"d{n}", 1) for n in range(count))
    elif what == "entries":
        for n in range(count):
            proto.metadata_props.add(key=str(n), value="")
    elif what == "functions":
        for n in range(count):
            proto.functions.add(name=f"f{n}", domain="d")
    elif what == "places":
        proto.graph.node[0].input.extend(["x"] * count)
    else:
        proto.graph.input[0].type.tensor_type.shape.dim.extend(
            type(proto.graph.input[0].type.tensor_type.shape.dim[0])() for _ in range(count)
        )
    return proto


@pytest.mark.parametrize(
    ("what", "limit", "sentence"),
    [
        ("inputs", "MAX_INPUTS", "inputs, and no network needs more than 5"),
        ("values", "MAX_VALUES", "outputs and declared values, and no network needs more than 5"),
        ("opsets", "MAX_IMPORTS", "opsets, and no network needs more than 5"),
        ("entries", "MAX_ENTRIES", "entries of metadata, and no network needs more than 5"),
        ("functions", "MAX_FUNCTIONS", "local functions, and no network needs more than 5"),
        ("places", "MAX_PLACES", "more than 5 inputs, outputs or attributes"),
        ("axes", "MAX_RANK", "declared with more than 5 axes"),
    ],
)
def test_whatever_a_model_lists_is_bounded(
    what: str, limit: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, limit, 5)
    admit(_many(what, 1))
    with pytest.raises(ModelError, match=sentence):
        admit(_many(what, 6))
