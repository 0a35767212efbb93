"""Derivatives of scattering, and of products along an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.lifting import over_directions
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import NoRuleError, Result, Rules
from onnxprobe.graph.tangent.structure import shifted, with_directions

__all__ = ["register"]

# Determinants of one matrix per row are computed for each direction.
MAX_DETERMINANT = 64


class _Elements:
    """How ScatterElements moves values and tangents, and how to read where it writes."""

    def __init__(self, node: Node) -> None:
        self.node, self.e = node, node.e
        self.axis = node.attr("axis", 0)
        self._moved: Value | None = None

    def front(self, value: Value, _rank: int) -> Value:
        """Return a tangent as it is scattered."""
        return value

    back = front

    def lift(self, value: Value, _rank: int) -> Value:
        """Return a value as it meets scattered tangents."""
        return value

    def scatter(self, data: Value, updates: Value, reduction: str, *, moved: bool) -> Value:
        """Scatter values, or tangents."""
        indices = self._indices(moved=moved)
        axis = self.node.axis(self.axis) if moved else self.axis
        kept = None if reduction == "none" else reduction
        return self.e.op(self.node.proto.op_type, data, indices, updates, axis=axis, reduction=kept)

    def gather(self, data: Value, *, moved: bool = False) -> Value:
        """Read where values, or tangents, are written."""
        axis = self.node.axis(self.axis) if moved else self.axis
        return self.e.op("GatherElements", data, self._indices(moved=moved), axis=axis)

    def _indices(self, *, moved: bool) -> Value:
        if not moved:
            return self.node.x(1)
        if self._moved is None:
            self._moved = with_directions(self.node, 1)
        return self._moved


class _Slices:
    """The same for ScatterND, behind whose slices the directions ride along."""

    def __init__(self, node: Node) -> None:
        self.node, self.e = node, node.e

    def front(self, value: Value, rank: int) -> Value:
        """Return a tangent as it is scattered."""
        return self.e.transpose(value, [*range(1, rank + 1), 0])

    def back(self, value: Value, rank: int) -> Value:
        """Return what was scattered as a tangent."""
        return self.e.transpose(value, [rank, *range(rank)])

    def lift(self, value: Value, rank: int) -> Value:
        """Return a value as it meets scattered tangents."""
        return self.e.unsqueeze(value, [rank])

    def scatter(self, data: Value, updates: Value, reduction: str, *, moved: bool) -> Value:
        """Scatter values, or tangents."""
        del moved
        kept = None if reduction == "none" else reduction
        return self.e.op("ScatterND", data, self.node.x(1), updates, reduction=kept)

    def gather(self, data: Value, *, moved: bool = False) -> Value:
        """Read where values, or tangents, are written."""
        del moved
        return self.e.op("GatherND", data, self.node.x(1))


def _scatter(kind: type[_Elements] | type[_Slices]) -> Callable[[Node], Sequence[Result]]:
    def rule(node: Node) -> Sequence[Result]:
        way = kind(node)
        reduction = node.attr("reduction", "none")
        rank, own = node.rank(), node.rank(2)
        data, updates = way.front(node.filled(0), rank), way.front(node.filled(2), own)
        if reduction in ("none", "add"):
            result = way.scatter(data, updates, reduction, moved=True)
        elif reduction in ("max", "min"):
            result = _scattered_extreme(node, way, data, updates)
        elif reduction == "mul":
            result = _scattered_product(node, way, data, updates)
        else:
            raise NoRuleError(f"reduction {reduction!r}")
        return [way.back(result, rank)]

    return rule


def _scattered_extreme(node: Node, way: _Elements | _Slices, data: Value, updates: Value) -> Value:
    """Pass on what is the extreme; of several, equal shares."""
    y, dtype = node.y(), node.y().dtype
    kept = node.x(0).equals(y).cast(dtype)
    written = node.x(2).equals(way.gather(y)).cast(dtype)
    count = way.scatter(kept, written, "add", moved=False)
    moved = way.scatter(
        data * way.lift(kept, node.rank()),
        updates * way.lift(written, node.rank(2)),
        "add",
        moved=True,
    )
    return moved / way.lift(count, node.rank())


def _scattered_product(node: Node, way: _Elements | _Slices, data: Value, updates: Value) -> Value:
    """Multiply each tangent by all other factors, of which some may be zero."""
    e, dtype = node.e, node.y().dtype
    zero_data, zero_updates = node.x(0).equals(0.0), node.x(2).equals(0.0)
    safe_data = e.where(zero_data, 1.0, node.x(0))
    safe_updates = e.where(zero_updates, 1.0, node.x(2))
    others = way.scatter(safe_data, safe_updates, "mul", moved=False)
    flag_data, flag_updates = zero_data.cast(dtype), zero_updates.cast(dtype)
    zeros = way.scatter(flag_data, flag_updates, "add", moved=False)

    def rest(safe: Value, flag: Value, whole: Value, count: Value) -> Value:
        alone = e.where(count < 0.5, whole / safe, 0.0)
        return e.where(count.equals(1.0), flag * whole, alone)

    rest_data = rest(safe_data, flag_data, others, zeros)
    rest_updates = rest(safe_updates, flag_updates, way.gather(others), way.gather(zeros))
    return way.scatter(
        data * way.lift(rest_data, node.rank()),
        updates * way.lift(rest_updates, node.rank(2)),
        "add",
        moved=True,
    )


def _tensor_scatter(node: Node) -> Sequence[Result]:
    """Linear in the cache and what is written to it together."""
    node.only(0, 1)

    def write(slices: list[Value]) -> list[Value]:
        (name,) = node.repeat({0: slices[0], 1: slices[1]})
        return [Value(node.e, name, slices[0].dtype)]

    return over_directions([node.filled(0), node.filled(1)], write, [node.out_shape])


def _cumulative(node: Node, operator: str, value: Value, axis: Value) -> Value:
    turned, shut = node.attr("reverse", 0), node.attr("exclusive", 0)
    return node.e.op(operator, value, axis, reverse=turned, exclusive=shut)


def _cum_prod(node: Node) -> Sequence[Result]:
    """Sum the tangents, each over its factor; where one factor is zero, only that one counts."""
    node.only(0)
    e, x, axis = node.e, node.x(), node.x(1)
    zero = x.equals(0.0)
    safe, flag = e.where(zero, 1.0, x), zero.cast(x.dtype)
    zeros = _cumulative(node, "CumSum", flag, axis)
    others = _cumulative(node, "CumProd", safe, axis)
    moved_axis = shifted(node, 1, node.rank())
    alone = _cumulative(node, "CumSum", node.t() / safe, moved_axis)
    only = _cumulative(node, "CumSum", node.t() * flag, moved_axis)
    picked = e.where(zeros < 0.5, alone, e.where(zeros.equals(1.0), only, 0.0))
    return [picked * others]


def _det(node: Node) -> Sequence[Result]:
    """Linear in each row: replace the rows by their tangents one by one, and add up."""
    e, rank, size = node.e, node.rank(), node.shape()[-1]
    if size is None or size > MAX_DETERMINANT:
        raise NoRuleError("a determinant whose size is not known or large")
    rows = np.eye(size, dtype=bool).reshape(size, *[1] * (rank - 2), size, 1)
    replaced = e.where(e.constant(rows), e.unsqueeze(node.t(), [1]), node.x())
    return [e.sum(e.op("Det", replaced), [1], keep=False)]


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("Scatter ScatterElements", _scatter(_Elements))
    table.add("ScatterND", _scatter(_Slices))
    table.add("TensorScatter", _tensor_scatter)
    table.add("CumProd", _cum_prod)
    table.add("Det", _det)
