"""Derivatives of control flow: tangents travel through bodies beside the values they belong to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnx import GraphProto, NodeProto, numpy_helper

from onnxprobe.graph.model import tensor_type
from onnxprobe.graph.tangent.emitter import Typed, Value
from onnxprobe.graph.tangent.expansion import renamed_body
from onnxprobe.graph.tangent.inference import infer_written
from onnxprobe.graph.tangent.node import Node, Scope, Tangent
from onnxprobe.graph.tangent.registry import NoRuleError, Result, Rules
from onnxprobe.types import TensorType

__all__ = ["register"]


@dataclass
class _Body:
    """A body that was copied and differentiated.

    Attributes:
        graph: The copy, every name fresh.
        scope: What is known inside, tangents included.
        nodes: Nodes of the copy, and behind them those that compute tangents.
    """

    graph: GraphProto
    scope: Scope
    nodes: list[NodeProto]

    @property
    def moving(self) -> set[int]:
        """Places of the outputs that have a tangent."""
        return {
            place
            for place, value in enumerate(self.graph.output)
            if value.name in self.scope.tangents
        }

    def write(
        self,
        label: str,
        inputs: Sequence[Typed],
        outputs: Sequence[int],
        primal: Sequence[int] = (),
    ) -> GraphProto:
        """Make the body of the node that computes tangents.

        Args:
            label: What to call it.
            inputs: Its inputs.
            outputs: Places of the outputs whose tangents it gives.
            primal: Places of the outputs that it gives as they are, before those.

        Returns:
            The body.
        """
        e = self.scope.emitter
        e.open(self.nodes)
        names = [self.graph.output[place].name for place in outputs]
        tangents = [e.op("Identity", self.scope.filled(each)) for each in names]
        e.close()
        given: list[Typed] = []
        for place in primal:
            name = self.graph.output[place].name
            known = self.scope.types.get(name, TensorType(name, None, None))
            given.append((name, known.dtype, known.shape))
        for each, tangent in zip(names, tangents, strict=True):
            known = self.scope.types.get(each, TensorType(each, None, None))
            shape = None if known.shape is None else (None, *known.shape)
            given.append((tangent.name, tangent.dtype, shape))
        graph = e.graph(e.fresh(label), self.nodes, inputs, given)
        graph.initializer.extend(self.graph.initializer)
        graph.sparse_initializer.extend(self.graph.sparse_initializer)
        return graph


def _differentiated(
    node: Node, body: GraphProto, types: Sequence[TensorType], tangents: Mapping[int, str]
) -> _Body:
    """Copy a body and differentiate it.

    Args:
        node: The node that holds it.
        body: The body.
        types: Types of its inputs.
        tangents: By place of an input, the name that its tangent has inside.

    Returns:
        The copy with its tangents.

    Raises:
        NoRuleError: If a node inside has no derivative.
    """
    e = node.e
    copy = renamed_body(body, e)
    scope = node.scope.inner(node.scope.outcome)
    for value, kind in zip(copy.input, types, strict=False):
        scope.types[value.name] = TensorType(value.name, kind.dtype, kind.shape, kind.kind)
    for tensor in copy.initializer:
        array = numpy_helper.to_array(tensor)
        scope.types[tensor.name] = TensorType(tensor.name, str(array.dtype), array.shape)
        e.remember(tensor.name, array)
    for place, name in tangents.items():
        inner = copy.input[place].name
        scope.tangents[inner] = Tangent(lead=Value(e, name, scope.dtype(inner) or "float32"))
    with e.body() as nodes:
        nodes.extend(copy.node)
        infer_written(scope, nodes)
        failed = dict(scope.outcome.failed)
        scope.walk(scope, list(copy.node))
        fresh = [each for each in scope.outcome.failed if each not in failed]
        if fresh:
            reason = scope.outcome.failed[fresh[0]]
            for each in fresh:
                del scope.outcome.failed[each]
            raise NoRuleError(reason)
    return _Body(copy, scope, nodes)


def _if(node: Node) -> Sequence[Result]:
    branches = {
        name: _differentiated(node, node.attr(name), [], {})
        for name in ("then_branch", "else_branch")
    }
    moving = sorted(set.union(*(each.moving for each in branches.values())))
    moving = [place for place in moving if node.proto.output[place]]
    if not moving:
        return [None] * len(node.proto.output)
    bodies: dict[str, Any] = {name: each.write(name, [], moving) for name, each in branches.items()}
    names = node.e.node("If", [node.x(0)], len(moving), **bodies)
    return _placed(node, moving, names)


def _placed(node: Node, places: Sequence[int], names: Sequence[str]) -> list[Result]:
    results: list[Result] = [None] * len(node.proto.output)
    for place, name in zip(places, names, strict=True):
        dtype = node.scope.dtype(node.proto.output[place]) or "float32"
        results[place] = Value(node.e, name, dtype)
    return results


def _state_types(
    node: Node, body: GraphProto, first: int, offset: int, count: int
) -> list[TensorType]:
    """Types of carried values inside a body: their sizes may change from turn to turn."""
    kinds = []
    for place in range(count):
        name = node.proto.input[first + place]
        known = node.scope.types.get(name, TensorType(name, None, None))
        declared = tensor_type(body.input[offset + place])
        kind = known if known.kind != "tensor" or known.dtype else declared
        if kind.kind != "tensor":
            raise NoRuleError(f"it carries a {kind.kind}")
        kinds.append(kind)
    return kinds


def _typed(name: str, kind: TensorType, *, led: bool = False) -> Typed:
    shape = kind.shape
    if shape is not None:
        shape = tuple(None for _ in shape)
        shape = (None, *shape) if led else shape
    return name, kind.dtype, shape


def _loop(node: Node) -> Sequence[Result]:
    e, body, proto = node.e, node.attr("body"), node.proto
    count = len(body.input) - 2
    kinds = [TensorType("", "int64", ()), TensorType("", "bool", ())]
    kinds += [_loose(kind) for kind in _state_types(node, body, 2, 2, count)]
    moving = {place for place in range(count) if node.active(2 + place)}
    while True:
        inside = {place: e.fresh("carried@tangent") for place in sorted(moving)}
        done = _differentiated(
            node, body, kinds, {2 + place: name for place, name in inside.items()}
        )
        found = {place - 1 for place in done.moving if 1 <= place <= count}
        if found <= moving:
            break
        moving |= found
    scans = sorted(place for place in done.moving if place > count)
    carried = sorted(moving)
    graph = done.write(
        "loop",
        [_typed(value.name, kind) for value, kind in zip(done.graph.input, kinds, strict=True)]
        + [_typed(inside[place], kinds[2 + place], led=True) for place in carried],
        [1 + place for place in carried] + scans,
        primal=range(count + 1),
    )
    starts = [node.filled(2 + place) for place in carried]
    given: list[Value | str | None] = [name or None for name in proto.input]
    names = e.node("Loop", [*given, *starts], count + len(carried) + len(scans), body=graph)
    results = _placed(
        node,
        [place for place in carried if place < len(proto.output)],
        [
            name
            for place, name in zip(carried, names[count : count + len(carried)], strict=True)
            if place < len(proto.output)
        ],
    )
    for place, name in zip(scans, names[count + len(carried) :], strict=True):
        # Turns are stacked in front of the directions.
        rank = len(done.scope.shape(done.graph.output[place].name))
        stacked = Value(e, name, node.scope.dtype(proto.output[place - 1]) or "float32")
        results[place - 1] = e.transpose(stacked, [1, 0, *range(2, rank + 2)])
    return results


def _loose(kind: TensorType) -> TensorType:
    """Keep the rank of a carried value and forget its sizes."""
    shape = None if kind.shape is None else (None,) * len(kind.shape)
    return TensorType(kind.name, kind.dtype, shape, kind.kind)


def _scan(node: Node) -> Sequence[Result]:
    """Scan from opset 9; scanned tangents ride along, their axis one further."""
    e, body = node.e, node.attr("body")
    scanned = node.attr("num_scan_inputs")
    count = len(body.input) - scanned
    outputs = len(body.output) - count
    axes = list(node.attr("scan_input_axes", [0] * scanned))
    kinds = [_loose(kind) for kind in _state_types(node, body, 0, 0, count)]
    for place in range(scanned):
        shape = node.shape(count + place)
        axis = axes[place] % len(shape)
        sizes = tuple(size for other, size in enumerate(shape) if other != axis)
        kinds.append(TensorType("", node.x(count + place).dtype, sizes))
    moving = {place for place in range(count) if node.active(place)}
    riding = [place for place in range(scanned) if node.active(count + place)]
    while True:
        inside = {place: e.fresh("carried@tangent") for place in sorted(moving)}
        inside |= {count + place: e.fresh("scanned@tangent") for place in riding}
        done = _differentiated(node, body, kinds, inside)
        found = {place for place in done.moving if place < count}
        if found <= moving:
            break
        moving |= found
    stacked = sorted(place for place in done.moving if place >= count)
    carried = sorted(moving)
    inputs = [_typed(done.graph.input[place].name, kinds[place]) for place in range(count)]
    inputs += [_typed(inside[place], kinds[place], led=True) for place in carried]
    inputs += [
        _typed(done.graph.input[place].name, kinds[place])
        for place in range(count, count + scanned)
    ]
    inputs += [_typed(inside[count + place], kinds[count + place], led=True) for place in riding]
    graph = done.write("scan", inputs, [*carried, *stacked], primal=range(count))
    directions = list(node.attr("scan_input_directions", [0] * scanned))
    out_axes = node.attr("scan_output_axes", [0] * outputs)
    out_directions = node.attr("scan_output_directions", [0] * outputs)
    given: list[Value | str | None] = [node.x(place) for place in range(count)]
    given += [node.filled(place) for place in carried]
    given += [node.x(count + place) for place in range(scanned)]
    given += [node.t(count + place) for place in riding]
    names = e.node(
        "Scan",
        given,
        count + len(carried) + len(stacked),
        body=graph,
        num_scan_inputs=scanned + len(riding),
        scan_input_axes=axes + [node.axis(axes[each], node.rank(count + each)) for each in riding],
        scan_input_directions=directions + [directions[each] for each in riding],
        scan_output_axes=[_after(done, place, out_axes[place - count]) for place in stacked]
        or None,
        scan_output_directions=[out_directions[place - count] for place in stacked] or None,
    )
    return _placed(node, [*carried, *stacked], names[count:])


def _after(done: _Body, place: int, axis: int) -> int:
    rank = len(done.scope.shape(done.graph.output[place].name)) + 1
    return axis % rank + 1


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("If", _if)
    table.add("Loop", _loop)
    table.add("Scan", _scan, since=9)
