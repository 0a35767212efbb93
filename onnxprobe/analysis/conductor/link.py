"""The conductor's only way to native code: a child process that may die at any time."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from onnxprobe import errors
from onnxprobe.analysis.frames import Frame, read_frame, write_frame
from onnxprobe.errors import OnnxProbeError, RunError

__all__ = ["InternalError", "Link", "WorkerLostError"]

MAX_CHATTER_BYTES = 64 * 1024
_GRACE_S = 5.0

_ERRORS: dict[str, type[OnnxProbeError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, OnnxProbeError)
}


class WorkerLostError(RunError):
    """The worker died, or said nothing for too long; its message says how."""


class InternalError(OnnxProbeError):
    """A bug in onnxprobe, with the traceback of where it happened.

    Attributes:
        traceback: The worker's traceback.
    """

    def __init__(self, message: str, traceback: str) -> None:
        super().__init__(message)
        self.traceback = traceback


class Link:
    """A worker process, started when first called and again whenever it was lost.

    Args:
        silence_s: How long the worker may say nothing before it is taken to hang.
        on_progress: Called with the amount of work done, whenever the worker reports some.
        on_start: Called with the link after every start of a worker, before anything else is asked
            of it.
    """

    def __init__(
        self,
        silence_s: float,
        on_progress: Callable[[float], None] = lambda _: None,
        on_start: Callable[[Link], None] = lambda _: None,
    ) -> None:
        self._silence_s = silence_s
        self._on_progress = on_progress
        self._on_start = on_start
        self._process: subprocess.Popen[bytes] | None = None
        self._frames: queue.Queue[Frame | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._chatter = bytearray()
        self._is_busy = False
        self.restarts = -1

    @property
    def chatter(self) -> str:
        """What the workers printed, the last 64 kB."""
        return self._chatter.decode("utf-8", "replace")

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
        if self._process is None:
            self._start()
            self._on_start(self)
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self._is_busy = True
        try:
            write_frame(process.stdin, {"method": method, "params": params or {}}, blobs)
        except OSError:
            raise self._lost() from None
        while True:
            try:
                frame = self._frames.get(timeout=self._silence_s)
            except queue.Empty:
                self.close()
                raise WorkerLostError(
                    f"nothing was heard from the computation for {self._silence_s:.0f} s; raise "
                    "--timeout if the model is that slow"
                ) from None
            if frame is None:
                raise self._lost()
            if "progress" in frame.header:
                self._on_progress(float(frame.header["progress"]))
            else:
                self._is_busy = False
                if "error" in frame.header:
                    raise _error(frame.header["error"])
                return frame.header["result"]

    def close(self) -> None:
        """End the worker: at once if it is computing, else by telling it that there is no more."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        if self._is_busy:
            process.kill()
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for thread in self._threads:
            thread.join(_GRACE_S)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def _start(self) -> None:
        self.restarts += 1
        self._frames = queue.Queue()
        self._process = subprocess.Popen(
            # -P keeps the current folder, which may hold anybody's modules, off the path.
            [sys.executable, "-P", "-m", "onnxprobe.analysis.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=_pump, args=(self._process, self._frames), daemon=True),
            threading.Thread(target=self._drain, args=(self._process,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _drain(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        try:
            while part := process.stderr.read1(4096):  # type: ignore[attr-defined]
                self._chatter += part
                del self._chatter[:-MAX_CHATTER_BYTES]
        except (OSError, ValueError):
            return

    def _lost(self) -> WorkerLostError:
        process = self._process
        assert process is not None
        try:
            code = process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            code = 0
        self.close()
        return WorkerLostError(_death(code))


def _pump(process: subprocess.Popen[bytes], frames: queue.Queue[Frame | None]) -> None:
    assert process.stdout is not None
    try:
        while frame := read_frame(process.stdout):
            frames.put(frame)
    except (OSError, ValueError):
        pass
    frames.put(None)


def _death(code: int) -> str:
    if code >= 0:
        return f"the computation ended unexpectedly (exit code {code})"
    name = signal.Signals(-code).name
    if name == "SIGKILL":
        return "the computation was killed, most likely because memory ran out"
    return f"native code crashed ({name})"


def _error(content: dict[str, Any]) -> OnnxProbeError:
    kind = _ERRORS.get(str(content.get("kind")))
    message = str(content.get("message"))
    return kind(message) if kind else InternalError(message, str(content.get("traceback")))


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    # A model's metadata could choose threads and profiling files through this.
    environment.pop("ORT_LOAD_CONFIG_FROM_MODEL", None)
    # The result of a factorisation depends on the number of threads; ours run side by side instead.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = "1"
    package = str(Path(__file__).parents[3])
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{package}{os.pathsep}{inherited}" if inherited else package
    return environment
