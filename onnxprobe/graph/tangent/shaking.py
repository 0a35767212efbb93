"""A derived graph at values that are off by about a rounding error each, drawn at random.

How far its tangents are from those of the graph itself tells what rounding may have done to them:
Monte Carlo arithmetic. Choices stay as they were: which branch, which side of a kink, which of the
largest; a network and its derivative are smooth in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, shape_inference

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import element_type
from onnxprobe.graph.tangent.registry import is_flat
from onnxprobe.types import TensorType

__all__ = ["shaken"]

# Largest relative change, in units of the type's rounding error: twice as much for sums of several.
_WIDTH = 2.0
_UNIT_ROUNDING: dict[int, float] = {TensorProto.FLOAT: 2.0**-24, TensorProto.DOUBLE: 2.0**-53}


def shaken(
    derived: ModelProto, tangents: Iterable[str], types: Mapping[str, TensorType]
) -> ModelProto:
    """Change every value that a derived graph differentiates at by about a rounding error.

    Args:
        derived: A graph that computes tangents; it is left as it is.
        tangents: Names of the inputs that are tangents.
        types: Types of the model's tensors.

    Returns:
        A graph with the same inputs and outputs, which draws other changes at every run.

    Source:
        Parker 1997, Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic.
    """
    proto = _typed(derived, types)
    graph = proto.graph
    names = {name for each in walk.nested_graphs(graph) for name in walk.defined_names(each)}
    names |= walk.defined_names(graph)
    shaker = _Shaker(names, _elements(graph), moved=set(tangents))
    nodes: list[NodeProto] = []
    for value in graph.input:
        if value.name not in shaker.moved and value.type.tensor_type.elem_type in _UNIT_ROUNDING:
            shaker.twins[value.name] = shaker.shake(value.name, value.name, nodes)
    for node in graph.node:
        nodes += shaker.treat(node)
    result = ModelProto()
    result.CopyFrom(derived)
    del result.graph.node[:], result.graph.value_info[:]
    result.graph.node.extend(nodes)
    return result


@dataclass
class _Shaker:
    """Writes nodes at changed values beside those at the values themselves.

    Attributes:
        names: Names that are taken.
        elements: Element types by name.
        moved: Values that depend on directions.
        twins: By name, the same value changed.
    """

    names: set[str]
    elements: dict[str, int]
    moved: set[str]
    twins: dict[str, str] = field(default_factory=dict)

    def fresh(self, wanted: str) -> str:
        name, number = f"{wanted}@shaken", 2
        while name in self.names:
            name, number = f"{wanted}@shaken{number}", number + 1
        self.names.add(name)
        return name

    def shake(self, name: str, value: str, nodes: list[NodeProto]) -> str:
        """Write a changed copy of a value, as a name is typed."""
        width = _WIDTH * _UNIT_ROUNDING[self.elements[name]]
        drawn, part, result = (self.fresh(name) for _ in range(3))
        nodes.append(
            helper.make_node("RandomUniformLike", [value], [drawn], low=-width, high=width)
        )
        nodes.append(helper.make_node("Mul", [value, drawn], [part]))
        nodes.append(helper.make_node("Add", [value, part], [result]))
        return result

    def treat(self, node: NodeProto) -> list[NodeProto]:
        """Write a node of the main graph, and its twin at changed values if it has one."""
        read = walk.read_names([node])
        if not read.isdisjoint(self.moved):
            self.moved.update(node.output)
            return [self._copied(node)]
        real = [name for name in node.output if self.elements.get(name) in _UNIT_ROUNDING]
        if read.isdisjoint(self.twins) or not real or is_flat(node):
            return [node]
        twin = self._copied(node)
        nodes = [node, twin]
        for place, name in enumerate(node.output):
            if name:
                twin.output[place] = self.fresh(name)
        for name, other in zip(node.output, twin.output, strict=True):
            if name in real:
                self.twins[name] = self.shake(name, other, nodes)
        return nodes

    def _copied(self, node: NodeProto) -> NodeProto:
        copy = NodeProto()
        copy.CopyFrom(node)
        for place, name in enumerate(copy.input):
            copy.input[place] = self.twins.get(name, name)
        for body in walk.body_graphs(copy):
            self._treat_body(body)
        return copy

    def _treat_body(self, body: GraphProto) -> None:
        """Change the values inside a body that follow from those outside, or from turns before."""
        elements = self.elements | _elements(body)
        inner = _Shaker(self.names, elements, set(), dict(self.twins))
        following = {value.name for value in body.input if elements[value.name] in _UNIT_ROUNDING}
        nodes: list[NodeProto] = []
        for node in body.node:
            read = walk.read_names([node])
            copy = inner._copied(node)
            nodes.append(copy)
            if is_flat(node) or (read.isdisjoint(following) and read.isdisjoint(inner.twins)):
                continue
            for place, name in enumerate(node.output):
                if name and elements.get(name) in _UNIT_ROUNDING:
                    copy.output[place] = inner.fresh(name)
                    inner.twins[name] = inner.shake(name, copy.output[place], nodes)
        del body.node[:], body.value_info[:]
        body.node.extend(nodes)
        for value in body.output:
            value.name = inner.twins.get(value.name, value.name)


def _typed(derived: ModelProto, types: Mapping[str, TensorType]) -> ModelProto:
    """Copy a graph with the type of every value that can be told."""
    proto = ModelProto()
    proto.CopyFrom(derived)
    known = {value.name for value in proto.graph.value_info}
    proto.graph.value_info.extend(
        helper.make_tensor_value_info(name, element_type(kind.dtype), kind.shape)
        for name, kind in types.items()
        if kind.dtype is not None and kind.kind == "tensor" and name not in known
    )
    try:
        return shape_inference.infer_shapes(proto)
    except Exception:  # noqa: BLE001 (the native code throws many; what is not typed is not shaken)
        return proto


def _elements(graph: GraphProto) -> dict[str, int]:
    values = [*graph.input, *graph.value_info, *graph.output]
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}
