"""Derivatives of Loop and Scan: tangents travel through bodies beside what they belong to."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import GraphProto, TypeProto, ValueInfoProto

from onnxprobe.graph.model import tensor_type
from onnxprobe.graph.tangent.body import Body, differentiated
from onnxprobe.graph.tangent.emitter import Typed, Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import NoRuleError, Result, Rules
from onnxprobe.types import TensorType

__all__ = ["register"]


def _placed(node: Node, places: Sequence[int], names: Sequence[str]) -> list[Result]:
    results: list[Result] = [None] * len(node.proto.output)
    for place, name in zip(places, names, strict=True):
        if place < len(results):
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
        if kind.kind not in ("tensor", "sequence"):
            raise NoRuleError(f"it carries values that are no tensors (type {kind.kind})")
        kinds.append(kind)
    return kinds


def _typed(value: ValueInfoProto, name: str, kind: TensorType, *, led: bool = False) -> Typed:
    """Type a carried value, or its tangent, whose direction axis leads."""
    if kind.kind != "tensor":
        return name, _without_sizes(value.type), None
    shape = kind.shape
    if shape is not None:
        shape = tuple(None for _ in shape)
        shape = (None, *shape) if led else shape
    return name, kind.dtype, shape


def _without_sizes(declared: TypeProto) -> TypeProto:
    kind = TypeProto()
    kind.CopyFrom(declared)
    kind.sequence_type.elem_type.tensor_type.ClearField("shape")
    return kind


def _declared(value: ValueInfoProto, dtype: str) -> TensorType:
    """Return the type of a scalar that a Loop hands to its body."""
    kind = tensor_type(value)
    return TensorType(value.name, dtype, () if kind.shape is None else kind.shape)


def _loose(kind: TensorType) -> TensorType:
    """Keep the rank of a carried value and forget its sizes."""
    shape = None if kind.shape is None else (None,) * len(kind.shape)
    return TensorType(kind.name, kind.dtype, shape, kind.kind)


def _loop(node: Node) -> Sequence[Result]:
    e, body, proto = node.e, node.attr("body"), node.proto
    count = len(body.input) - 2
    # Runtimes shape the turn's number and the condition as the body declares them.
    kinds = [_declared(body.input[0], "int64"), _declared(body.input[1], "bool")]
    kinds += [_loose(kind) for kind in _state_types(node, body, 2, 2, count)]
    moved = {
        2 + place: e.fresh("carried@tangent") for place in range(count) if node.active(2 + place)
    }
    done = differentiated(
        node, body, kinds, moved, {2 + place: 1 + place for place in range(count)}
    )
    carried = sorted(place - 2 for place in done.carried)
    _check_ranks(node, done, 1, kinds[2:])
    scans = sorted(place for place in done.moving if place > count)
    inputs = done.graph.input
    given: list[Typed] = [(inputs[place].name, kinds[place].dtype, kinds[place].shape)
                          for place in (0, 1)]  # fmt: skip
    given += [
        _typed(value, value.name, kind) for value, kind in zip(inputs[2:], kinds[2:], strict=True)
    ]
    given += [
        _typed(inputs[2 + place], done.carried[2 + place], kinds[2 + place], led=True)
        for place in carried
    ]
    outputs = [1 + place for place in carried] + scans
    graph = done.write("loop", given, outputs, primal=range(count + 1))
    starts = [node.filled(2 + place) for place in carried]
    read: list[Value | str | None] = [name or None for name in proto.input]
    names = e.node("Loop", [*read, *starts], count + len(outputs), body=graph)
    results = _placed(node, carried, names[count : count + len(carried)])
    for place, name in zip(scans, names[count + len(carried) :], strict=True):
        # Turns are stacked in front of the directions; of no turn at all, nothing is known.
        rank = len(done.scope.shape(done.graph.output[place].name))
        stacked = Value(e, name, node.scope.dtype(proto.output[place - 1]) or "float32")
        turned = e.transpose(stacked, [1, 0, *range(2, rank + 2)])
        results[place - 1] = node.as_output(turned, place - 1)
    return results


def _check_ranks(node: Node, done: Body, first: int, kinds: Sequence[TensorType]) -> None:
    """Refuse states that change their rank from turn to turn, and tell the ranks of outputs.

    Args:
        node: The node.
        done: Its body.
        first: Which output of the body is the first output of the node.
        kinds: Types of the states as they start.

    Raises:
        NoRuleError: If a state changes its rank, or may do so and has a tangent.
    """
    scope, outputs = done.scope, node.proto.output
    for place, kind in enumerate(kinds):
        value = done.graph.output[first + place]
        if kind.kind != "tensor" or kind.shape is None or value.name not in scope.tangents:
            continue
        if len(scope.shape(value.name)) != len(kind.shape):
            raise NoRuleError("a value that it carries changes its rank from turn to turn")
        if place < len(outputs):
            node.scope.learn_rank(outputs[place], len(kind.shape), kind.dtype)
    for place in range(len(kinds), len(outputs)):
        value = done.graph.output[first + place]
        if scope.has_rank(value.name):
            rank = 1 + len(scope.shape(value.name))
            node.scope.learn_rank(outputs[place], rank, scope.dtype(value.name))


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
    moved = {place: e.fresh("scanned@tangent") for place in range(len(kinds)) if node.active(place)}
    done = differentiated(node, body, kinds, moved, {place: place for place in range(count)})
    _check_ranks(node, done, 0, kinds[:count])
    carried = sorted(place for place in done.carried if place < count)
    riding = sorted(place - count for place in done.carried if place >= count)
    stacked = sorted(place for place in done.moving if place >= count)
    inputs = done.graph.input

    def typed(places: Sequence[int]) -> list[Typed]:
        return [_typed(inputs[place], inputs[place].name, kinds[place]) for place in places]

    def led(places: Sequence[int]) -> list[Typed]:
        return [
            _typed(inputs[place], done.carried[place], kinds[place], led=True) for place in places
        ]

    given = typed(range(count)) + led(carried)
    given += typed(range(count, count + scanned)) + led([count + place for place in riding])
    graph = done.write("scan", given, [*carried, *stacked], primal=range(count))
    directions = list(node.attr("scan_input_directions", [0] * scanned))
    out_axes = node.attr("scan_output_axes", [0] * outputs)
    out_directions = node.attr("scan_output_directions", [0] * outputs)
    read: list[Value | str | None] = [node.x(place) for place in range(count)]
    read += [node.filled(place) for place in carried]
    read += [node.x(count + place) for place in range(scanned)]
    read += [node.t(count + place) for place in riding]
    names = e.node(
        "Scan",
        read,
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


def _after(done: Body, place: int, axis: int) -> int:
    rank = len(done.scope.shape(done.graph.output[place].name)) + 1
    return axis % rank + 1


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("Loop", _loop)
    table.add("Scan", _scan, since=9)
