"""Arrays in ``.npz`` files, bounded by their table of contents before anything is unpacked."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.inputs.arrays import MAX_ARRAY_BYTES, MemoryArray, check_bytes
from onnxprobe.inputs.files import open_file, title_of
from onnxprobe.inputs.npy_header import NpyHeader, check_length, read_npy_header
from onnxprobe.inputs.wording import listed
from onnxprobe.types import Array

__all__ = ["ArchivedArray", "open_npz"]

MAX_MEMBERS = 1_000
MAX_CONTENTS_BYTES = 2**22
# Deflate reaches 1,030; arrays of measurements stay below 20, small ones of zeros do no harm.
MAX_RATIO = 200
HARMLESS_BYTES = 2**26

_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class ArchivedArray:
    """A member of an ``.npz`` file.

    Attributes:
        path: The file.
        key: The member's name, without ``.npy``.
        header: What it says it holds.
    """

    path: Path
    key: str
    header: NpyHeader

    @property
    def label(self) -> str:
        """What error messages call it."""
        return f"{self.path}[{self.key!r}]"

    @property
    def title(self) -> str:
        """What reports call it."""
        return f"{title_of(self.path)}[{self.key!r}]"

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.header.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its element type."""
        return self.header.dtype

    def read(self) -> Array:
        """Unpack everything; see `ArraySource`.

        Returns:
            The array.
        """
        check_bytes(self.header.value_bytes, self.label)
        with self._unpack() as member:
            values = np.empty(math.prod(self.shape), self.dtype)
            _read_into(member, values.view(np.uint8), self.label)
        return values.reshape(self.shape, order="F" if self.header.is_fortran else "C")

    def blocks(self, rows: Array, block: int) -> Iterator[Array]:
        """Unpack samples along axis 0; see `ArraySource`.

        Args:
            rows: Rising indices of those wanted; the others stream by.
            block: How many to hold at once.

        Yields:
            The rows.
        """
        if self.header.is_fortran:
            yield from MemoryArray(self.label, self.read()).blocks(rows, block)
            return
        count, *shape = self.shape
        row_bytes = math.prod(shape) * self.dtype.itemsize
        step = max(1, _CHUNK_BYTES // row_bytes)
        chunk = np.empty((min(step, count), *shape), self.dtype)
        kept: list[Array] = []
        with self._unpack() as member:
            for start in range(0, int(rows[-1]) + 1, step):
                stop = min(start + step, count)
                flat = chunk.reshape(-1).view(np.uint8)[: (stop - start) * row_bytes]
                _read_into(member, flat, self.label)
                first, last = np.searchsorted(rows, [start, stop])
                kept.extend(chunk[rows[first:last] - start])
                while len(kept) >= block:
                    yield np.stack(kept[:block])
                    del kept[:block]
        if kept:
            yield np.stack(kept)

    @contextmanager
    def _unpack(self) -> Iterator[IO[bytes]]:
        with _open_archive(self.path) as archive, archive.open(f"{self.key}.npy") as member:
            member.read(self.header.offset_bytes)
            yield member


def open_npz(path: Path) -> dict[str, ArchivedArray]:
    """Read what an ``.npz`` file contains, without unpacking it.

    Args:
        path: Where it is.

    Returns:
        Arrays by key, in the file's order.

    Raises:
        DataError: If the file is unreadable, no archive of arrays, or promises more than the limits
            allow.
    """
    found = {}
    with _open_archive(path) as archive:
        for info in archive.infolist():
            key = info.filename.removesuffix(".npy")
            label = f"{path}[{key!r}]"
            with archive.open(info) as member:
                header = read_npy_header(member, label)
            check_length(header, info.file_size - header.offset_bytes, label)
            found[key] = ArchivedArray(path, key, header)
    return found


class _ShortReads(io.BufferedReader):
    """A file of which nobody can ask much at once: its table of contents may claim any size."""

    def read(self, size: int | None = -1) -> bytes:
        """Read bytes.

        Args:
            size: How many; all that are left if negative.

        Returns:
            The bytes.

        Raises:
            ValueError: If that is too much.
        """
        wanted = size if size is not None and 0 <= size <= MAX_CONTENTS_BYTES else -1
        content = super().read(MAX_CONTENTS_BYTES + 1 if wanted < 0 else wanted)
        if len(content) > MAX_CONTENTS_BYTES:
            raise ValueError(f"a table of contents of more than {MAX_CONTENTS_BYTES:,} bytes")
        return content


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with _ShortReads(open_file(path, "an .npz file")) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check_contents(archive.infolist(), path)
                yield archive
        except DataError:
            raise
        except Exception as error:
            raise DataError(
                f"{path} is no .npz file, or it is damaged ({error}); "
                "write it again with numpy.savez"
            ) from error


def _check_contents(members: list[zipfile.ZipInfo], path: Path) -> None:
    names = [info.filename for info in members]
    strange = [name for name in names if not name.endswith(".npy")]
    if strange or not names or len(names) > MAX_MEMBERS or len(set(names)) != len(names):
        reason = (
            f"holds {listed(strange)} beside arrays"
            if strange
            else f"has {len(names):,} members, or two of one name"
        )
        raise DataError(
            f"{path} {reason}; expected 1 to {MAX_MEMBERS:,} arrays as numpy.savez writes them"
        )
    for info in members:
        stored = info.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        if not stored or info.flag_bits & 1:
            raise DataError(
                f"{path} packs {info.filename!r} in a way that numpy does not, or encrypts it; "
                "write it again with numpy.savez_compressed"
            )
        swollen = info.file_size > HARMLESS_BYTES + MAX_RATIO * info.compress_size
        if info.file_size > MAX_ARRAY_BYTES or swollen:
            raise DataError(
                f"{path} packs {info.file_size:,} bytes of {info.filename!r} into "
                f"{info.compress_size:,}, which is refused as a decompression bomb; "
                "if you trust it, save that array as an .npy file"
            )


def _read_into(member: IO[bytes], buffer: Array, label: str) -> None:
    for start in range(0, len(buffer), _CHUNK_BYTES):
        part = buffer[start : start + _CHUNK_BYTES]
        content = member.read(len(part))
        if len(content) != len(part):
            raise DataError(f"{label} is cut short; write the file again")
        part[:] = np.frombuffer(content, np.uint8)
