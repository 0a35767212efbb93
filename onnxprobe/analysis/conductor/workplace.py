"""Where an analysis keeps what it has measured until it is done."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from onnxprobe.analysis.conductor.journal import Journal
from onnxprobe.analysis.conductor.request import Subject
from onnxprobe.analysis.configuration import Configuration
from onnxprobe.errors import DataError

__all__ = ["Workplace", "state_folder"]


@dataclass(frozen=True)
class Workplace:
    """A journal, and what becomes of it.

    Attributes:
        journal: The journal; ``None`` if there is no place for one.
        is_kept: Whether it stays when the analysis is done.
        older: Folders of earlier runs of the same that were not finished; removed when this one is.
    """

    journal: Journal | None
    is_kept: bool
    older: tuple[Path, ...] = ()

    @classmethod
    def given(cls, folder: Path, *, resume: bool) -> Workplace:
        """Use a folder that the user named.

        Args:
            folder: The folder.
            resume: Whether to go on with what is there.

        Returns:
            The workplace.

        Raises:
            DataError: If it cannot be used.
        """
        return cls(Journal(folder, resume=resume), is_kept=True)

    @classmethod
    def own(cls, subject: Subject, configuration: Configuration, *, resume: bool) -> Workplace:
        """Use a folder in the user's state, named after model, data and options.

        Args:
            subject: Model and data.
            configuration: What is asked for.
            resume: Whether to go on with the latest run of the same.

        Returns:
            The workplace; without a journal if the user's state cannot be written.

        Raises:
            DataError: If there is no such run to go on with.
        """
        asked = [subject.header, configuration.figures()]
        name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
        runs = state_folder() / "runs"
        found = sorted(runs.glob(f"{name}-*"), key=_age, reverse=True)
        if resume:
            for place, folder in enumerate(found):
                with suppress(DataError):
                    journal = Journal(folder, resume=True)
                    if journal.is_empty:
                        journal.delete()
                        continue
                    rest = (*found[:place], *found[place + 1 :])
                    return cls(journal, is_kept=False, older=rest)
            raise DataError(
                "there is no unfinished analysis of this model with these options: leave out "
                "--resume"
            )
        try:
            journal = Journal(runs / f"{name}-{secrets.token_hex(4)}", resume=False)
        except DataError:
            return cls(None, is_kept=False)
        return cls(journal, is_kept=False, older=tuple(found))

    def finish(self, *, complete: bool) -> bool:
        """Leave the workplace, with or without what is in it.

        Args:
            complete: Whether there is nothing left to go on with.

        Returns:
            Whether the analysis can be resumed.
        """
        if self.journal is None:
            return False
        if self.is_kept or not (complete or self.journal.is_empty):
            self.journal.close()
            return not self.journal.is_empty and not complete
        self.journal.delete()
        for folder in self.older if complete else ():
            # One may still be going on.
            with suppress(DataError):
                Journal(folder, resume=True).delete()
        return False


def _age(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except OSError:
        return 0.0


def state_folder() -> Path:
    """Return where the user's programs keep what they are about.

    Returns:
        A folder that need not exist.
    """
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) / "onnxprobe" if local else Path.home() / ".onnxprobe"
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification has relative ones ignored.
    return (
        Path(state if Path(state).is_absolute() else Path.home() / ".local" / "state") / "onnxprobe"
    )
