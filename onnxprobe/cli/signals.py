"""Interrupts of a command: the first one ends the measuring, none ends the writing of a report."""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["INTERRUPTED", "TERMINATED", "arm", "hold", "ignore", "rearm"]

INTERRUPTED, TERMINATED = 130, 143


class _Terminated(SystemExit):
    def __init__(self) -> None:
        super().__init__(TERMINATED)


class _Interrupted(KeyboardInterrupt):
    """Not the plain one: having seen that pass through `exec`, the interpreter ends by SIGINT.

    It does so even if somebody caught it, and the exit code is lost.
    """


_ENDING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]


_state = {"armed": True}


def arm() -> None:
    """Let SIGINT raise `KeyboardInterrupt`, SIGTERM and a closed terminal `SystemExit`.

    Whatever comes after the first one is ignored: the command is already about to end.
    """
    _state["armed"] = True
    for number in _ENDING:
        # Whoever started this with nohup wants it to survive the terminal.
        if signal.getsignal(number) is not signal.SIG_IGN or number == signal.SIGINT:
            signal.signal(number, _handle)


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
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)


def _handle(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a signal handler's)
    if not _state["armed"]:
        return
    _state["armed"] = False
    raise _Interrupted if number == signal.SIGINT else _Terminated
