"""What an analysis is asked to look at: a model and data, as they travel to the worker."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from onnxprobe.analysis.conductor.child import Confine
from onnxprobe.analysis.confinement import Confinement
from onnxprobe.errors import DataError, ModelError
from onnxprobe.types import Array

__all__ = ["Data", "Further", "ModelSource", "Subject"]

Data: TypeAlias = "str | Path | Array | Mapping[str, str | Path | Array] | None"
ModelSource: TypeAlias = "str | Path | Any"


@dataclass(frozen=True)
class Further:
    """Samples beside the data, and what is known of it.

    Attributes:
        members: Samples that the model was trained on, as data is given.
        non_members: Samples that it was not trained on.
        labels: The class of each sample of the data: a path or an array.
    """

    members: Data = None
    non_members: Data = None
    labels: str | Path | Array | None = None


@dataclass(frozen=True)
class Subject:
    """A model and the data to measure it on.

    Attributes:
        header: What the worker reads of it as JSON.
        blobs: What travels beside: the model's bytes if it is in memory, then arrays.
        paths: Paths that were given, for the report.
        files: Files and folders that a worker must read.
    """

    header: dict[str, Any]
    blobs: tuple[bytes, ...]
    paths: dict[str, str]
    files: tuple[Path, ...]

    @classmethod
    def of(cls, model: ModelSource, data: Data = None, further: Further | None = None) -> Subject:
        """Take what a user gave.

        Args:
            model: Path of an ``.onnx`` file, or a ``ModelProto``.
            data: A path or array for the only input, or one per input by name; ``None`` to draw
                samples.
            further: Members, non-members and labels, if there are any.

        Returns:
            The subject.

        Raises:
            ModelError: If the model is neither, or does not fit a message.
            DataError: If an array holds Python objects, or only one of members and non-members is
                given.
        """
        further = further or Further()
        if (further.members is None) is not (further.non_members is None):
            raise DataError(
                "membership needs both: --members, which the model was trained on, and "
                "--non-members, which it was not"
            )
        if further.labels is not None and data is None:
            raise DataError("--labels are those of samples: give them with --data")
        paths: dict[str, str] = {}
        content = b""
        if isinstance(model, str | Path):
            paths["model"] = _legible(model)
            location, name = _absolute(model), _legible(Path(model).name)
        elif hasattr(model, "SerializeToString"):
            location, name = None, "(memory)"
            content = _serialise(model)
        else:
            raise ModelError(
                f"the model is a {type(model).__name__}; "
                "give the path of an .onnx file or a ModelProto"
            )
        given = {
            "data": data,
            "members": further.members,
            "non_members": further.non_members,
            "labels": further.labels,
        }
        entries: dict[str, list[dict[str, Any]] | None] = {}
        arrays: list[bytes] = []
        for what, value in given.items():
            entries[what], blobs = _entries(value, what.replace("_", "-"), paths)
            arrays += blobs
        named = [each["path"] for group in entries.values() for each in group or []]
        files = [Path(path) for path in named if path is not None]
        if location is not None:
            # External data lies beside the model; if that is a link, beside either end of it.
            files += [Path(location).parent, Path(os.path.realpath(location)).parent]
        header = {
            "path": location,
            "name": name,
            "model_bytes": len(content),
            **entries,
        }
        return cls(header, (content, *arrays), paths, tuple(files))

    def confine(self, *, allow_links: bool, writable: Sequence[Path] = ()) -> Confine:
        """Allow a worker to read the model and the data.

        Args:
            allow_links: Whether external data may lie anywhere.
            writable: Files that the worker is to write.

        Returns:
            What says so for a worker with some folder of its own.
        """
        readable = None if allow_links else self.files
        return lambda scratch: Confinement.of(scratch, readable=readable, writable=writable)


def _serialise(model: Any) -> bytes:  # noqa: ANN401 (the parent process does not import onnx)
    try:
        content: bytes = model.SerializeToString()
    except ValueError as error:
        raise ModelError(
            f"the model in memory cannot be serialised ({error}); "
            "save it with external data and give its path"
        ) from error
    return content


def _entries(
    data: Data, what: str, paths: dict[str, str]
) -> tuple[list[dict[str, Any]] | None, list[bytes]]:
    if data is None:
        return None, []
    named: list[tuple[str | None, Any]] = (
        [*data.items()] if isinstance(data, Mapping) else [(None, data)]
    )
    entries, blobs = [], []
    for name, value in named:
        entry: dict[str, Any] = {"name": name, "path": None, "bytes": 0}
        if isinstance(value, str | Path):
            paths[f"{what} {name}" if name else what] = _legible(value)
            entry["path"] = _absolute(value)
        else:
            blobs.append(_pack(value, name))
            entry["bytes"] = len(blobs[-1])
        entries.append(entry)
    return entries, blobs


def _absolute(path: str | Path) -> str:
    if "\0" in str(path):
        raise DataError(f"{str(path)!r} is no path")
    try:
        return str(Path(path).absolute())
    except OSError as error:
        raise DataError(f"{path} cannot be found: the current folder is gone") from error


def _legible(path: str | Path) -> str:
    """Write a path that need not be text: what is no letter becomes a question mark."""
    return os.fsencode(path).decode("utf-8", "replace")


def _pack(value: Any, name: str | None) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    try:
        np.save(buffer, np.asarray(value), allow_pickle=False)
    except ValueError as error:
        raise DataError(
            f"the data for {name or 'the input'} is no array of numbers ({error}); "
            "give a numpy array"
        ) from error
    return buffer.getvalue()
