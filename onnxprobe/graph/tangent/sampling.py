"""Sampling images between their pixels, written out so that the places may move too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod

import numpy as np

from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.lifting import lifted_linear, over_directions
from onnxprobe.graph.tangent.node import Node, total
from onnxprobe.graph.tangent.registry import Expansions, NoRuleError, Result, Rules

__all__ = ["register"]

_MODES = {"bilinear": "linear", "bicubic": "cubic"}
# The bend of the cubic, as the operator's text fixes it.
_BEND = -0.75
# Cubic interpolation of volumes reads 64 pixels for each.
MAX_CUBIC_AXES = 2


class _Sampler:
    """Reads images at places that are no whole numbers.

    Args:
        e: Where nodes go.
        sizes: Pixels along each axis of an image.
        padding: What lies outside: ``"zeros"``, ``"border"`` or ``"reflection"``.
        aligned: Whether the border runs through the middle of the outermost pixels.
    """

    def __init__(self, e: Emitter, sizes: Sequence[int], padding: str, *, aligned: bool) -> None:
        self._e, self._sizes, self._padding = e, sizes, padding
        half = 0.0 if aligned else 0.5
        self._borders = [(-half, size - 1 + half) for size in sizes]

    def read(self, image: Value, places: Sequence[Value], mode: str) -> Value:
        """Interpolate.

        Args:
            image: Shape (B, C, pixels).
            places: By axis, in pixels, shape (B, M).
            mode: ``"linear"`` or ``"cubic"``.

        Returns:
            Shape (B, C, M).
        """
        e = self._e
        corners: list[list[tuple[Value, Value]]] = []
        for axis, place in enumerate(places):
            inside = self._bounded(place, axis)
            base = e.op("Floor", inside)
            weights = _linear(inside - base) if mode == "linear" else _cubic(inside - base)
            first = 0 if mode == "linear" else -1
            corners.append([
                (base + float(first + step), weight) for step, weight in enumerate(weights)
            ])
        channels = e.slice(e.shape(image), 1, 2)
        return total([self._corner(image, channels, list(each)) for each in product(*corners)])

    def _bounded(self, place: Value, axis: int) -> Value:
        """Bring a place back where the image is, as the padding says."""
        low, high = self._borders[axis]
        if self._padding == "reflection":
            return self._reflected(place, axis)
        if self._padding == "border":
            e = self._e
            below = e.where(place < low, 0.0, place)
            return e.where(place > high, float(self._sizes[axis] - 1), below)
        return place

    def _reflected(self, place: Value, axis: int) -> Value:
        low, high = self._borders[axis]
        e, length = self._e, high - low
        if length == 0:
            return place * 0.0
        turns = (place - low) / length
        whole = e.op("Floor", turns)
        odd = whole - e.op("Floor", whole * 0.5) * 2.0
        rest = turns - whole
        return e.where(odd > 0.5, 1.0 - rest, rest) * length + low

    def _corner(self, image: Value, channels: Value, corner: list[tuple[Value, Value]]) -> Value:
        """Return one pixel's share, shape (B, C, M)."""
        e = self._e
        flat: Value | None = None
        weight: Value | None = None
        for axis, (index, share) in enumerate(corner):
            size = self._sizes[axis]
            if self._padding == "reflection":
                index = e.op("Floor", self._reflected(index, axis) + 0.5)
            elif self._padding == "zeros":
                there = e.both(index > -0.5, index < size - 0.5)
                share = e.where(there, share, 0.0)
            index = e.where(index < 0.0, 0.0, index)
            index = e.where(index > float(size - 1), float(size - 1), index)
            whole = index.cast("int64")
            stride = e.scalar(prod(self._sizes[axis + 1 :]), "int64")
            flat = whole * stride if flat is None else flat + whole * stride
            weight = share if weight is None else weight * share
        assert flat is not None
        assert weight is not None
        sizes = e.shape(flat)
        wide = e.concat([e.slice(sizes, 0, 1), channels, e.slice(sizes, 1, 2)])
        picked = e.op("GatherElements", image, e.expand(e.unsqueeze(flat, [1]), wide), axis=2)
        return picked * e.unsqueeze(weight, [1])


def _linear(part: Value) -> list[Value]:
    return [1.0 - part, part]


def _cubic(part: Value) -> list[Value]:
    def near(x: Value) -> Value:
        return (x * (_BEND + 2) - (_BEND + 3)) * x * x + 1.0

    def far(x: Value) -> Value:
        return ((x * _BEND - 5 * _BEND) * x + 8 * _BEND) * x - 4 * _BEND

    return [far(part + 1.0), near(part), near(1.0 - part), far(2.0 - part)]


def _fixed(sizes: Sequence[int | None], what: str) -> list[int]:
    fixed = [size for size in sizes if size is not None]
    if len(fixed) < len(sizes):
        raise NoRuleError(f"the size of {what} is not known")
    return fixed


def _grid_sample(node: Node) -> Sequence[Result]:
    """Linear in the image; places move the result unless the nearest pixel is taken."""
    if node.attr("mode", "linear") != "nearest":
        return [lifted_linear(node, 0)]
    if not node.active(0):
        return [None]
    write: Callable[[list[Value]], Sequence[Value]] = lambda each: [node.linear(each[0])]  # noqa: E731
    return over_directions([node.t()], write, [node.out_shape])


def _grid_sample_expansion(node: Node) -> list[Value | None]:
    e, mode = node.e, node.attr("mode", "linear")
    sizes = _fixed(node.shape()[2:], "the image")
    mode = _MODES.get(mode, mode)
    if mode not in ("linear", "cubic") or (mode == "cubic" and len(sizes) > MAX_CUBIC_AXES):
        raise NoRuleError(f"places in mode {mode} with {len(sizes)} axes")
    if mode == "cubic" and node.attr("padding_mode", "zeros") == "border":
        # Runtimes differ in whether a place is brought back before the cubic is laid.
        raise NoRuleError("places in mode cubic with padding at the border")
    aligned = bool(node.attr("align_corners", 0))
    places = []
    for axis, size in enumerate(sizes):
        # The grid names its axes from the last one.
        grid = e.gather(node.x(1), len(sizes) - 1 - axis, len(sizes) + 1) + 1.0
        place = grid * ((size - 1) / 2) if aligned else grid * (size / 2) - 0.5
        places.append(e.reshape(place, [0, -1]))
    sampler = _Sampler(e, sizes, node.attr("padding_mode", "zeros"), aligned=aligned)
    image = e.reshape(node.x(), [0, 0, -1])
    sampled = sampler.read(image, places, mode)
    return [e.reshape(sampled, node.scope.sizes(node.proto.output[0]))]


def _deform_conv_expansion(node: Node) -> list[Value | None]:
    """Sample what each place of the kernel sees, then multiply by the kernel as a matrix."""
    e, shape = node.e, node.shape()
    if len(shape) != 4:
        raise NoRuleError("DeformConv on other than images")
    channels, *sizes = _fixed(shape[1:], "the image")
    kernels, own, *window = _fixed(node.shape(1), "the kernel")
    after = _fixed(node.out_shape[2:], "the result")
    groups, offset_groups = node.attr("group", 1), node.attr("offset_group", 1)
    steps, gaps = node.attr("strides", [1, 1]), node.attr("dilations", [1, 1])
    pads = node.attr("pads", [0, 0, 0, 0])
    points = prod(window)
    offsets = e.reshape(node.x(2), [-1, offset_groups, points, 2, prod(after)])
    places = []
    for axis in range(2):
        start = steps[axis] * np.arange(after[axis]) - pads[axis]
        inner = gaps[axis] * np.arange(window[axis])
        seen = inner[:, None] + start[None, :]
        if axis == 0:
            spread = np.broadcast_to(
                seen[:, None, :, None], (window[0], window[1], after[0], after[1])
            )
        else:
            spread = np.broadcast_to(
                seen[None, :, None, :], (window[0], window[1], after[0], after[1])
            )
        grid = e.constant(spread.reshape(points, prod(after)).astype(node.x().dtype))
        place = e.gather(offsets, axis, 3) + grid
        places.append(e.reshape(place, [-1, points * prod(after)]))
    image = e.reshape(node.x(), [-1, channels // offset_groups, prod(sizes)])
    sampled = _Sampler(e, sizes, "zeros", aligned=True).read(image, places, "linear")
    if node.has(4):
        sampled = sampled * e.reshape(node.x(4), [-1, 1, points * prod(after)])
    columns = e.reshape(sampled, [-1, groups, own * points, prod(after)])
    kernel = e.reshape(node.x(1), [groups, kernels // groups, own * points])
    result = e.reshape(e.op("MatMul", kernel, columns), [-1, kernels, *after])
    return [result + e.unsqueeze(node.x(3), [1, 2]) if node.has(3) else result]


def register(rules: Rules, expansions: Expansions) -> None:
    """Add these rules and expansions to tables.

    Args:
        rules: Where rules go.
        expansions: Where expansions go.
    """
    rules.add("GridSample", _grid_sample)
    expansions.add("GridSample", _grid_sample_expansion)
    expansions.add("DeformConv", _deform_conv_expansion)
