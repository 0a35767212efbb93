"""Derivatives of averages over regions of images, by the image and by the regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.lifting import lifted_linear
from onnxprobe.graph.tangent.node import Node, total
from onnxprobe.graph.tangent.registry import (
    NoRuleError,
    NotDifferentiableError,
    Result,
    Rules,
)

__all__ = ["register"]


class _Axis:
    """Where a RoiAlign samples along one axis of the image, and what moves it there.

    Every region is cut into bins, and every bin is sampled at as many places as the ratio says; a
    place is the start of the region plus a constant share of the size of its bins.

    Args:
        node: The node.
        first: Place of the region's start among its four numbers.
        size: Pixels of the image.
        bins: Bins of each region.
        ratio: Samples of each bin.
    """

    def __init__(self, node: Node, first: int, size: int, bins: int, ratio: int) -> None:
        e, rois = node.e, node.x(1)
        self._node, self._first, self._bins, self._size = node, first, bins, size
        # Before opset 16 regions were not shifted by half a pixel, and had at least one.
        mode = node.attr("coordinate_transformation_mode", "half_pixel")
        self._shifted = node.scope.opsets.get("ai.onnx", 16) >= 16 and mode == "half_pixel"
        self._scale = float(node.attr("spatial_scale", 1.0))
        shares = np.arange(bins)[:, None] + (np.arange(ratio) + 0.5) / ratio
        self.shares = e.constant(shares.ravel().astype(rois.dtype))
        start = self._column(rois, first, 1) * self._scale - (0.5 if self._shifted else 0.0)
        extent = self._extent(rois, 1)
        if not self._shifted:
            extent = e.where(extent > 1.0, extent, 1.0)
        place = start + self.shares * (extent / float(bins))
        self.inside = e.both(place >= -1.0, place <= float(size))
        below = e.where(place < 0.0, 0.0, place)
        held = e.where(below > size - 1.0, float(size - 1), below)
        self.low = e.op("Floor", held)
        after = self.low + 1.0
        self.high = e.where(after > size - 1.0, float(size - 1), after)
        self.rest = held - self.low
        moves = e.both(place > 0.0, place < size - 1.0)
        self.slope = e.both(moves, self.inside).cast(rois.dtype)

    def _column(self, rois: Value, which: int, axis: int) -> Value:
        return self._node.e.slice(rois, which, which + 1, axis)

    def _extent(self, rois: Value, axis: int) -> Value:
        ends = (self._column(rois, self._first + 2, axis), self._column(rois, self._first, axis))
        return (ends[0] - ends[1]) * self._scale

    def moved(self) -> tuple[Value, Value]:
        """Return how start and bins of each region move, each of shape (k, R, 1)."""
        rois, tangent = self._node.x(1), self._node.t(1)
        extent = self._extent(tangent, 2)
        if not self._shifted:
            extent = self._node.e.where(self._extent(rois, 1) > 1.0, extent, 0.0)
        return self._column(tangent, self._first, 2) * self._scale, extent / float(self._bins)


def _by_regions(node: Node) -> Value:
    """Interpolate differences of neighbouring pixels where bilinear sampling reads them."""
    e, (_, _, height, width) = node.e, node.shape()
    ratio = int(node.attr("sampling_ratio", 0))
    if ratio <= 0:
        raise NotDifferentiableError(
            "the regions move, and without a sampling_ratio their size decides how many samples "
            "are taken"
        )
    if height is None or width is None:
        raise NoRuleError("the size of the image is not known")
    bins = [int(node.attr(f"output_{name}", 1)) for name in ("height", "width")]
    rows, columns = (
        _Axis(node, first, size, count, ratio)
        for first, size, count in zip((1, 0), (height, width), bins, strict=True)
    )
    # Pixels of all images in a row, each with all of its channels.
    flat = e.transpose(node.x(), [0, 2, 3, 1])
    flat = e.reshape(flat, e.concat([e.constant([-1]), e.slice(e.shape(flat), 3, 4)]))
    image = e.unsqueeze(node.x(2), [1, 2]) * float(height * width)

    def pixels(row: Value, column: Value) -> Value:
        """Return the pixels at these places of each region's image, shape (R, C, rows, columns)."""
        down = e.unsqueeze(row.cast("int64"), [2]) * float(width)
        places = image + down + e.unsqueeze(column.cast("int64"), [1])
        return e.transpose(e.op("Gather", flat, places, axis=0), [0, 3, 1, 2])

    corners = [[pixels(row, column) for column in (columns.low, columns.high)]
               for row in (rows.low, rows.high)]  # fmt: skip
    down, across = e.unsqueeze(rows.rest, [1, 3]), e.unsqueeze(columns.rest, [1, 2])
    steep = [
        (corners[1][0] - corners[0][0]) * (1.0 - across) + (corners[1][1] - corners[0][1]) * across,
        (corners[0][1] - corners[0][0]) * (1.0 - down) + (corners[1][1] - corners[1][0]) * down,
    ]
    shown = [rows.inside.cast(node.x().dtype), columns.inside.cast(node.x().dtype)]
    masks = [
        e.unsqueeze(rows.slope, [1, 3]) * e.unsqueeze(shown[1], [1, 2]),
        e.unsqueeze(columns.slope, [1, 2]) * e.unsqueeze(shown[0], [1, 3]),
    ]

    def averaged(value: Value) -> Value:
        split = e.reshape(value, [0, 0, bins[0], ratio, bins[1] * ratio])
        split = e.reshape(e.mean(split, [3], keep=False), [0, 0, 0, bins[1], ratio])
        return e.mean(split, [4], keep=False)

    terms = []
    for axis, value, mask, place in zip((rows, columns), steep, masks, (1, 0), strict=True):
        slope = value * mask
        shares = e.unsqueeze(axis.shares, [1]) if place == 1 else axis.shares
        start, bin_size = (e.unsqueeze(each, [3, 4]) for each in axis.moved())
        terms.append(start * averaged(slope) + bin_size * averaged(slope * shares))
    return total(terms)


def _roi_align(node: Node) -> Sequence[Result]:
    node.only(0, 1)
    if node.attr("mode", "avg") != "avg":
        if node.active(1):
            raise NotDifferentiableError("the regions move, and RoiAlign takes maxima of them")
        raise NoRuleError("RoiAlign by maximum")
    terms = [lifted_linear(node, 0, among=(0, 1))] if node.active(0) else []
    return [total([*terms, _by_regions(node)] if node.active(1) else terms)]


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("RoiAlign", _roi_align)
