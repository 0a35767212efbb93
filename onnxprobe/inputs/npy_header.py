"""What stands at the head of an ``.npy`` file, read before any of its values."""

from __future__ import annotations

import io
import math
import warnings
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.inputs.wording import spelled

__all__ = ["NpyHeader", "check_dtype", "check_length", "read_npy_header"]

# numpy's own limit on the text that describes an array; it is Python source, and parsed as such.
_MAX_HEADER_BYTES = 10_000


@dataclass(frozen=True)
class NpyHeader:
    """What stands at the head of an array file.

    Attributes:
        shape: Shape of the array.
        dtype: Its element type.
        is_fortran: Whether the first axis varies fastest.
        offset_bytes: Where the values begin.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool
    offset_bytes: int

    @property
    def value_bytes(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy_header(file: IO[bytes], label: str) -> NpyHeader:
    """Read the head of an array file, at most 10,000 bytes of it.

    Args:
        file: Open at its beginning; afterwards at the first value.
        label: What messages call it.

    Returns:
        Shape and type.

    Raises:
        DataError: If it is no array file, or holds neither numbers nor text.
    """
    preamble = file.read(8)
    width = {b"\x93NUMPY\x01\x00": 2, b"\x93NUMPY\x02\x00": 4}.get(preamble)
    length = file.read(width) if width else b""
    size_bytes = int.from_bytes(length, "little")
    if width is None or len(length) != width or size_bytes > _MAX_HEADER_BYTES:
        raise DataError(f"{label} is no array that numpy saved; write it with numpy.save")
    text = file.read(size_bytes)
    parse = {
        2: np.lib.format.read_array_header_1_0,
        4: np.lib.format.read_array_header_2_0,
    }[width]
    try:
        with warnings.catch_warnings():
            # Files written by Python 2 are read all the same.
            warnings.simplefilter("ignore")
            shape, is_fortran, dtype = parse(io.BytesIO(length + text))
    except Exception as error:
        raise DataError(
            f"{label} has a damaged header; write the array again with numpy.save"
        ) from error
    check_dtype(dtype, label)
    if any(size < 0 for size in shape):
        raise DataError(f"{label} has a damaged header; write the array again with numpy.save")
    return NpyHeader(shape, dtype, is_fortran, 8 + width + size_bytes)


def check_length(header: NpyHeader, available_bytes: int, label: str) -> None:
    """Refuse an array whose values are not all there.

    Args:
        header: What it says it holds.
        available_bytes: What follows the header.
        label: What messages call it.

    Raises:
        DataError: If the values need more bytes.
    """
    if header.value_bytes > available_bytes:
        raise DataError(
            f"{label} says it holds {header.value_bytes:,} bytes of shape {spelled(header.shape)}, "
            f"but has {available_bytes:,}; the file is cut short: write it again"
        )


def check_dtype(dtype: np.dtype[Any], label: str) -> None:
    """Refuse arrays of anything but numbers and text.

    Args:
        dtype: Their element type.
        label: What messages call them.

    Raises:
        DataError: If it is a type of Python objects, records, dates or complex numbers.
    """
    if dtype.hasobject:
        raise DataError(
            f"{label} holds Python objects, which onnxprobe never unpickles; "
            "save an array of plain numbers or text"
        )
    if dtype.kind not in "biufU" or dtype.itemsize == 0:
        raise DataError(
            f"{label} holds elements of type {dtype}; expected booleans, integers, floats or text"
        )
