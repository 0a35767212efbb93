"""Arrays that are fed as the numbers they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from onnxprobe.inputs.arrays import ArraySource
from onnxprobe.inputs.conversion import Defects, convert
from onnxprobe.inputs.fitting import Fit
from onnxprobe.inputs.preprocessing import PIXEL_SCALE, ImageOptions, normalise
from onnxprobe.inputs.slots import Slot
from onnxprobe.inputs.wording import spelled
from onnxprobe.types import Array

__all__ = ["NumberIntake"]

_BLOCK_BYTES = 2**25


@dataclass(frozen=True)
class NumberIntake:
    """An array whose numbers are fed as they are, or normalised where they are pixels.

    Attributes:
        source: The array.
        fit: How it holds samples.
        options: Scale, mean and deviation; of uint8 for a float input, and of any numbers for one
            where they are given.
        name: The input.
    """

    source: ArraySource
    fit: Fit
    options: ImageOptions
    name: str
    is_picture: bool = False

    @property
    def label(self) -> str:
        """What error messages call the data."""
        return self.source.label

    @property
    def title(self) -> str:
        """What reports call the data."""
        return self.source.title

    @property
    def count(self) -> int:
        """How many samples there are."""
        return self.fit.count

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.fit.shape

    def load(self, rows: Array, slot: Slot) -> tuple[Array, tuple[str, ...]]:
        """Read samples; see `Intake`.

        Args:
            rows: Rising indices of those wanted.
            slot: The input.

        Returns:
            The samples, and what was done to them.

        Raises:
            DataError: If values are not finite, or do not fit the input's type.
        """
        out = np.empty((len(rows), *slot.shape), slot.dtype)
        defects = Defects(self.label)
        done = 0
        for values in self._blocks(rows, max(1, _BLOCK_BYTES // (8 * slot.size))):
            part = slice(done, done + len(values))
            values = values.reshape(-1, *slot.shape)
            defects.look(values, rows[part])
            out[part] = self._numbers(values, slot)
            done = part.stop
        defects.refuse()
        return out, self._notes()

    def without_options(self) -> NumberIntake:
        """Leave the image options to the pictures of another input.

        Returns:
            The same numbers, fed as they are.
        """
        return replace(self, options=ImageOptions())

    def _blocks(self, rows: Array, block: int) -> Iterator[Array]:
        if self.fit.axis is None:
            yield self.source.read()[None]
        elif self.fit.axis:
            yield np.moveaxis(np.take(self.source.read(), rows, self.fit.axis), self.fit.axis, 0)
        else:
            yield from self.source.blocks(rows, block)

    def _numbers(self, values: Array, slot: Slot) -> Array:
        is_pixels = values.dtype == np.uint8
        as_is = slot.dtype.kind != "f" or values.dtype.kind == "U"
        if as_is or (self.options.is_raw and not is_pixels):
            return convert(values, slot.dtype, self.label, slot.name)
        channels = values.reshape(-1, 1, slot.size)
        scale = PIXEL_SCALE if is_pixels else 1.0
        numbers = normalise(channels, self.options, scale, slot.name).reshape(values.shape)
        return convert(numbers, slot.dtype, self.label, slot.name)

    def _notes(self) -> tuple[str, ...]:
        if self.fit.axis is None:
            return (f"{self.title} is taken as one sample of input {self.name!r}",)
        if self.fit.axis:
            note = (
                f"{self.title} counts samples on axis {self.fit.axis}, as input {self.name!r} does"
            )
            return (note,)
        given = self.source.shape[1:]
        if given == self.fit.shape:
            return ()
        note = (
            f"samples of {self.title} are reshaped from {spelled(given)} to "
            f"{spelled(self.fit.shape)} for input {self.name!r}"
        )
        return (note,)
