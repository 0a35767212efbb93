"""Finished work, kept outside the repository under a hash of all that decides it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

__all__ = ["Cell", "OutOfTimeError", "Store", "source_digest"]

Cell = dict[str, Any]


class OutOfTimeError(Exception):
    """No time is left to begin another cell."""


class Store:
    """A folder of finished cells; what is in it is never computed again.

    ``spent_s`` is how long the cells took that were asked for, whenever they were computed.
    """

    def __init__(self, folder: Path, deadline_s: float) -> None:
        self.folder = folder
        self.spent_s = 0.0
        self._counted: set[Path] = set()
        self._end = time.monotonic() + deadline_s
        folder.mkdir(parents=True, exist_ok=True)

    def cell(self, decides: Cell, compute: Callable[[], Cell]) -> Cell:
        """Return a cell, and compute it only if it is not there.

        Args:
            decides: All that the result depends on, as JSON can hold it.
            compute: Makes the result.

        Returns:
            The result, as JSON gives it back, with ``elapsed_s``.

        Raises:
            OutOfTimeError: If it is not there and the time is over.
        """
        path = self.path(decides, ".json")
        if path.exists():
            kept: Cell = json.loads(path.read_text())["result"]
            self._spend(path, kept)
            return kept
        if time.monotonic() > self._end:
            raise OutOfTimeError("the time given was over before it was done")
        start = time.monotonic()
        result = compute()
        result["elapsed_s"] = round(time.monotonic() - start, 1)
        self._spend(path, result)
        text = json.dumps({"decides": decides, "result": result}, indent=1, sort_keys=True)
        # A reader sees all of a cell or none of it, whenever this process is ended.
        draft = path.with_suffix(f".{os.getpid()}.part")
        draft.write_text(text)
        draft.replace(path)
        again: Cell = json.loads(text)["result"]
        return again

    def _spend(self, path: Path, result: Cell) -> None:
        # A cell may be asked for by several.
        if path not in self._counted:
            self._counted.add(path)
            self.spent_s += result["elapsed_s"]

    def path(self, decides: Cell, suffix: str) -> Path:
        """Return the path of what belongs to a cell."""
        digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        return self.folder / f"{decides['kind']}-{digest[:24]}{suffix}"


def source_digest(paths: Iterable[Path]) -> str:
    """Return a digest of files of source text: other code, other cells."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:24]
