"""The files of a model: read once, digested, and nothing outside the folder they were given in."""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from onnx import TensorProto, helper

from onnxprobe.errors import ModelError
from onnxprobe.graph.dtypes import BITS, dtype_name
from onnxprobe.types import Array

__all__ = ["ExternalFiles", "FileDigest", "read_model_file"]

# Protobuf itself cannot hold more.
MAX_MODEL_BYTES = 2**31 - 1

# Opening must not wait for the other end of a pipe.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_ALLOW_LINKS = "allow links (--allow-linked-data) if you trust the folder"


@dataclass(frozen=True)
class FileDigest:
    """What was read from one file.

    Attributes:
        name: The file's name; for external data, as the model spells it.
        sha256: Digest of all its bytes, in hexadecimal.
        size_bytes: Its size.
    """

    name: str
    sha256: str
    size_bytes: int


def read_model_file(path: Path) -> tuple[bytes, FileDigest]:
    """Read the file that holds the graph.

    Args:
        path: Path of an ``.onnx`` file.

    Returns:
        Its bytes, and their digest.

    Raises:
        ModelError: If it is missing, no regular file, empty, unreadable, or beyond protobuf's 2 GB.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is no regular file; give the path of an .onnx file")
        if status.st_size > MAX_MODEL_BYTES:
            raise ModelError(
                f"{path} has {status.st_size:,} bytes, but a protobuf message ends at 2 GB; "
                "export the model with external data"
            )
        content = path.read_bytes()
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; give the path of an .onnx file") from None
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror}; give the path of an .onnx file"
        ) from error
    if not content:
        raise ModelError(f"{path} is empty; expected an ONNX model")
    # A name that is no text becomes one: what is no letter, a question mark.
    name = os.fsencode(path.name).decode("utf-8", "replace")
    return content, FileDigest(name, hashlib.sha256(content).hexdigest(), len(content))


class ExternalFiles:
    """The files beside a model that hold its large weights.

    Every file is opened once, checked, digested and mapped; the arrays handed out are views of that
    one mapping, so that what was digested is what runs, as long as nobody writes to the file.

    Args:
        folder: The folder of the model; data may lie there or below, nowhere else. ``None`` for a
            model in memory, which may have none.
        allow_links: Whether a data file may be a symbolic or hard link, as the caches of model hubs
            make them. A link may lead out of the folder.
    """

    def __init__(self, folder: Path | None, *, allow_links: bool = False) -> None:
        self._folder = folder
        self._allow_links = allow_links
        self._mapped: dict[str, mmap.mmap] = {}
        self._digests: dict[str, FileDigest] = {}

    @property
    def digests(self) -> tuple[FileDigest, ...]:
        """Digests of the files read so far, sorted by name."""
        return tuple(self._digests[name] for name in sorted(self._digests))

    def array(self, tensor: TensorProto) -> Array:
        """Return the values of a tensor stored in another file.

        Args:
            tensor: A tensor whose ``data_location`` is external.

        Returns:
            A read-only view of the file, of the tensor's type and shape. Types narrower than a byte
            come as ``uint8``, packed as they are stored, flat.

        Raises:
            ModelError: If the location leaves the folder, is a link or no regular file, or the file
                does not hold exactly the bytes that type and shape need.
        """
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        dtype = dtype_name(tensor.data_type)
        if dtype is None or dtype == "string":
            raise ModelError(
                f"tensor {tensor.name!r} of type {dtype} cannot lie in another file; "
                "export the model again"
            )
        count = math.prod(tensor.dims)
        size_bytes = math.ceil(count * BITS[dtype] / 8)
        offset = _number(entries.get("offset", "0"), tensor.name, "offset")
        length = _number(entries.get("length", str(size_bytes)), tensor.name, "length")
        if length != size_bytes:
            raise ModelError(
                f"tensor {tensor.name!r} needs {size_bytes} bytes of {_shortened(location)}, its "
                f"entry gives {length}; export the model again"
            )
        mapped = self._map(location)
        if offset + length > len(mapped):
            raise ModelError(
                f"tensor {tensor.name!r} lies at bytes {offset} to {offset + length} of "
                f"{_shortened(location)}, which has {len(mapped)}; "
                "the data file belongs to another model or is cut short"
            )
        if BITS[dtype] < 8:
            return np.frombuffer(mapped, np.uint8, length, offset)
        element = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        return np.frombuffer(mapped, element, count, offset).reshape(tensor.dims)

    def _map(self, location: str) -> mmap.mmap | bytes:
        parts = self._parts(location)
        # However often and however a model spells one file, it is read once.
        key = "/".join(parts)
        if key not in self._digests:
            descriptor = self._open(location, parts)
            with os.fdopen(descriptor, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                size_bytes = os.fstat(descriptor).st_size
                if size_bytes:
                    self._mapped[key] = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            self._digests[key] = FileDigest(location, digest, size_bytes)
        return self._mapped.get(key, b"")

    def _parts(self, location: str) -> tuple[str, ...]:
        path, windows = PurePosixPath(location), PureWindowsPath(location)
        outside = not path.parts or path.is_absolute() or ".." in path.parts
        if outside or windows.drive or ".." in windows.parts or "\0" in location:
            raise ModelError(
                f"the model asks for data at {_shortened(location)}; data may lie only in the "
                "model's own folder: export the model again"
            )
        return path.parts

    def _open(self, location: str, parts: tuple[str, ...]) -> int:
        shown = _shortened(location)
        if self._folder is None:
            raise ModelError(
                f"the model keeps weights in {shown}, but it was given without a folder; "
                "give the path of the model file"
            )
        root = self._folder.resolve()
        try:
            path = root.joinpath(*parts)
            linked = path.is_symlink() or path.resolve() != path
            if linked and not self._allow_links:
                raise ModelError(
                    f"the data file {shown} is reached through a link, which may lead anywhere; "
                    f"copy it into the model's folder, or {_ALLOW_LINKS}"
                )
            descriptor = os.open(path, _READ) if self._allow_links else _open_below(root, parts)
        except (OSError, RuntimeError) as error:
            # pathlib reports links that lead to each other as a RuntimeError.
            reason = getattr(error, "strerror", None) or "its links lead nowhere"
            raise ModelError(
                f"the data file {shown} cannot be read: {reason}; put it beside the model"
            ) from error
        status = os.fstat(descriptor)
        regular = stat.S_ISREG(status.st_mode)
        if not regular or (status.st_nlink != 1 and not self._allow_links):
            os.close(descriptor)
            raise ModelError(
                f"the data file {shown} is no regular file; expected the model's weights"
                if not regular
                else f"the data file {shown} is a hard link, which may be any file's content; "
                f"copy it into the model's folder, or {_ALLOW_LINKS}"
            )
        return descriptor


def _open_below(root: Path, parts: tuple[str, ...]) -> int:
    # Folder by folder, so that no link put there meanwhile is followed.
    if os.open not in os.supports_dir_fd:
        return os.open(root.joinpath(*parts), _READ)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(parts[-1], _READ | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)


def _shortened(location: str) -> str:
    return repr(location) if len(location) <= 100 else f"{location[:100]!r}..."


def _number(text: str, tensor: str, key: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ModelError(
            f"tensor {tensor!r} gives {key} {text[:40]!r}; expected a whole number of bytes: "
            "export the model again"
        )
    return int(text)
