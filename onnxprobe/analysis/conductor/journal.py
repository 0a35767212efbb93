"""What the worker has answered, kept in a file: a finished unit of work is never computed again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxprobe.analysis.conductor.link import Connection, WorkerLostError, error_of
from onnxprobe.errors import DataError, OnnxProbeError, RunError

__all__ = ["Journal", "JournalError", "Recorder"]

_FILE = "journal.jsonl"
# What such a file begins with; no other is ever written to.
_HEADER = b"onnxprobe journal 1\n"
# What the worker must have been told before it can measure; asked again of every new worker.
_PREPARING = frozenset({"survey", "source"})
_MEASURING = frozenset({"activations", "derive", "step", "jacobians", "typicality", "membership"})
_RECORDED = _PREPARING | _MEASURING


class JournalError(OnnxProbeError):
    """What is measured cannot be kept any more; no error of a tensor that others would survive."""

    exit_code = RunError.exit_code


class Journal:
    """Answers by key, in a folder that only its owner can read.

    Every record is on the disk before the next unit of work begins. A record that was cut off, or
    altered, does not count.

    Args:
        folder: Where; made if it is missing.
        resume: Whether records that are there count; else there must be none.

    Raises:
        DataError: If the folder cannot be written, belongs to a run that is still going on, holds
            another file of that name, is to be resumed and holds nothing, or holds something and
            is not to be resumed.
    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self.folder = folder
        self._records: dict[str, dict[str, Any]] = {}
        path = folder / _FILE
        if resume and not path.is_file():
            raise DataError(f"there is nothing to resume in {folder}: leave out --resume")
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            flags |= getattr(os, "O_NONBLOCK", 0)
            self._descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise DataError(
                f"{folder} cannot keep what is measured: {error.strerror}; choose another "
                "--work-dir"
            ) from error
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise DataError(f"{path} is no regular file; choose another --work-dir")
            _lock(self._descriptor, folder)
            content = _whole(self._descriptor)
            if content[: len(_HEADER)] != _HEADER[: len(content)]:
                raise DataError(f"{path} is no journal of onnxprobe; choose another --work-dir")
            self._records, whole = _read(content)
            if self._records and not resume:
                raise DataError(
                    f"{folder} keeps what an earlier analysis has measured: go on with it by "
                    "--resume, or remove the folder"
                )
            # What was cut off must not run into what is written next.
            os.ftruncate(self._descriptor, whole)
            if not whole:
                _write(self._descriptor, _HEADER)
        except BaseException:
            os.close(self._descriptor)
            raise

    def find(self, key: str) -> dict[str, Any] | None:
        """Find a record.

        Args:
            key: What it was kept under.

        Returns:
            What was kept; ``None`` if nothing was.
        """
        record = self._records.get(key)
        return None if record is None else record["content"]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was kept."""
        return not self._records

    def keep(self, key: str, content: dict[str, Any]) -> None:
        """Write a record down, and wait until it is on the disk.

        Args:
            key: Under what to keep it.
            content: JSON.

        Raises:
            JournalError: If it cannot be written; what was kept before still is.
        """
        record = {"key": key, "content": content}
        line = _line(record)
        start = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            _write(self._descriptor, line)
        except OSError as error:
            os.ftruncate(self._descriptor, start)
            raise JournalError(
                f"{self.folder} cannot keep what is measured: {error.strerror}; what was kept "
                "until now is unharmed: make room and go on with --resume"
            ) from error
        self._records[key] = record

    def close(self) -> None:
        """Let others have the folder; what is in it stays."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def delete(self) -> None:
        """Remove the folder with all that is in it."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _whole(descriptor: int) -> bytes:
    parts = []
    os.lseek(descriptor, 0, os.SEEK_SET)
    while part := os.read(descriptor, 2**20):
        parts.append(part)
    return b"".join(parts)


def _line(record: Mapping[str, Any]) -> bytes:
    body = json.dumps(record, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return f"{hashlib.sha256(body.encode()).hexdigest()} {body}\n".encode()


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.fsync(descriptor)


def _read(content: bytes) -> tuple[dict[str, dict[str, Any]], int]:
    """Read records up to the first that is not whole, and count the bytes until there."""
    records: dict[str, dict[str, Any]] = {}
    if not content.startswith(_HEADER):
        return records, 0
    whole = len(_HEADER)
    for line in content[whole:].split(b"\n")[:-1]:
        digest, _, body = line.partition(b" ")
        if digest != hashlib.sha256(body).hexdigest().encode():
            break
        record = _record(body)
        if record is None:
            break
        records[record["key"]] = record
        whole += len(line) + 1
    return records, whole


def _record(body: bytes) -> dict[str, Any] | None:
    """Read a record; ``None`` if it is none, whatever its digest says."""
    try:
        record: dict[str, Any] = json.loads(body)
    except (ValueError, RecursionError):
        return None
    content = record.get("content") if isinstance(record, dict) else None
    if not isinstance(content, dict) or not isinstance(record.get("key"), str):
        return None
    return record


def _is_answer(content: Mapping[str, Any]) -> bool:
    """Whether a record holds what a worker answered, whoever has written it."""
    progress, error = content.get("progress"), content.get("error")
    if isinstance(progress, bool) or not isinstance(progress, int | float):
        return False
    return "result" in content if error is None else isinstance(error, dict)


def _lock(descriptor: int, folder: Path) -> None:
    if sys.platform == "win32":
        return
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise DataError(
            f"{folder} belongs to an analysis that is still going on; choose another --work-dir"
        ) from error


class Recorder:
    """A `Link` that looks into a journal first, and writes into it what the worker answers.

    Args:
        link: To the worker.
        journal: Where answers are kept; ``None`` to keep none.
        prepare: Brings a worker, whose model is open, to where answers from the journal would have
            brought it.
        advance: Told how much work an answer from the journal stands for.
    """

    def __init__(
        self,
        link: Connection,
        journal: Journal | None,
        prepare: Callable[[Connection], None],
        advance: Callable[[float], None],
    ) -> None:
        self.link = link
        self._journal = journal
        self._prepare, self._advance = prepare, advance
        self._base = ""
        self._restarts = 0
        self._is_behind = False
        self._progress = 0.0

    def identify(self, *what: str) -> None:
        """Say what answers depend on, beside the question.

        Args:
            *what: Everything that identifies model, data, options and versions.

        Raises:
            DataError: If the journal is of something else.
        """
        self._base = hashlib.sha256("\0".join(what).encode()).hexdigest()
        if self._journal is None:
            return
        if self._journal.is_empty:
            self._journal.keep("base", {"base": self._base})
        elif self._journal.find("base") != {"base": self._base}:
            raise DataError(
                f"{self._journal.folder} was begun with another model, other data, options or "
                "versions; leave out --resume to begin anew"
            )

    def progress(self, amount: float) -> None:
        """Take note of work that the worker did.

        Args:
            amount: As the worker counts it.
        """
        self._progress += amount
        self._advance(amount)

    def call(
        self, method: str, params: dict[str, Any] | None = None, blobs: Sequence[bytes] = ()
    ) -> Any:  # noqa: ANN401 (validated by whoever asked)
        """Ask the worker, or the journal; see `Link.call`.

        Args:
            method: What to do.
            params: With what; JSON.
            blobs: Bytes that go with it.

        Returns:
            The answer, JSON.

        Raises:
            OnnxProbeError: What the worker raised, now or then.
            WorkerLostError: If it died or fell silent, now or then.
        """
        journal = self._journal
        if journal is None or method not in _RECORDED:
            return self.link.call(method, params, blobs)
        question = json.dumps([self._base, method, params], sort_keys=True, allow_nan=False)
        key = hashlib.sha256(question.encode()).hexdigest()
        content = journal.find(key)
        if content and _is_answer(content) and not self._may_last_longer(content):
            self._is_behind = self._is_behind or method in _PREPARING
            self._advance(content["progress"])
            if "error" in content:
                error = error_of(content["error"])
                if isinstance(error, WorkerLostError):
                    # Others are not kept.
                    error.comes_again = True
                raise error
            return content["result"]
        if self._is_behind and self.link.restarts == self._restarts:
            # A worker that was started since has been prepared.
            self._prepare(self.link)
        self._is_behind, self._restarts = False, self.link.restarts
        self._progress = 0.0
        try:
            result = self.link.call(method, params, blobs)
        except OnnxProbeError as error:
            if (told := _told(error)) is not None:
                silence_s = error.silence_s if isinstance(error, WorkerLostError) else None
                kept = {"error": told, "progress": self._progress, "silence_s": silence_s}
                journal.keep(key, kept)
            raise
        journal.keep(key, {"result": result, "progress": self._progress})
        return result

    def _may_last_longer(self, content: dict[str, Any]) -> bool:
        """Whether this was given up for silence, and is now given more time."""
        kept, now = content.get("silence_s"), self.link.silence_s
        return kept is not None and (now is None or now > kept)


def _told(error: OnnxProbeError) -> dict[str, str] | None:
    """Write down an error that would come again; not a bug, nor what somebody did to the worker."""
    if type(error).exit_code == OnnxProbeError.exit_code:
        return None
    if isinstance(error, WorkerLostError) and not error.comes_again:
        return None
    return {"kind": type(error).__name__, "message": str(error)}
