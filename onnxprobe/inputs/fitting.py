"""How the shape of an array answers to the shape of an input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxprobe.inputs.dimensions import Dim, bind
from onnxprobe.inputs.geometry import MIN_SIDE, Geometry
from onnxprobe.inputs.slots import OpenSlot
from onnxprobe.types import Array

__all__ = ["Fit", "PictureView", "fit_shape", "view_pictures"]


@dataclass(frozen=True)
class Fit:
    """How an array holds samples.

    Attributes:
        count: How many.
        axis: The axis that counts them; ``None`` if the array is a single sample.
        shape: Shape of one sample as the input takes it.
    """

    count: int
    axis: int | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class PictureView:
    """How an array holds pictures.

    Attributes:
        count: How many.
        height: Rows.
        width: Columns.
        channels: 1, 3 or 4.
        is_single: Whether the array is one picture, without an axis to count them.
        channel_axis: Where the channels stand once pictures are counted on axis 0; ``None`` if
            nowhere.
    """

    count: int
    height: int
    width: int
    channels: int
    is_single: bool = False
    channel_axis: int | None = None

    def pixels(self, values: Array) -> Array:
        """Bring pictures into one order of axes.

        Args:
            values: Pictures as the array holds them, n of them.

        Returns:
            Shape (n, height, width, channels).
        """
        if self.is_single:
            values = values[None]
        if self.channel_axis is None:
            return values.reshape(-1, self.height, self.width, 1)
        return np.moveaxis(values, self.channel_axis, 3)


def fit_shape(shape: tuple[int, ...], slot: OpenSlot) -> Fit | None:
    """Find the samples of an input in an array that holds its numbers as they are.

    Tried in turn: samples along axis 0; along the model's own batch axis; a single sample; the
    first and the third with axes of size 1 missing or added; and flat samples for shaped ones, or
    the other way round, unless there could be channels among the axes, whose order is unknown.

    Args:
        shape: Shape of the array.
        slot: The input.

    Returns:
        How the array holds samples; ``None`` if it cannot.
    """
    dims, axis = slot.dims, slot.batch_axis
    if dims is None:
        return Fit(shape[0], 0, shape[1:]) if shape else None
    if shape and bind(dims, shape[1:]) is not None:
        return Fit(shape[0], 0, shape[1:])
    if axis and axis < len(shape):
        rest = shape[:axis] + shape[axis + 1 :]
        if bind(dims, rest) is not None:
            return Fit(shape[axis], axis, rest)
    if bind(dims, shape) is not None:
        return Fit(1, None, shape)
    if shape and (spread := _respread(dims, shape[1:])) is not None:
        return Fit(shape[0], 0, spread)
    if (spread := _respread(dims, shape)) is not None:
        return Fit(1, None, spread)
    if shape and all(isinstance(dim, int) for dim in dims):
        whole = tuple(dim for dim in dims if isinstance(dim, int))
        lengths = sorted(sum(size != 1 for size in side) for side in (whole, shape[1:]))
        if math.prod(whole) == math.prod(shape[1:]) and lengths[0] <= 1 and lengths[1] <= 2:
            return Fit(shape[0], 0, whole)
    return None


def view_pictures(
    shape: tuple[int, ...], dims: Sequence[Dim] | None, geometry: Geometry | None
) -> PictureView | None:
    """See an array as pictures.

    Args:
        shape: Its shape: (n, h, w), (n, h, w, c), (n, c, h, w), flat grey (n, h·w), or one picture.
        dims: Dimensions of one sample of the input.
        geometry: Of the input, as far as known without pictures.

    Returns:
        The view; ``None`` if the array holds no pictures.
    """
    grey = geometry is not None and geometry.channels == 1
    size = (geometry.height or 0) * (geometry.width or 0) if geometry else 0
    if len(shape) == 2 and grey and geometry and shape[1] == size:
        return PictureView(shape[0], geometry.height or 0, geometry.width or 0, 1)
    as_input = dims is not None and bind(dims, shape) is not None
    # Few rows or columns before 3 or 4 are rather a few narrow grey pictures.
    colour = len(shape) == 3 and shape[2] in {3, 4} and min(shape[:2]) >= MIN_SIDE
    if (len(shape) == 2 and geometry) or (len(shape) == 3 and as_input) or colour:
        view = _view((1, *shape), geometry)
        return view and PictureView(
            1, view.height, view.width, view.channels, True, view.channel_axis
        )
    return _view(shape, geometry)


def _view(shape: tuple[int, ...], geometry: Geometry | None) -> PictureView | None:
    if len(shape) == 3:
        return PictureView(shape[0], shape[1], shape[2], 1)
    if len(shape) != 4:
        return None
    # Channels stand last in most files; first where the input has just these sizes.
    exact = (geometry.channels, geometry.height, geometry.width) if geometry else None
    for axis in (1, 3) if shape[1:] == exact else (3, 1):
        if shape[axis] in {1, 3, 4}:
            h, w = shape[1:3] if axis == 3 else shape[2:]
            return PictureView(shape[0], h, w, shape[axis], channel_axis=axis)
    return None


def _respread(dims: Sequence[Dim], shape: Sequence[int]) -> tuple[int, ...] | None:
    """Return the sizes of the dimensions if the shape is theirs but for axes of size 1."""
    long = [dim for dim in dims if dim != 1]
    found = bind(long, [size for size in shape if size != 1])
    if found is None:
        return None
    return tuple(dim if isinstance(dim, int) else found[dim] for dim in dims)
