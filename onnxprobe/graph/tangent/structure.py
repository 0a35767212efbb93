"""Derivatives of operators that move elements without changing them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.node import Node, total
from onnxprobe.graph.tangent.registry import NoRuleError, Result, Rules

__all__ = ["gathered_along", "register", "shifted", "with_directions"]

GATHERS_ELEMENTS = 11


def shifted(node: Node, index: int, rank: int) -> Value:
    """Turn axes of a tensor, given as an input, into axes of its tangent.

    Args:
        node: The node.
        index: Which input holds the axes.
        rank: Rank of the tensor.

    Returns:
        A value of the same type, all of whose axes are counted from the front.
    """
    axes, dtype = node.x(index), node.x(index).dtype
    stored = node.constant(index)
    if stored is not None:
        return node.e.constant((stored % rank + 1).astype(stored.dtype))
    from_front = node.e.where(axes < 0.0, axes + node.e.scalar(rank, dtype), axes)
    return from_front + node.e.scalar(1, dtype)


def _reshape(node: Node) -> Sequence[Result]:
    node.only(0)
    return [node.as_output(node.t())]


def _transpose(node: Node) -> Sequence[Result]:
    rank = node.rank()
    order = node.attr("perm") or list(reversed(range(rank)))
    return [node.e.transpose(node.t(), [0, *(axis + 1 for axis in order)])]


def _concat(node: Node) -> Sequence[Result]:
    rank = len(node.out_shape)
    axis = node.axis(node.attr("axis", 1), rank)
    parts = [node.filled(index) for index in range(len(node.proto.input))]
    return [node.e.concat(parts, axis)]


def _split(node: Node) -> Sequence[Result]:
    node.only(0)
    axis = node.axis(node.attr("axis", 0))
    outputs = len(node.proto.output)
    names = node.repeat({0: node.t()}, outputs, axis=axis)
    return [Value(node.e, name, node.t().dtype) for name in names]


def _slice(node: Node) -> Sequence[Result]:
    node.only(0)
    rank = node.rank()
    if node.attr("starts") is not None:
        starts = node.attr("starts")
        axes = [node.axis(axis) for axis in node.attr("axes", range(len(starts)))]
        return [node.linear(node.t(), axes=axes)]
    inputs = {0: node.t()}
    starts = node.x(1)
    if node.has(3):
        inputs[3] = shifted(node, 3, rank)
        return [_named(node, inputs)]
    bounds = [node.x(1), node.x(2)]
    count = node.scope.shape(starts.name)[0]
    if count is None:
        raise NoRuleError("it is not known how many axes are sliced")
    axes_value = node.e.constant(np.arange(1, count + 1, dtype=starts.dtype))
    steps = [node.x(4)] if node.has(4) else []
    return [node.e.op("Slice", node.t(), *bounds, axes_value, *steps)]


def _named(node: Node, inputs: dict[int, Value]) -> Value:
    (name,) = node.repeat(inputs)
    return Value(node.e, name, node.y().dtype)


def _gather(node: Node) -> Sequence[Result]:
    node.only(0)
    return [node.linear(node.t(), axis=node.axis(node.attr("axis", 0)))]


def with_directions(node: Node, index: int) -> Value:
    """Repeat an input of a node along a leading axis of directions.

    Args:
        node: The node.
        index: Which input.

    Returns:
        Shape (k, *S).
    """
    e, value = node.e, node.x(index)
    sizes = e.concat([node.scope.directions, node.sizes(index)])
    return e.expand(value, sizes)


def _gather_elements(node: Node) -> Sequence[Result]:
    node.only(0)
    axis = node.axis(node.attr("axis", 0))
    (name,) = node.repeat({0: node.t(), 1: with_directions(node, 1)}, axis=axis)
    return [Value(node.e, name, node.t().dtype)]


def _behind(value: Value, rank: int) -> Value:
    """Move the direction axis behind the axes of the tensor."""
    return value.emitter.transpose(value, [*range(1, rank + 1), 0])


def _in_front(value: Value, rank: int) -> Value:
    return value.emitter.transpose(value, [rank, *range(rank)])


def _gather_nd(node: Node) -> Sequence[Result]:
    # Whole slices are gathered, so the directions ride along as the last axis of each.
    moved = node.linear(_behind(node.t(), node.rank()))
    return [_in_front(moved, len(node.out_shape))]


def _pad(node: Node) -> Sequence[Result]:
    node.only(0, 2)
    terms = []
    if node.active(0):
        terms.append(_padded_tangent(node))
    if node.active(2):
        # The padding moves with the value that it has.
        e, rank = node.e, node.rank()
        nothing = e.zeros(e.shape(node.x()), node.x().dtype)
        (name,) = node.repeat({0: nothing, 2: e.scalar(1, nothing.dtype)})
        value = e.reshape(node.t(2), [-1, *[1] * rank])
        terms.append(value * Value(e, name, nothing.dtype))
    return [total(terms)]


def _padded_tangent(node: Node) -> Value:
    rank, tangent = node.rank(), node.t()
    old = node.attr("pads") or node.attr("paddings")
    if old is not None:
        pads = [0, *old[:rank], 0, *old[rank:]]
        return node.e.op("Pad", tangent, pads=pads, mode=node.attr("mode"))
    names: list[Value | None] = [tangent]
    if node.has(3):
        names += [node.x(1), None, shifted(node, 3, rank)]
    else:
        nothing, pads_value = node.e.constant([0]), node.x(1)
        before = node.e.slice(pads_value, 0, rank)
        after = node.e.slice(pads_value, rank, 2 * rank)
        names.append(node.e.concat([nothing, before, nothing, after]))
    (name,) = node.e.node("Pad", names, mode=node.attr("mode"))
    return Value(node.e, name, tangent.dtype)


def _expand(node: Node) -> Sequence[Result]:
    aligned = node.aligned(0, len(node.out_shape))
    return [node.e.expand(aligned, node.out_sizes())]


def _tile(node: Node) -> Sequence[Result]:
    node.only(0)
    if len(node.proto.input) > 2:
        raise NoRuleError("Tile before opset 6")
    repeats = node.e.concat([node.e.constant([1]), node.x(1)])
    return [node.e.op("Tile", node.t(), repeats)]


def _compress(node: Node) -> Sequence[Result]:
    axis = node.attr("axis")
    if axis is not None:
        return [node.linear(node.t(), axis=node.axis(axis))]
    flat = node.e.reshape(node.t(), [0, -1])
    return [node.linear(flat, axis=1)]


def _trilu(node: Node) -> Sequence[Result]:
    return [node.linear(node.t())]


def _folded_blocks(node: Node) -> Sequence[Result]:
    result = node.linear(node.fold())
    return [node.as_output(result)]


def gathered_along(node: Node, tangent: Value, places: Value, axis: int) -> Value:
    """Take from the tangent of the first input, element by element along an axis.

    Args:
        node: The node.
        tangent: Shape (k, *S).
        places: Which element along the axis, for every element of the result, shape P.
        axis: An axis of the first input, from 0.

    Returns:
        Shape (k, *P).

    Raises:
        NoRuleError: If the opset has no operator for it and the sizes are not fixed.
    """
    e = node.e
    sizes = e.concat([node.scope.directions, node.scope.sizes(places.name)])
    if e.opset >= GATHERS_ELEMENTS:
        return e.op("GatherElements", tangent, e.expand(places, sizes), axis=axis + 1)
    shape, given = node.shape(), node.scope.shape(places.name)
    if None in shape or None in given:
        raise NoRuleError(f"sizes that are not fixed, before opset {GATHERS_ELEMENTS}")
    strides = np.cumprod([1, *shape[:0:-1]])[::-1]
    grid = np.indices([size or 0 for size in given])
    others = sum(grid[each] * strides[each] for each in range(len(given)) if each != axis)
    flat = places * float(strides[axis]) + e.constant(np.asarray(others, np.int64))
    picked = e.gather(e.reshape(tangent, [0, -1]), e.reshape(flat, [-1]), 1)
    return e.reshape(picked, sizes)


def _top_k(node: Node) -> Sequence[Result]:
    """The order of the elements does not move: gather where they stand."""
    node.only(0)
    axis = node.attr("axis", -1) % node.rank()
    return [gathered_along(node, node.t(), node.y(1), axis), None]


def _unique(node: Node) -> Sequence[Result]:
    """What is unique stands where it is found first."""
    _, found = node.repeat({}, 2)
    places = Value(node.e, found, "int64")
    axis = node.attr("axis")
    if axis is not None:
        return [node.e.op("Gather", node.t(), places, axis=node.axis(axis)), None, None, None]
    flat = node.e.reshape(node.t(), [0, -1])
    return [node.e.op("Gather", flat, places, axis=1), None, None, None]


def _range(node: Node) -> Sequence[Result]:
    e, dtype = node.e, node.y().dtype
    (count,) = e.node("Shape", [node.y()])
    steps = Value(e, count, "int64")
    one, zero = e.constant(np.array(1)), e.constant(np.array(0))
    whole = e.squeeze(steps, [0])
    index = e.op("Range", zero, whole, one).cast(dtype)
    # Runtimes also take one element for a scalar.
    start, step = (e.reshape(node.filled(place), [-1, 1]) for place in (0, 2))
    return [start + step * index]


def _cum_sum(node: Node) -> Sequence[Result]:
    (name,) = node.repeat({0: node.t(), 1: shifted(node, 1, node.rank())})
    return [Value(node.e, name, node.t().dtype)]


def _one_hot(node: Node) -> Sequence[Result]:
    """Linear in the two values: the hot places have one, the others the other."""
    node.only(2)
    e, dtype = node.e, node.y().dtype
    zero_one = e.constant(np.array([0, 1], dtype))
    (name,) = node.repeat({2: zero_one})
    hot = Value(e, name, dtype)
    rank = len(node.out_shape)
    values = e.unsqueeze(node.t(2), list(range(2, rank + 1)))
    return [e.slice(values, 0, 1, 1) * (1.0 - hot) + e.slice(values, 1, 2, 1) * hot]


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("Reshape Flatten Squeeze Unsqueeze", _reshape)
    table.add("Transpose", _transpose)
    table.add("Concat", _concat, since=4)
    table.add("Split", _split, since=2)
    table.add("Slice", _slice)
    table.add("Gather", _gather)
    table.add("GatherElements", _gather_elements)
    table.add("GatherND", _gather_nd)
    table.add("Pad", _pad)
    table.add("Expand", _expand)
    table.add("Tile", _tile, since=6)
    table.add("Compress", _compress)
    table.add("Trilu", _trilu)
    table.add("DepthToSpace SpaceToDepth", _folded_blocks)
    table.add("TopK", _top_k)
    table.add("Unique", _unique)
    table.add("Range", _range)
    table.add("CumSum", _cum_sum)
    table.add("OneHot", _one_hot)
