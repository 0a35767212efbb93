"""Derivatives of operators that reduce axes, and of softmax and its kin."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import NoRuleError, Result, Rules
from onnxprobe.graph.tangent.structure import shifted

__all__ = ["register"]


def _axes(node: Node) -> list[int]:
    """Return the reduced axes, counted from the front of the tensor."""
    rank = node.rank()
    axes = node.attr("axes")
    if node.has(1):
        axes = [] if node.shape(1) == (0,) else node.integers(1)
        if axes is None:
            raise NoRuleError("its axes are computed")
    if not axes:
        return [] if node.attr("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in axes)


def _computed(node: Node) -> bool:
    """Tell whether the axes are only known when the model runs."""
    return node.has(1) and node.constant(1) is None and node.shape(1) != (0,)


def _computed_axes(node: Node, *, moved: bool) -> Value:
    """Return computed axes, of the tensor or its tangent; all of them where there are none."""
    e, rank = node.e, node.rank()
    axes = shifted(node, 1, rank) if moved else node.x(1)
    if node.shape(1)[0] is not None or node.attr("noop_with_empty_axes", 0):
        return axes
    count = e.shape(axes)
    whole = e.constant(np.arange(rank, dtype=np.int64) + int(moved))
    none = count.equals(0.0)
    stop = e.where(none, e.constant([rank]), count)
    return e.op("Slice", e.concat([axes, whole]), e.constant([0]), stop)


def _over_computed(node: Node, operator: str, value: Value, *, moved: bool, keep: bool) -> Value:
    axes = _computed_axes(node, moved=moved)
    idle = node.attr("noop_with_empty_axes", 0) or None
    return node.e.op(operator, value, axes, keepdims=int(keep), noop_with_empty_axes=idle)


def _reduced(
    node: Node, terms: Callable[[Value, Value], Value] | None, *, mean: bool = False
) -> Value:
    """Reduce what a tangent and the kept-dimensions output make of it.

    Args:
        node: The node.
        terms: Given the tangent and the output with its reduced axes kept, what is summed; the
            tangent itself if not given.
        mean: Whether to average.

    Returns:
        The tangent of the output.
    """
    node.only(0)
    keep = bool(node.attr("keepdims", 1))
    if _computed(node):
        return _reduced_over_computed(node, terms, keep=keep, mean=mean)
    axes = _axes(node)
    summed = node.t() if terms is None else terms(node.t(), _kept(node, node.y(), axes))
    reduce = node.e.mean if mean else node.e.sum
    return reduce(summed, [axis + 1 for axis in axes], keep=keep)


def _reduced_over_computed(
    node: Node, terms: Callable[[Value, Value], Value] | None, *, keep: bool, mean: bool
) -> Value:
    summed = node.t()
    if terms is not None:
        summed = terms(summed, _kept_over_computed(node))
    return _over_computed(
        node, "ReduceMean" if mean else "ReduceSum", summed, moved=True, keep=keep
    )


def _kept_over_computed(node: Node) -> Value:
    if node.attr("keepdims", 1):
        return node.y()
    return node.e.op("Unsqueeze", node.y(), _computed_axes(node, moved=False))


def _kept(node: Node, value: Value, axes: Sequence[int]) -> Value:
    return value if node.attr("keepdims", 1) else node.e.unsqueeze(value, axes)


def _sum(node: Node) -> Sequence[Result]:
    return [_reduced(node, None)]


def _mean(node: Node) -> Sequence[Result]:
    return [_reduced(node, None, mean=True)]


def _sum_square(node: Node) -> Sequence[Result]:
    return [_reduced(node, lambda t, _: t * (node.x() * 2.0))]


def _l1(node: Node) -> Sequence[Result]:
    return [_reduced(node, lambda t, _: t * node.e.op("Sign", node.x()))]


def _l2(node: Node) -> Sequence[Result]:
    def terms(t: Value, y: Value) -> Value:
        # No direction is special where all elements are zero.
        return t * (node.x() / node.e.where(y.equals(0.0), 1.0, y))

    return [_reduced(node, terms)]


def _log_sum(node: Node) -> Sequence[Result]:
    return [_reduced(node, lambda t, y: t * node.e.op("Exp", -y))]


def _log_sum_exp(node: Node) -> Sequence[Result]:
    return [_reduced(node, lambda t, y: t * node.e.op("Exp", node.x() - y))]


def _extreme(node: Node) -> Sequence[Result]:
    x, e = node.x(), node.e
    if _computed(node):
        hit = x.equals(_kept_over_computed(node)).cast(x.dtype)
        share = hit / _over_computed(node, "ReduceSum", hit, moved=False, keep=True)
    else:
        axes = _axes(node)
        hit = x.equals(_kept(node, node.y(), axes)).cast(x.dtype)
        share = hit / e.sum(hit, axes)
    return [_reduced(node, lambda t, _: t * share)]


def _prod(node: Node) -> Sequence[Result]:
    x, e = node.x(), node.e
    zero = x.equals(0.0)
    flag, factors = zero.cast(x.dtype), e.where(zero, 1.0, x)
    if _computed(node):
        zeros = _over_computed(node, "ReduceSum", flag, moved=False, keep=True)
        others = _over_computed(node, "ReduceProd", factors, moved=False, keep=True)
    else:
        axes = _axes(node)
        zeros, others = e.sum(flag, axes), e.prod(factors, axes)
    # The product of all other elements: without zeros, with one, with several.
    alone = e.where(zeros < 0.5, others / e.where(zero, 1.0, x), 0.0)
    rest = e.where(zeros.equals(1.0), flag * others, alone)
    return [_reduced(node, lambda t, _: t * rest)]


def _soft_axes(node: Node) -> list[int]:
    rank, version = node.rank(), node.scope.opsets.get("ai.onnx", 13)
    if version >= 13:
        return [node.attr("axis", -1) % rank]
    # Everything behind the axis is one row.
    axis = node.attr("axis", 1)
    return list(range(axis + rank if axis < 0 else axis, rank))


def _apart(node: Node, axes: Sequence[int]) -> Value:
    """Return the tangent less its value where the output is largest, which softmax ignores.

    Where one element has nearly all the weight, its own derivative is a sum of small ones; computed
    as the difference of two large ones it would drown in rounding.
    """
    e, tangent = node.e, node.t()
    if len(axes) != 1 or e.opset < 11:
        return tangent
    (place,) = e.node("ArgMax", [node.y()], axis=axes[0], keepdims=1)
    places = Value(e, place, "int64")
    whole = e.expand(places, e.concat([node.scope.directions, e.shape(places)]))
    return tangent - e.op("GatherElements", tangent, whole, axis=axes[0] + 1)


def _softmax(node: Node) -> Sequence[Result]:
    axes = _soft_axes(node)
    moved = _apart(node, axes)
    return [(moved - node.e.sum(moved * node.y(), [axis + 1 for axis in axes])) * node.y()]


def _log_softmax(node: Node) -> Sequence[Result]:
    axes = _soft_axes(node)
    moved = _apart(node, axes)
    weighted = moved * node.e.op("Exp", node.y())
    return [moved - node.e.sum(weighted, [axis + 1 for axis in axes])]


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("ReduceSum", _sum)
    table.add("ReduceMean", _mean)
    table.add("ReduceSumSquare", _sum_square)
    table.add("ReduceL1", _l1)
    table.add("ReduceL2", _l2)
    table.add("ReduceLogSum", _log_sum)
    table.add("ReduceLogSumExp", _log_sum_exp)
    table.add("ReduceMax ReduceMin", _extreme)
    table.add("ReduceProd", _prod)
    table.add("Softmax", _softmax)
    table.add("LogSoftmax", _log_softmax)
