"""Messages between conductor and worker: a JSON header and raw bytes, never pickle.

The worker reads files that nobody vouches for; what it sends is parsed as data and validated.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

__all__ = ["Frame", "read_frame", "write_frame"]

_LENGTHS = struct.Struct("<IQ")
MAX_HEADER_BYTES = 2**27
# Objects, lists and what stands in them; each takes some hundred bytes once it is read.
_MAX_ITEMS = 5_000_000
_ITEM_STARTS = (b",", b"[", b"{")


@dataclass(frozen=True)
class Frame:
    """One message.

    Attributes:
        header: A JSON object.
        blob: Bytes that accompany it.
    """

    header: dict[str, Any]
    blob: bytes = b""


def write_frame(stream: IO[bytes], header: dict[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Send a message.

    Args:
        stream: An open pipe.
        header: A JSON object; numbers must be finite.
        blobs: Bytes to send after it, concatenated.
    """
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    stream.write(_LENGTHS.pack(len(text), sum(len(blob) for blob in blobs)))
    stream.write(text)
    stream.writelines(blobs)
    stream.flush()


def read_frame(stream: IO[bytes], *, max_blob_bytes: int | None = None) -> Frame | None:
    """Receive a message.

    Args:
        stream: An open pipe.
        max_blob_bytes: How much may accompany it; ``None`` for any amount.

    Returns:
        The message; ``None`` if the other side is gone, even in the middle of a message.

    Raises:
        ValueError: If what arrives is no message.
    """
    lengths = _read(stream, _LENGTHS.size)
    if lengths is None:
        return None
    header_bytes, blob_bytes = _LENGTHS.unpack(lengths)
    if header_bytes > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {header_bytes} bytes is no message")
    if max_blob_bytes is not None and blob_bytes > max_blob_bytes:
        raise ValueError(f"{blob_bytes} bytes were not asked for")
    header = _read(stream, header_bytes)
    blob = _read(stream, blob_bytes)
    if header is None or blob is None:
        return None
    if sum(map(header.count, _ITEM_STARTS)) > _MAX_ITEMS:
        raise ValueError("a header with so many items is no message")
    content = json.loads(header)
    if not isinstance(content, dict):
        raise ValueError("a header must be a JSON object")
    return Frame(content, blob)


def _read(stream: IO[bytes], count: int) -> bytes | None:
    parts = []
    while count:
        part = stream.read(min(count, 2**24))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
