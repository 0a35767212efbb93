"""Writing an operator as simpler ones, whose derivatives are then the operator's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TypeProto, defs, helper

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import element_type
from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import NO_RULE, NoRuleError

__all__ = ["expand_by_function", "renamed_body"]

# From this one on, operators that bodies are made of have only learnt more types.
SETTLED_OPSET = 18
# Their bodies are made of Loop and operators of sequences, which have done so from opset 17 on.
_SETTLED_BEFORE = {"SequenceMap": 17}


def expand_by_function(node: Node) -> list[Value | None]:
    """Write the function body that ONNX defines an operator by.

    Args:
        node: A node.

    Returns:
        Its outputs, as the body computes them.

    Raises:
        NoRuleError: If the operator has no body for these inputs at this opset.
    """
    function = _body(node)
    proto, e = node.proto, node.e
    given = dict(zip(function.input, proto.input, strict=False))
    renaming = {name: given.get(name, "") for name in function.input}
    attributes = {each.name: each for each in function.attribute_proto}
    attributes |= {each.name: each for each in proto.attribute}
    for inner in function.node:
        made = NodeProto()
        made.CopyFrom(inner)
        _bind(made, attributes)
        _rename(made, renaming, e)
        e.nodes.append(made)
    outputs: list[Value | None] = []
    for place, name in enumerate(proto.output):
        inside = renaming.get(function.output[place], "")
        dtype = node.scope.dtype(name) or "float32"
        outputs.append(Value(e, inside, dtype) if name and inside else None)
    return outputs


def _body(node: Node) -> FunctionProto:
    proto = node.proto
    opset = node.scope.opsets.get(proto.domain or "ai.onnx", 1)
    schema: Any
    try:
        schema = defs.get_schema(proto.op_type, opset, proto.domain)
    except defs.SchemaError:
        where = f" at opset {opset}" if proto.domain in ("", "ai.onnx") else ""
        raise NoRuleError(f"{NO_RULE}, and onnx does not define it{where}") from None
    settled = _SETTLED_BEFORE.get(proto.op_type, SETTLED_OPSET)
    if schema.has_function:
        for version in _versions(opset, settled, schema.function_opset_versions):
            content = schema.get_function_with_opset_version(version)
            if content is not None:
                return FunctionProto.FromString(content)
    if schema.has_context_dependent_function:
        types = [_type(node, place) for place in range(len(proto.input))]
        written = schema.context_dependent_function_opset_versions
        for version in _versions(opset, settled, written):
            content = schema.get_context_dependent_function_with_opset_version(
                version, proto.SerializeToString(), types
            )
            if content:
                function = FunctionProto.FromString(content)
                _declare_elements(function, proto)
                return function
    raise NoRuleError(NO_RULE)


def _declare_elements(function: FunctionProto, node: NodeProto) -> None:
    """Keep what a body says of the elements that it is called with: inference tells nothing."""
    declared = [value for body in walk.body_graphs(node) for value in body.input]
    for inner in function.node:
        for body in walk.body_graphs(inner):
            written = {name for each in body.node for name in each.output}
            body.value_info.extend(each for each in declared if each.name in written)


def _versions(opset: int, settled: int, written: Iterable[int]) -> list[int]:
    """Return the opsets whose body of an operator may stand in a model, best first."""
    older = (each for each in written if settled <= each < opset)
    return [opset, *sorted(older, reverse=True)]


def _type(node: Node, place: int) -> bytes:
    name = node.proto.input[place]
    kind = node.scope.types.get(name) if name else None
    holds = kind.dtype if kind else None
    # Native code reads past the end of what is no sequence.
    if (kind and kind.kind == "sequence") or (node.proto.op_type, place) == ("SequenceMap", 0):
        element = helper.make_tensor_type_proto(element_type(holds or "float32"), None)
        return helper.make_sequence_type_proto(element).SerializeToString()
    if kind is None or holds is None:
        return TypeProto().SerializeToString()
    return helper.make_tensor_type_proto(element_type(holds), kind.shape).SerializeToString()


def _bind(node: NodeProto, attributes: Mapping[str, AttributeProto]) -> None:
    """Replace references to the function's attributes by the values at this node."""
    bound = []
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            bound.append(attribute)
        elif attribute.ref_attr_name in attributes:
            value = AttributeProto()
            value.CopyFrom(attributes[attribute.ref_attr_name])
            value.name = attribute.name
            bound.append(value)
    kept = [AttributeProto.FromString(each.SerializeToString()) for each in bound]
    del node.attribute[:]
    node.attribute.extend(kept)
    for body in walk.body_graphs(node):
        for inner in body.node:
            _bind(inner, attributes)


def _rename(node: NodeProto, renaming: dict[str, str], e: Emitter) -> None:
    """Rename what a node reads, and give what it writes fresh names."""
    for place, name in enumerate(node.input):
        node.input[place] = renaming.get(name, name)
    for body in walk.body_graphs(node):
        _rename_body(body, renaming, e)
    if not node.name and any(node.output):
        # By what it was called, it is found again in the model.
        node.name = next(filter(None, node.output))
    for place, name in enumerate(node.output):
        if name:
            renaming[name] = e.fresh(name)
            node.output[place] = renaming[name]


def _rename_body(body: GraphProto, outer: Mapping[str, str], e: Emitter) -> None:
    renaming = dict(outer)
    for value in body.input:
        renaming[value.name] = e.fresh(value.name)
        value.name = renaming[value.name]
    for tensor in body.initializer:
        renaming[tensor.name] = e.fresh(tensor.name)
        tensor.name = renaming[tensor.name]
    for sparse in body.sparse_initializer:
        renaming[sparse.values.name] = e.fresh(sparse.values.name)
        sparse.values.name = renaming[sparse.values.name]
    for node in body.node:
        _rename(node, renaming, e)
    for value in [*body.output, *body.value_info]:
        value.name = renaming.get(value.name, value.name)


def renamed_body(body: GraphProto, e: Emitter) -> GraphProto:
    """Copy the body of a control-flow node, every name inside it fresh.

    Args:
        body: The body.
        e: Where names come from.

    Returns:
        A body that computes the same.
    """
    copy = GraphProto()
    copy.CopyFrom(body)
    _rename_body(copy, {}, e)
    return copy
