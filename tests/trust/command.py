"""The command as a user runs it, watched from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DOCUMENTED", "Ended", "Running", "descendants", "run"]

# Every exit code that --help names, but the one for a bug.
DOCUMENTED = frozenset({0, 2, 3, 4, 130, 143})
_SAMPLING_S = 0.02
_PACKAGE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Exit code; the negative number of the signal that killed it.
        out: What it printed.
        err: What it complained of.
        seconds: How long it took.
        peak_bytes: The most memory that it and its children held at a time.
    """

    code: int
    out: str
    err: str
    seconds: float
    peak_bytes: int

    @property
    def is_clean(self) -> bool:
        """Whether it ended as documented, without a traceback."""
        return self.code in DOCUMENTED and "Traceback" not in self.err + self.out


class Running:
    """A command that is under way."""

    def __init__(
        self, arguments: Sequence[str | Path], *, env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:  # fmt: skip
        self._start = time.monotonic()
        environment = {**os.environ, "PYTHONPATH": str(_PACKAGE), **(env or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "onnxprobe", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=cwd,
        )
        self._peak_bytes = 0
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def kill(self, number: int = signal.SIGKILL) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def wait(self, timeout_s: float) -> Ended:
        try:
            out, err = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.communicate()
            raise
        seconds = time.monotonic() - self._start
        self._watcher.join()
        said, complained = (each.decode("utf-8", "replace") for each in (out, err))
        return Ended(self.process.returncode, said, complained, seconds, self._peak_bytes)

    def _watch(self) -> None:
        while self.process.poll() is None:
            held = sum(map(_resident, [self.process.pid, *descendants(self.process.pid)]))
            self._peak_bytes = max(self._peak_bytes, held)
            time.sleep(_SAMPLING_S)


def run(
    arguments: Sequence[str | Path], *, timeout_s: float = 120.0,
    env: Mapping[str, str] | None = None, cwd: Path | None = None,
) -> Ended:  # fmt: skip
    return Running(arguments, env=env, cwd=cwd).wait(timeout_s)


def descendants(pid: int) -> list[int]:
    """Children of a process, and theirs."""
    found, pending = [], [pid]
    while pending:
        at = pending.pop()
        with suppress(OSError):
            for task in Path(f"/proc/{at}/task").iterdir():
                children = [int(each) for each in (task / "children").read_text().split()]
                found += children
                pending += children
    return found


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
