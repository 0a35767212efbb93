"""Where an input has channels, rows and columns, if it takes pictures at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from onnxprobe.inputs.dimensions import Dim
from onnxprobe.inputs.preprocessing import Layout
from onnxprobe.types import Array

__all__ = ["Geometry", "find_geometry"]

# Below this an array is a vector with axes, not a picture: (1, 1, 5).
MIN_SIDE = 4


@dataclass(frozen=True)
class Geometry:
    """Where an input has its pictures' axes.

    Attributes:
        channels: 1, 3 or 4; ``None`` if open.
        height: Rows; ``None`` if open.
        width: Columns; ``None`` if open.
        layout: Channels first, channels last, no channel axis, or all in one axis.
        rank: Axes of one sample; those that the layout lacks have size 1, and stand in front.
        axis: The axis that holds everything, in a flat layout.
    """

    channels: int | None
    height: int | None
    width: int | None
    layout: Literal["NCHW", "NHWC", "NHW", "flat"]
    rank: int
    axis: int = 0

    @property
    def is_certain(self) -> bool:
        """Whether the shape alone says that these are pictures."""
        return self.layout in {"NCHW", "NHWC"}

    def fixed(self, height: int, width: int, channels: int) -> Geometry:
        """Let pictures decide what is open.

        Args:
            height: Rows of the pictures.
            width: Their columns.
            channels: Their channels.

        Returns:
            The geometry with nothing open.
        """
        return replace(
            self,
            channels=self.channels or channels,
            height=self.height or height,
            width=self.width or width,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample; nothing may be open."""
        c, h, w = self.channels or 1, self.height or 1, self.width or 1
        if self.layout == "flat":
            return tuple(c * h * w if axis == self.axis else 1 for axis in range(self.rank))
        core = {"NCHW": (c, h, w), "NHWC": (h, w, c), "NHW": (h, w)}[self.layout]
        return (1,) * (self.rank - len(core)) + core

    def arrange(self, planes: Array) -> Array:
        """Lay channels out as the input has them.

        Args:
            planes: Shape (n, c, h, w).

        Returns:
            Shape (n, *shape).
        """
        if self.layout == "NHWC":
            planes = np.moveaxis(planes, 1, -1)
        return planes.reshape(len(planes), *self.shape)


def find_geometry(
    dims: Sequence[Dim], layout: Layout, picture: tuple[int, int, int] | None = None
) -> Geometry | None:
    """Find the pictures' axes in the dimensions of a sample.

    Args:
        dims: Dimensions of one sample, open or not.
        layout: Where the user says the channels are.
        picture: Height, width and channels of the pictures at hand. A flat input needs them: it
            takes them if its size is theirs in grey or colour. Without pictures, or with others, it
            takes pictures only on the user's word, and then square ones.

    Returns:
        The geometry; ``None`` if the input takes no pictures, or not in that layout.

    Example:
        >>> find_geometry((3, "h", "w"), "auto")
        Geometry(channels=3, height=None, width=None, layout='NCHW', rank=3, axis=0)
        >>> find_geometry((784,), "auto", (28, 28, 3)).channels
        1
    """
    rank = len(dims)
    if layout == "flat" or (layout == "auto" and sum(dim != 1 for dim in dims) == 1):
        return _flat(dims, picture, guess=layout == "flat")
    core = list(dims[-3:] if all(dim == 1 for dim in dims[:-3]) else ())
    sizes = [dim if isinstance(dim, int) else None for dim in core]
    if len(core) == 2 and layout == "auto":
        return Geometry(1, sizes[0], sizes[1], "NHW", rank) if _is_picture(sizes) else None
    if len(core) != 3:
        return None
    places: tuple[tuple[Literal["NCHW", "NHWC"], int, list[int | None]], ...] = (
        ("NCHW", 0, sizes[1:]),
        ("NHWC", 2, sizes[:2]),
    )
    for channels in ({1, 3}, {4}, {None}):
        for name, axis, sides in places:
            chosen = layout == name
            asked = chosen or (layout == "auto" and _is_picture(sides) and channels != {None})
            if asked and sizes[axis] in channels:
                return Geometry(sizes[axis], sides[0], sides[1], name, rank)
    return None


def _is_picture(sides: Sequence[int | None]) -> bool:
    return all(side is None or side >= MIN_SIDE for side in sides)


def _flat(
    dims: Sequence[Dim], picture: tuple[int, int, int] | None, *, guess: bool
) -> Geometry | None:
    long = [axis for axis, dim in enumerate(dims) if dim != 1]
    if len(long) != 1:
        return None
    size = dims[long[0]]
    if isinstance(size, str):
        return Geometry(None, None, None, "flat", len(dims), long[0]) if guess else None
    if picture:
        height, width, available = picture
        for channels in dict.fromkeys((available, 1, 3)):
            if size == channels * height * width and channels in {1, 3, 4}:
                return Geometry(channels, height, width, "flat", len(dims), long[0])
    for channels in (1, 3) if guess else ():
        side = math.isqrt(size // channels)
        if channels * side * side == size and side >= MIN_SIDE:
            return Geometry(channels, side, side, "flat", len(dims), long[0])
    return None
