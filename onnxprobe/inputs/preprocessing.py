"""From pixels to the numbers a model was trained on: (pixel·scale − mean)/std, and its options."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.inputs.wording import counted
from onnxprobe.shapes import axes
from onnxprobe.types import Array, Floats

__all__ = ["PIXEL_SCALE", "Channels", "ImageOptions", "Layout", "Resize", "normalise"]

Layout: TypeAlias = Literal["auto", "NCHW", "NHWC", "flat"]
Channels: TypeAlias = Literal["rgb", "bgr"]
Resize: TypeAlias = Literal["stretch", "crop"]

PIXEL_SCALE = 1 / 255


@dataclass(frozen=True)
class ImageOptions:
    """How pictures become the input of a model.

    Attributes:
        scale: Factor on pixel values; if not given, 1/255 for 8-bit pictures and 1 for arrays of
            floats.
        mean: Subtracted after scaling: one number, or one per channel in the order in which the
            model takes the channels (so blue first with ``channels="bgr"``).
        std: Divided by after that; one number, or one per channel likewise.
        layout: Where the model has its channels; ``"auto"`` reads it from the input's shape. A
            ``"flat"`` input holds one channel after the other, each row by row.
        transpose: Whether height and width change places, before the layout.
        channels: Order in which the model takes the colours.
        resize: What happens to pictures of another size: stretched, or scaled until the shorter
            side fits and cut out of the middle.

    Raises:
        DataError: If a number is not finite, a scale or deviation is not positive, or a word is
            none of those listed.
    """

    scale: float | None = None
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: Layout = "auto"
    transpose: bool = False
    channels: Channels = "rgb"
    resize: Resize = "stretch"

    def __post_init__(self) -> None:
        # Whoever gives a list means the same options.
        object.__setattr__(self, "mean", tuple(self.mean))
        object.__setattr__(self, "std", tuple(self.std))
        for option, numbers in (("mean", self.mean), ("std", self.std)):
            if not numbers or not all(math.isfinite(number) for number in numbers):
                raise DataError(
                    f"--{option} is {_numbers(numbers)}; "
                    "expected one finite number, or one a channel"
                )
        if min(self.std) <= 0:
            raise DataError(f"--std is {_numbers(self.std)}; expected numbers above 0")
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise DataError(f"--scale is {self.scale:g}; expected a number above 0")
        for option, word, words in (
            ("layout", self.layout, get_args(Layout)),
            ("channels", self.channels, get_args(Channels)),
            ("resize", self.resize, get_args(Resize)),
        ):
            if word not in words:
                raise DataError(f"--{option} is {word!r}; expected one of {', '.join(words)}")

    @property
    def is_default(self) -> bool:
        """Whether nothing was chosen."""
        return self == ImageOptions()

    @property
    def is_geometric(self) -> bool:
        """Whether a choice needs rows, columns or channels to act on."""
        return (self.layout, self.transpose, self.channels) != ("auto", False, "rgb")

    @property
    def is_raw(self) -> bool:
        """Whether pixel values stay as they are wherever the scale has no default."""
        return self.scale is None and set(self.mean) == {0.0} and set(self.std) == {1.0}


def normalise(values: Array, options: ImageOptions, scale: float, of: str) -> Floats:
    """Compute (value·scale − mean)/std in float64.

    Args:
        values: Shape (n, c, elements): values of each channel as the model takes them.
        options: The numbers; their scale goes before the default.
        scale: The scale if none was chosen.
        of: The input, for the message.

    Returns:
        Normalised values, of the same shape.

    Raises:
        DataError: If there are several means or deviations, but not one for each channel.

    Example:
        >>> pixels = np.array([[[0, 255]]], np.uint8)
        >>> normalise(pixels, ImageOptions(mean=(0.5,), std=(0.5,)), PIXEL_SCALE, "x").tolist()
        [[[-1.0, 1.0]]]
    """
    _, c, _ = axes(values, "n c elements", of="values")
    mean = _per_channel(options.mean, c, "mean", of)
    std = _per_channel(options.std, c, "std", of)
    factor = scale if options.scale is None else options.scale
    result: Floats = np.multiply(values, factor, dtype=np.float64)
    result -= mean[:, None]
    result /= std[:, None]
    return result


def _per_channel(numbers: tuple[float, ...], c: int, option: str, of: str) -> Floats:
    if len(numbers) not in {1, c}:
        raise DataError(
            f"--{option} gives {counted(len(numbers), 'number')}, but input {of!r} takes "
            f"{counted(c, 'channel')}; give one number, or one a channel"
        )
    return np.broadcast_to(np.asarray(numbers, dtype=np.float64), (c,))


def _numbers(numbers: tuple[float, ...]) -> str:
    return ",".join(f"{number:g}" for number in numbers) or "empty"
