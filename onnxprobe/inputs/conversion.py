"""Element types of data and of inputs, converted where nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.inputs.wording import counted
from onnxprobe.types import Array

__all__ = ["Defects", "convert"]


def convert(array: Array, dtype: np.dtype[Any], label: str, of: str) -> Array:
    """Convert data to the type an input takes.

    Floats may be rounded to a narrower float type; every other conversion has to keep each value.

    Args:
        array: Numbers or text.
        dtype: Type wanted; ``object`` stands for text.
        label: What the data is called.
        of: The input, for the message.

    Returns:
        The array in that type, the same one if it has it already.

    Raises:
        DataError: If values would change.

    Example:
        >>> convert(np.array([1, 2], np.uint8), np.dtype("int64"), "ids.npy", "ids").dtype
        dtype('int64')
    """
    if array.dtype == dtype:
        return array
    is_text = array.dtype.kind == "U"
    if is_text != dtype.hasobject or (array.dtype.kind == "f" and dtype.kind != "f"):
        wanted = "text" if dtype.hasobject else str(dtype)
        raise DataError(
            f"{label} holds {'text' if is_text else array.dtype}, but input {of!r} takes {wanted}; "
            f"give data of type {wanted}"
        )
    if is_text:
        return array.astype(object)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = array.astype(dtype)
    lost = _lost(array, converted)
    if lost.any():
        value = array[lost].flat[0].item()
        raise DataError(
            f"{label} holds {value!r}, which input {of!r} of type {dtype} cannot take; "
            f"give values that fit {dtype}"
        )
    return converted


@dataclass
class Defects:
    """Values that are NaN or infinite, counted while data streams by.

    Attributes:
        label: What the data is called.
        count: How many were found.
        first: Where the first one stands.
    """

    label: str
    count: int = 0
    first: str = ""

    def look(self, values: Array, positions: Array) -> None:
        """Count defects.

        Args:
            values: Shape (n, ...).
            positions: Shape (n,): where each sample stands in the user's data.
        """
        if values.dtype.kind != "f" or (finite := np.isfinite(values)).all():
            return
        if not self.count:
            row, *place = (int(index) for index in np.argwhere(~finite)[0])
            self.first = f"sample {positions[row]}" + (f" at {tuple(place)}" if place else "")
        self.count += int(np.count_nonzero(~finite))

    def refuse(self) -> None:
        """End the search.

        Raises:
            DataError: If any were found, with their number and the place of the first.
        """
        if self.count:
            raise DataError(
                f"{self.label} holds {counted(self.count, 'value')} that "
                f"{'is' if self.count == 1 else 'are'} NaN or infinite, the first in {self.first}; "
                "repair such samples or leave them out"
            )


def _lost(array: Array, converted: Array) -> Array:
    lost: Array
    if array.dtype.kind == "f":
        lost = np.isinf(converted) & np.isfinite(array)
    elif array.dtype.kind == "b":
        lost = np.zeros(array.shape, dtype=bool)
    elif converted.dtype.kind != "f":
        lost = (converted.astype(array.dtype) != array) | ((converted < 0) != (array < 0))
    else:
        # Casting a float back is defined only within the integer type.
        bounds = np.iinfo(array.dtype)
        wide = converted.astype(np.float64)
        inside = (wide >= float(bounds.min)) & (wide < float(bounds.max) + 1)
        lost = ~inside | (np.where(inside, wide, 0.0).astype(array.dtype) != array)
    return lost
