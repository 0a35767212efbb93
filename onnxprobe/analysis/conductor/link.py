"""The conductor's only way to native code: a child process that may die at any time."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from onnxprobe import errors
from onnxprobe.analysis.conductor.child import Child, Confine
from onnxprobe.analysis.frames import Frame
from onnxprobe.errors import OnnxProbeError, RunError

__all__ = [
    "NONSENSE",
    "Connection",
    "InternalError",
    "Link",
    "OutOfTimeError",
    "WorkerLostError",
    "check_names",
    "error_of",
]

# Said of a worker that does not keep to its own language: something else speaks through it.
NONSENSE = "the computation answered what makes no sense; the model may have taken it over"
# What workers printed that is kept, over all of them.
_CHATTER_BYTES = 64 * 1024
_MOST_PROGRESS = 1e15
# How long a worker may take to start.
_START_S = 30.0

_FROM_OUTSIDE = frozenset({
    signal.SIGTERM,
    signal.SIGINT,
    getattr(signal, "SIGHUP", signal.SIGTERM),
})

_ERRORS: dict[str, type[OnnxProbeError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, OnnxProbeError)
}


class WorkerLostError(RunError):
    """The worker died, or said nothing for too long; its message says how.

    Args:
        message: How.
        was_killed: Whether somebody killed it, be it the system for want of memory.
        comes_again: Whether the same is bound to happen to another worker.
        silence_s: For how long it was silent, if that is what ended it.
    """

    def __init__(
        self,
        message: str,
        *,
        was_killed: bool = False,
        comes_again: bool = False,
        silence_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.was_killed, self.comes_again, self.silence_s = was_killed, comes_again, silence_s


_ERRORS[WorkerLostError.__name__] = WorkerLostError


class OutOfTimeError(OnnxProbeError):
    """The time for the whole analysis is over; no other error, since there is none to try again."""

    exit_code = RunError.exit_code


class InternalError(OnnxProbeError):
    """A bug in onnxprobe, with the traceback of where it happened.

    Attributes:
        traceback: The worker's traceback.
    """

    def __init__(self, message: str, traceback: str) -> None:
        super().__init__(message)
        self.traceback = traceback


class Connection(Protocol):
    """Whatever does a worker's work: a `Link` to one, or somebody in this process.

    Attributes:
        restarts: How often it had to begin anew.
        features: What the system does to confine a worker, by name; ``None`` without one.
    """

    restarts: int
    features: dict[str, bool] | None

    @property
    def silence_s(self) -> float | None:
        """How long it may say nothing; ``None`` for as long as it likes."""
        ...

    @property
    def chatter(self) -> str:
        """What native code printed."""
        ...

    def call(
        self, method: str, params: dict[str, Any] | None = None, blobs: Sequence[bytes] = ()
    ) -> Any:  # noqa: ANN401 (validated by whoever asked)
        """Ask for something and wait for it; see `Link.call`."""
        ...

    def close(self) -> None:
        """End whatever there is."""
        ...


class Link:
    """A worker process, started when first called and again whenever it was lost.

    Args:
        confine: Says what a worker may touch, given a folder of its own.
        silence_s: How long the worker may say nothing before it is taken to hang.
        timeout_s: How long all calls together may take; ``None`` for as long as it takes.
        memory_bytes: How much memory the worker may hold, besides its libraries; ``None`` for any.
        on_progress: Called with the amount of work done, whenever the worker reports some.
        on_start: Called with the link after every start of a worker, before anything else is asked
            of it.

    Attributes:
        features: What the system does to confine the worker, by name.
        silence_s: As given.
    """

    def __init__(
        self,
        confine: Confine,
        silence_s: float,
        *,
        timeout_s: float | None = None,
        memory_bytes: int | None = None,
        on_progress: Callable[[float], None] = lambda _: None,
        on_start: Callable[[Link], None] = lambda _: None,
    ) -> None:
        self._confine = confine
        self.silence_s = silence_s
        self._timeout_s = timeout_s
        self._ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        self._memory_bytes = memory_bytes
        self._on_progress = on_progress
        self._on_start = on_start
        self._child: Child | None = None
        self._chatter = b""
        self._is_busy = False
        self.features: dict[str, bool] | None = {}
        self.restarts = -1

    @property
    def chatter(self) -> str:
        """What the workers printed, the last 64 kB."""
        now = b"" if self._child is None else self._child.chatter
        return (self._chatter + now)[-_CHATTER_BYTES:].decode("utf-8", "replace")

    def call(
        self, method: str, params: dict[str, Any] | None = None, blobs: Sequence[bytes] = ()
    ) -> Any:  # noqa: ANN401 (validated by whoever asked)
        """Ask the worker for something and wait for it.

        Args:
            method: What to do.
            params: With what; JSON.
            blobs: Bytes that go with it.

        Returns:
            The worker's answer, JSON.

        Raises:
            OnnxProbeError: What the worker raised.
            WorkerLostError: If it died or fell silent; the next call starts another one.
        """  # noqa: DOC501 (the errors are made from messages)
        for is_last in (False, True):
            try:
                return self._call(method, params or {}, blobs)
            except WorkerLostError as error:
                # Whoever kills a worker from outside has nothing against what it was doing.
                if is_last or not error.was_killed:
                    raise
        raise AssertionError("one of two attempts returns or raises")

    def _call(self, method: str, params: dict[str, Any], blobs: Sequence[bytes]) -> Any:  # noqa: ANN401
        if self._child is None:
            self._start()
            self._on_start(self)
        return self._exchange(method, params, blobs)

    def _start(self) -> None:
        self.restarts += 1
        self._child = Child.find(self._confine)
        if self._child is None:
            self._child = Child(self._confine)
            self._is_busy = True
            self._child.begin()
            # Starting is no unit of work, and no model makes it slower.
            patience_s, self.silence_s = self.silence_s, max(self.silence_s, _START_S)
            try:
                self._child.features = self._answer()
            finally:
                self.silence_s = patience_s
        self._child.limit(self._memory_bytes)
        self.features = self._child.features

    def _exchange(self, method: str, params: dict[str, Any], blobs: Sequence[bytes]) -> Any:  # noqa: ANN401
        assert self._child is not None
        self._is_busy = True
        self._child.send(method, params, blobs)
        return self._answer()

    def _answer(self) -> Any:  # noqa: ANN401
        while True:
            frame = self._next()
            if frame is None:
                raise self._lost()
            content = frame.header
            if set(content) == {"progress"} and _is_amount(content["progress"]):
                self._on_progress(float(content["progress"]))
                continue
            self._is_busy = False
            if set(content) == {"result"}:
                return content["result"]
            if set(content) == {"error"} and isinstance(content["error"], dict):
                raise error_of(content["error"])
            self._is_busy = True
            self.close()
            raise WorkerLostError(NONSENSE, comes_again=True)

    def _next(self) -> Frame | None:
        """Wait for the worker to say something."""
        assert self._child is not None
        left_s = self.silence_s
        if self._ends_at is not None:
            left_s = min(left_s, self._ends_at - time.monotonic())
        # A worker that never stops talking is not waited for any longer than a silent one.
        if left_s > 0:
            with suppress(queue.Empty):
                return self._child.receive(left_s)
        self.close()
        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            raise OutOfTimeError(
                f"the time of {self._timeout_s:g} s is over; allow more with --timeout"
            )
        raise WorkerLostError(
            f"nothing was heard from the computation for {self.silence_s:.3g} s; raise "
            "--unit-timeout, or --timeout, if the model is that slow",
            comes_again=True,
            silence_s=self.silence_s,
        )

    def close(self) -> None:
        """End the worker: at once if it is computing, else by telling it that there is no more."""
        if self._child is None:
            return
        child, self._child = self._child, None
        child.leave(busy=self._is_busy)
        self._chatter = (self._chatter + child.chatter)[-_CHATTER_BYTES:]

    def _lost(self) -> WorkerLostError:
        assert self._child is not None
        code, limit_bytes = self._child.wait()
        self._is_busy = True
        self.close()
        if limit_bytes is not None:
            return WorkerLostError(
                f"it took more than the {limit_bytes / 2**30:.3g} GB of memory allowed; allow "
                "more with --memory"
            )
        was_killed = code == -signal.SIGKILL
        crashed = code < 0 and not was_killed and -code not in _FROM_OUTSIDE
        return WorkerLostError(_death(code), was_killed=was_killed, comes_again=crashed)


def _is_amount(value: object) -> bool:
    # Compared first: what is too large for a float, and what is no number, is no amount.
    return isinstance(value, int | float) and 0 <= value < _MOST_PROGRESS


def _death(code: int) -> str:
    if code >= 0:
        return f"the computation ended unexpectedly (exit code {code})"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return "the computation was killed, most likely because memory ran out"
    if -code in _FROM_OUTSIDE:
        return f"the computation was ended from outside ({name})"
    return f"native code crashed ({name})"


def check_names(given: Sequence[str], asked: Sequence[str]) -> None:
    """Check that an answer is about what was asked.

    Args:
        given: Names in the answer.
        asked: Names in the question.

    Raises:
        RunError: If it is about anything else, or twice about the same.
    """
    if len(set(given)) < len(given) or not set(given) <= set(asked):
        raise RunError(NONSENSE)


def error_of(content: dict[str, Any]) -> OnnxProbeError:
    """Make an error of a message.

    Args:
        content: Its kind, and what it says.

    Returns:
        The error; an `InternalError` if it was none of those meant for users.
    """
    kind = _ERRORS.get(str(content.get("kind")))
    message = str(content.get("message"))
    return kind(message) if kind else InternalError(message, str(content.get("traceback")))
