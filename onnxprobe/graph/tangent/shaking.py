"""A derived graph at values that are off by about a rounding error each, drawn at random.

How far its tangents are from those of the graph itself tells what rounding may have done to them:
Monte Carlo arithmetic. Choices stay as they were: which branch, which side of a kink, which of the
largest; a network and its derivative are smooth in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from dataclasses import dataclass

from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    helper,
    shape_inference,
)

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import element_type
from onnxprobe.graph.names import FreshNames
from onnxprobe.graph.tangent.registry import is_flat
from onnxprobe.types import TensorType

__all__ = ["NOISE_LENGTH", "Shaken", "shaken"]

# Numbers drawn per run. Values of one run share them at different places; a prime number, so that
# places do not coincide in arrays of even sizes.
NOISE_LENGTH = 65521
_STRIDE = 7919
# Largest relative change, in units of the type's rounding error: twice as much for sums of several.
_WIDTH = 2.0
_FLOATS = frozenset({"float32", "float64"})
_UNIT_ROUNDING: dict[int, float] = {TensorProto.FLOAT: 2.0**-24, TensorProto.DOUBLE: 2.0**-53}
_DOMAIN = "onnxprobe.shaking"
# Inputs that decide how large something is, by operator.
_SHAPING = {"Range": (0, 1, 2), "Resize": (2,), "Upsample": (1,)}
# Opsets since which Slice takes inputs and Reshape sizes of zero, and the version of functions.
_SLICES_BY_INPUTS, _ZERO_SIZES, _FUNCTIONS = 10, 14, 8


@dataclass(frozen=True)
class Shaken:
    """A derived graph at changed values.

    Attributes:
        proto: The graph.
        noise: Its further input, shape (`NOISE_LENGTH`,), float32: what decides upon the changes,
            uniform in [-1, 1).
    """

    proto: ModelProto
    noise: str


def shaken(derived: ModelProto, tangents: Iterable[str], types: Mapping[str, TensorType]) -> Shaken:
    """Change every value that a derived graph differentiates at by about a rounding error.

    Args:
        derived: A graph that computes tangents; it is left as it is.
        tangents: Names of the inputs that are tangents.
        types: Types of the model's tensors.

    Returns:
        A graph with the same outputs, whose changes are read from a further input.

    Source:
        Parker 1997, Monte Carlo arithmetic: exploiting randomness in floating-point arithmetic.
    """
    proto = _typed(derived, types)
    graph = proto.graph
    names = {name for each in walk.nested_graphs(graph) for name in walk.defined_names(each)}
    names |= walk.defined_names(graph)
    shaker = _Shaker(FreshNames(names), _elements(graph), set(tangents))
    nodes: list[NodeProto] = []
    # Old files list what they store among the inputs.
    stored = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name in shaker.moved or value.name in stored:
            continue
        if value.type.tensor_type.elem_type in _UNIT_ROUNDING:
            shaker.twins[value.name] = shaker.shake(value.name, value.name, nodes)
    for node in graph.node:
        nodes += shaker.treat(node)
    result = ModelProto()
    result.CopyFrom(derived)
    del result.graph.node[:], result.graph.value_info[:]
    result.graph.node.extend([*shaker.draw.first_nodes(), *nodes])
    result.graph.initializer.extend(shaker.draw.constants())
    result.graph.input.append(
        helper.make_tensor_value_info(shaker.draw.noise, TensorProto.FLOAT, [NOISE_LENGTH])
    )
    opset = next(each.version for each in derived.opset_import if each.domain in {"", "ai.onnx"})
    result.functions.append(_function(opset))
    result.opset_import.append(helper.make_opsetid(_DOMAIN, 1))
    result.ir_version = max(result.ir_version, _FUNCTIONS)
    return Shaken(result, shaker.draw.noise)


def _function(opset: int) -> FunctionProto:
    """Write what changes one value: x·(1 + width·noise), the noise read from some place on."""

    def constant(output: str, value: int) -> NodeProto:
        return helper.make_node("Constant", [], [output], value=_whole(output, [value]))

    def write(operator: str, inputs: str, output: str) -> NodeProto:
        return helper.make_node(operator, inputs.split(), [output])

    shaped = write("Reshape", "drawn shape", "share")
    if opset >= _ZERO_SIZES:
        shaped.attribute.append(helper.make_attribute("allowzero", 1))
    ones = helper.make_node("ConstantOfShape", ["count"], ["ones"], value=_whole("one", [1]))
    drawn = [write("Slice", "enough start end", "drawn")]
    if opset < _SLICES_BY_INPUTS:
        drawn = [
            ones,
            write("NonZero", "ones", "element"),
            write("Add", "element start", "place"),
            write("Gather", "enough place", "drawn"),
        ]
    nodes = [
        constant("one", 1),
        constant("length", NOISE_LENGTH),
        write("Shape", "x", "shape"),
        write("Size", "x", "size"),
        write("Reshape", "size one", "count"),
        # Places are counted around, and what is longer than the noise reads it again.
        write("Div", "first length", "before"),
        write("Mul", "before length", "left"),
        write("Sub", "first left", "start"),
        write("Add", "start count", "end"),
        write("Div", "end length", "passed"),
        write("Add", "passed one", "turns"),
        write("Tile", "noise turns", "enough"),
        *drawn,
        shaped,
        write("Mul", "share width", "relative"),
        write("Mul", "x relative", "change"),
        write("Add", "x change", "y"),
    ]
    inputs = ["x", "noise", "first", "width"]
    return helper.make_function(
        _DOMAIN, "Shake", inputs, ["y"], nodes, [helper.make_opsetid("", opset)]
    )


def _whole(name: str, values: list[int]) -> TensorProto:
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


class _Draw:
    """Decides where each value reads the noise.

    Args:
        fresh: Where names come from.
    """

    def __init__(self, fresh: FreshNames) -> None:
        self._fresh = fresh
        self.noise = fresh.name("noise@shaken")
        self._exact_noise = fresh.name("exact_noise@shaken")
        self._stride = fresh.name("stride@shaken")
        self._widths: dict[int, str] = {}
        self._has_turns = False
        self._places: list[TensorProto] = []

    def shake(self, value: str, result: str, kind: int, turn: str) -> list[NodeProto]:
        """Write a changed copy of a value.

        Args:
            value: Its name.
            result: That of the copy.
            kind: Element type.
            turn: Turn of the loop that it is computed in, if any.

        Returns:
            The nodes.
        """
        first = self._fresh.name("place@shaken")
        at = len(self._places) * _STRIDE % NOISE_LENGTH
        self._places.append(_whole(first, [at]))
        nodes = []
        if turn:
            self._has_turns = True
            passed, start = self._fresh.name("passed@shaken"), self._fresh.name("place@shaken")
            nodes.append(helper.make_node("Mul", [turn, self._stride], [passed]))
            nodes.append(helper.make_node("Add", [first, passed], [start]))
            first = start
        noise = self.noise if kind == TensorProto.FLOAT else self._exact_noise
        if kind not in self._widths:
            self._widths[kind] = self._fresh.name("width@shaken")
        read = [value, noise, first, self._widths[kind]]
        return [*nodes, helper.make_node("Shake", read, [result], domain=_DOMAIN)]

    def first_nodes(self) -> list[NodeProto]:
        """Write what the main graph must begin with."""
        if TensorProto.DOUBLE not in self._widths:
            return []
        names = [self.noise], [self._exact_noise]
        return [helper.make_node("Cast", *names, to=TensorProto.DOUBLE)]

    def constants(self) -> list[TensorProto]:
        """Write what the main graph must store."""
        widths = [
            helper.make_tensor(name, kind, [], [_WIDTH * _UNIT_ROUNDING[kind]])
            for kind, name in self._widths.items()
        ]
        strides = [_whole(self._stride, [_STRIDE])] if self._has_turns else []
        return [*self._places, *widths, *strides]


class _Shaker:
    """Writes nodes at changed values beside those at the values themselves.

    Args:
        fresh: Where names come from.
        elements: Element types by name.
        moved: Values that depend on directions.
    """

    def __init__(self, fresh: FreshNames, elements: Mapping[str, int], moved: set[str]) -> None:
        self._fresh, self._elements, self.moved = fresh, elements, moved
        self.draw = _Draw(fresh)
        self.twins: dict[str, str] = {}
        self._turn = ""

    def inside(self, body: GraphProto, turn: str) -> _Shaker:
        """Return what treats a body's nodes."""
        inner = copy(self)
        inner._elements = {**self._elements, **_elements(body)}
        inner.moved, inner.twins, inner._turn = set(), dict(self.twins), turn or self._turn
        return inner

    def shake(self, name: str, value: str, nodes: list[NodeProto]) -> str:
        """Write a changed copy of a value, which is typed as some name is."""
        result = self._fresh.name(name)
        nodes += self.draw.shake(value, result, self._elements[name], self._turn)
        return result

    def treat(self, node: NodeProto) -> list[NodeProto]:
        """Write a node of the main graph, and its twin at changed values if it has one."""
        read = walk.read_names([node])
        if not read.isdisjoint(self.moved):
            self.moved.update(node.output)
            return [self._copied(node)]
        real = self._real(node)
        if read.isdisjoint(self.twins) or not real or is_flat(node):
            return [node]
        twin = self._copied(node)
        twin.name = ""
        nodes = [node, twin]
        for place, name in enumerate(node.output):
            if name:
                twin.output[place] = self._fresh.name(name)
        for name, other in zip(node.output, twin.output, strict=True):
            if name in real:
                self.twins[name] = self.shake(name, other, nodes)
        return nodes

    def _real(self, node: NodeProto) -> list[str]:
        return [name for name in node.output if self._elements.get(name) in _UNIT_ROUNDING]

    def _copied(self, node: NodeProto) -> NodeProto:
        twin = NodeProto()
        twin.CopyFrom(node)
        kept = _SHAPING.get(twin.op_type, ())
        for place, name in enumerate(twin.input):
            if place not in kept:
                twin.input[place] = self.twins.get(name, name)
        for body in walk.body_graphs(twin):
            turn = body.input[0].name if twin.op_type == "Loop" else ""
            self.inside(body, turn)._treat_body(body)
        return twin

    def _treat_body(self, body: GraphProto) -> None:
        """Change the values inside a body that follow from those outside, or from turns before."""
        following = {
            each.name for each in body.input if self._elements[each.name] in _UNIT_ROUNDING
        }
        nodes: list[NodeProto] = []
        for node in body.node:
            read = walk.read_names([node])
            twin = self._copied(node)
            nodes.append(twin)
            if is_flat(node) or (read.isdisjoint(following) and read.isdisjoint(self.twins)):
                continue
            for place, name in enumerate(node.output):
                if name in self._real(node):
                    twin.output[place] = self._fresh.name(name)
                    self.twins[name] = self.shake(name, twin.output[place], nodes)
        del body.node[:], body.value_info[:]
        body.node.extend(nodes)
        for value in body.output:
            value.name = self.twins.get(value.name, value.name)


def _typed(derived: ModelProto, types: Mapping[str, TensorType]) -> ModelProto:
    """Copy a graph with the type of every value that can be told."""
    proto = ModelProto()
    proto.CopyFrom(derived)
    known = {value.name for value in proto.graph.value_info}
    proto.graph.value_info.extend(
        helper.make_tensor_value_info(name, element_type(kind.dtype), kind.shape)
        for name, kind in types.items()
        if kind.dtype in _FLOATS and kind.kind == "tensor" and name not in known
    )
    try:
        return shape_inference.infer_shapes(proto)
    except Exception:  # noqa: BLE001 (the native code throws many; what is not typed is not shaken)
        return proto


def _elements(graph: GraphProto) -> dict[str, int]:
    values = [*graph.input, *graph.value_info, *graph.output]
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}
