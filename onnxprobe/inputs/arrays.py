"""Arrays in memory and in ``.npy`` files: described first, and only the rows asked for are read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.inputs.files import open_file, title_of
from onnxprobe.inputs.npy_header import check_dtype, check_length, read_npy_header
from onnxprobe.inputs.wording import spelled
from onnxprobe.types import Array

__all__ = ["ArraySource", "MemoryArray", "check_bytes", "open_npy"]

MAX_ARRAY_BYTES = 2**33


class ArraySource(Protocol):
    """An array, wherever it lies."""

    @property
    def label(self) -> str:
        """What error messages call it."""
        ...

    @property
    def title(self) -> str:
        """What reports call it, wherever it lies."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its element type: booleans, integers, floats or text."""
        ...

    def read(self) -> Array:
        """Read everything.

        Returns:
            The array, in memory.
        """
        ...

    def blocks(self, rows: Array, block: int) -> Iterator[Array]:
        """Read samples along axis 0.

        Args:
            rows: Rising indices of those wanted.
            block: How many to hold at once.

        Yields:
            The rows in order, ``block`` at a time or fewer.
        """
        ...


@dataclass(frozen=True)
class MemoryArray:
    """An array in memory, or mapped from a file.

    Attributes:
        label: What error messages call it.
        array: The values.
        title: What reports call it; the label if not given.

    Raises:
        DataError: If the values are neither numbers nor text.
    """

    label: str
    array: Array
    title: str = ""

    def __post_init__(self) -> None:
        check_dtype(self.array.dtype, self.label)
        object.__setattr__(self, "title", self.title or self.label)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its element type."""
        return self.array.dtype

    def read(self) -> Array:
        """Read everything; see `ArraySource`.

        Returns:
            A copy.
        """
        check_bytes(self.array.nbytes, self.label)
        return np.array(self.array)

    def blocks(self, rows: Array, block: int) -> Iterator[Array]:
        """Read samples along axis 0; see `ArraySource`.

        Args:
            rows: Rising indices of those wanted.
            block: How many to hold at once.

        Yields:
            Copies of the rows.
        """
        for start in range(0, len(rows), block):
            yield np.array(self.array[rows[start : start + block]])


def open_npy(path: Path) -> MemoryArray:
    """Map an ``.npy`` file.

    Args:
        path: Where it is.

    Returns:
        The array; values are read when they are taken.

    Raises:
        DataError: If the file is unreadable, no array, shorter than its header says, or holds
            neither numbers nor text.
    """
    label = str(path)
    with io.BufferedReader(open_file(path, "an .npy file")) as file:
        header = read_npy_header(file, label)
        if 0 in header.shape:
            raise DataError(
                f"{label} has shape {spelled(header.shape)}, which holds no sample; "
                "expected at least one"
            )
        available = file.seek(0, io.SEEK_END) - header.offset_bytes
        check_length(header, available, label)
        mapped = np.memmap(
            file,
            header.dtype,
            "r",
            header.offset_bytes,
            header.shape,
            "F" if header.is_fortran else "C",
        )
    return MemoryArray(label, mapped, title_of(path))


def check_bytes(size_bytes: int, label: str) -> None:
    """Refuse to read more at once than any set of samples needs.

    Args:
        size_bytes: Bytes to be read.
        label: What messages call the array.

    Raises:
        DataError: If these are too many.
    """
    if size_bytes > MAX_ARRAY_BYTES:
        raise DataError(
            f"{label} has {size_bytes:,} bytes, more than the {MAX_ARRAY_BYTES:,} that are read at "
            "once; save it as an .npy file with the samples along the first axis"
        )
