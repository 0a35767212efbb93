"""Interrupts of a command: the first one ends the measuring, none ends the writing of a report."""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["TERMINATED", "arm", "hold", "ignore", "rearm"]

TERMINATED = 143


class _Terminated(SystemExit):
    def __init__(self) -> None:
        super().__init__(TERMINATED)


_state = {"armed": True}


def arm() -> None:
    """Let SIGINT raise `KeyboardInterrupt` and SIGTERM `SystemExit`, whichever comes first.

    Whatever comes afterwards is ignored: the command is already about to end.
    """
    _state["armed"] = True
    signal.signal(signal.SIGINT, _handle)
    signal.signal(signal.SIGTERM, _handle)


def rearm() -> None:
    """Let the next interrupt count again, for the next command in this process."""
    _state["armed"] = True


def hold() -> None:
    """Ignore interrupts from here on: what is left takes no time, and must not be torn."""
    _state["armed"] = False


def ignore() -> None:
    """Let no interrupt replace the exit code while the interpreter shuts down.

    Python gives signals back to the system before it ends, unless they are ignored.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a signal handler's)
    if not _state["armed"]:
        return
    _state["armed"] = False
    raise KeyboardInterrupt if number == signal.SIGINT else _Terminated
