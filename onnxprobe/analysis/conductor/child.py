"""A worker as a process: how it is started, listened to, watched and ended."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from onnxprobe.analysis.conductor.installation import check_installation
from onnxprobe.analysis.conductor.scratch import Scratch
from onnxprobe.analysis.confinement import Confinement, has_cuda_device
from onnxprobe.analysis.frames import Frame, read_frame, write_frame
from onnxprobe.errors import OnnxProbeError, RunError

__all__ = ["CannotStartError", "Child", "Confine", "reused_workers"]

MAX_CHATTER_BYTES = 64 * 1024
_GRACE_S = 5.0
_POLL_S = 0.005
_LOOK_S = 1.0
# Messages that wait to be read; more would let a worker fill this process.
_PENDING = 4
# How often the memory of a worker is looked at, where no limit of the kernel holds for it: CUDA's
# libraries and what its driver pins come on top of the budget.
_WATCH_S = 0.1
_SLACK_BYTES = 8 * 2**30
# Analyses that one worker does, where workers are used again.
_USES = 200

_PASSED = frozenset({
    "HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "PATH", "PATHEXT", "SYSTEMROOT", "TZ",
    "USERPROFILE", "VIRTUAL_ENV", "WINDIR",
})  # fmt: skip
_PASSED_PREFIXES = ("CUDA_", "COV_", "COVERAGE_", "LC_", "NVIDIA_", "PYTHON")

Confine = Callable[[Path], Confinement]


class CannotStartError(OnnxProbeError):
    """There is no worker to be had; no error of a tensor, which others would survive."""

    exit_code = RunError.exit_code


class Child:
    """A worker process with a folder of its own, confined before it is asked for anything.

    Args:
        confine: Says what it may touch, given its folder.

    Attributes:
        features: What the system does to confine it, by name; known once it has answered.

    Raises:
        CannotStartError: If the system has no room for it.
    """

    def __init__(self, confine: Confine) -> None:
        check_installation()
        try:
            self._scratch = Scratch()
        except OSError as error:
            raise CannotStartError(
                f"there is no place for temporary files: {error.strerror}; make room, or choose "
                "another with TMPDIR"
            ) from error
        self._confinement = confine(self._scratch.path)
        self._chatter = bytearray()
        self._too_large_bytes: int | None = None
        self._limit_bytes: int | None = None
        self._uses = 0
        self.features: dict[str, bool] = {}
        self._frames: queue.Queue[Frame | None] = queue.Queue(_PENDING)
        self._is_over = False
        self._requests: queue.Queue[tuple[dict[str, Any], Sequence[bytes]] | None] = queue.Queue()
        try:
            self._process = subprocess.Popen(
                # -P keeps the current folder, which may hold anybody's modules, off the path.
                [sys.executable, "-P", "-m", "onnxprobe.analysis.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(self._scratch.path),
                start_new_session=True,
            )
        except OSError as error:
            self._scratch.remove()
            raise CannotStartError(
                f"no worker process can be started: {error.strerror}; end other programs and try "
                "again"
            ) from error
        except BaseException:
            self._scratch.remove()
            raise
        targets = [
            self._write,
            self._pump,
            self._drain,
            *([self._watch] if has_cuda_device() else []),
        ]
        self._threads = [threading.Thread(target=each, daemon=True) for each in targets]
        for thread in self._threads:
            thread.start()

    @classmethod
    def find(cls, confine: Confine) -> Child | None:
        """Take an idle worker that is confined in the same way.

        Args:
            confine: As for a new one.

        Returns:
            The worker, which has answered before; ``None`` if there is none.
        """
        for child in _idle or ():
            if child._confinement == confine(child._scratch.path):
                assert _idle is not None
                _idle.remove(child)
                child._chatter.clear()
                return child
        return None

    @property
    def chatter(self) -> bytes:
        """What it printed, the last 64 kB."""
        return bytes(self._chatter)

    def begin(self) -> None:
        """Send what it may touch, before all else."""
        self.send("begin", self._confinement.message(), ())

    def send(self, method: str, params: dict[str, Any], blobs: Sequence[bytes]) -> None:
        """Send a request, without waiting for it to be read; if it is gone, `receive` says so.

        Args:
            method: What to do.
            params: With what.
            blobs: Bytes that go with it.
        """
        self._requests.put(({"method": method, "params": params}, blobs))

    def receive(self, timeout_s: float) -> Frame | None:
        """Wait for the next message.

        Args:
            timeout_s: How long.

        Returns:
            The message; ``None`` if it is gone.

        Raises:
            queue.Empty: If nothing came.
        """
        until = time.monotonic() + timeout_s
        while True:
            # Who has ended says nothing more, whoever else may hold the pipe.
            has_ended = self._ends_within(0.0)
            left_s = min(until - time.monotonic(), _LOOK_S)
            try:
                return self._frames.get(timeout=max(left_s, 0.0))
            except queue.Empty:
                if has_ended:
                    return None
                if time.monotonic() >= until:
                    raise

    def limit(self, limit_bytes: int | None) -> None:
        """Say how much memory it may hold, where the kernel does not see to that.

        Args:
            limit_bytes: The budget of the analysis; ``None`` for any.
        """
        self._limit_bytes = limit_bytes

    def wait(self) -> tuple[int, int | None]:
        """Wait for a process that has closed its pipe to end.

        Returns:
            Its exit code, and the budget that it was ended for exceeding, if it was.
        """
        ended = self._ends_within(_GRACE_S)
        self._kill()
        code = self._process.wait()
        return code if ended else 0, self._too_large_bytes

    def leave(self, *, busy: bool) -> None:
        """End it, or keep it for others if that is wanted.

        Args:
            busy: Whether it is computing: then it is killed.
        """
        self._uses += 1
        alive = self._process.poll() is None and not busy
        if _idle is not None and alive and self._uses < _USES:
            _idle.append(self)
            return
        self.end(busy=busy)

    def end(self, *, busy: bool) -> None:
        """End it: at once if it is computing, else by telling it that there is no more.

        Args:
            busy: Whether it is computing.
        """
        process = self._process
        if busy:
            self._kill()
        # Closes the pipe behind what has been sent.
        self._requests.put(None)
        self._ends_within(_GRACE_S)
        self._kill()
        process.wait()
        self._is_over = True
        with suppress(queue.Empty):
            # Whoever waits for room among the messages finds some.
            while True:
                self._frames.get_nowait()
        for thread in self._threads:
            thread.join(_GRACE_S)
        if not any(thread.is_alive() for thread in self._threads):
            # To close what is still being read would wait for whoever holds the other end.
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        self._scratch.remove()

    def _ends_within(self, seconds: float) -> bool:
        """Wait for the worker to end; its number stays its own until somebody asks for its code."""
        if sys.platform == "win32":
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
            return self._process.returncode is not None
        until = time.monotonic() + seconds
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while self._process.returncode is None:
            with suppress(ChildProcessError):
                if os.waitid(os.P_PID, self._process.pid, flags) is None:
                    if time.monotonic() > until:
                        return False
                    time.sleep(_POLL_S)
                    continue
            break
        return True

    def _kill(self) -> None:
        """End the worker, and whatever it may have started where nothing keeps it from that."""
        if self._process.returncode is not None:
            return
        if sys.platform == "win32":
            self._process.kill()
            return
        with suppress(ProcessLookupError, PermissionError):
            # It leads a session of its own.
            os.killpg(self._process.pid, signal.SIGKILL)

    def _write(self) -> None:
        assert self._process.stdin is not None
        with suppress(OSError, ValueError):
            while request := self._requests.get():
                write_frame(self._process.stdin, *request)
        with suppress(OSError):
            self._process.stdin.close()

    def _pump(self) -> None:
        assert self._process.stdout is not None
        try:
            # Answers come without bytes beside them.
            while not self._is_over and (
                frame := read_frame(self._process.stdout, max_blob_bytes=0)
            ):
                self._frames.put(frame)
        except Exception:  # noqa: BLE001 (whatever hostile code may send instead of messages)
            self._frames.put(Frame({}))
        self._frames.put(None)

    def _drain(self) -> None:
        assert self._process.stderr is not None
        try:
            while part := self._process.stderr.read1(4096):  # type: ignore[attr-defined]
                self._chatter += part
                del self._chatter[:-MAX_CHATTER_BYTES]
        except (OSError, ValueError):
            return

    def _watch(self) -> None:
        """End a worker that holds too much, where CUDA allows for no limit of the kernel."""
        while self._process.poll() is None:
            limit = self._limit_bytes
            if limit is not None and _held_bytes(self._process.pid) > limit + _SLACK_BYTES:
                self._too_large_bytes = limit
                self._kill()
                return
            time.sleep(_WATCH_S)


_idle: list[Child] | None = None


@contextmanager
def reused_workers() -> Iterator[None]:
    """Let workers that are done serve the next analysis with the same files, if they are healthy.

    Saves the second that a worker takes to start, for thousands of small models. What one model
    does to the memory of a worker may then reach another.
    """
    global _idle  # noqa: PLW0603 (one pool per process)
    _idle = []
    try:
        yield
    finally:
        idle, _idle = _idle, None
        for child in idle:
            child.end(busy=False)


def _held_bytes(pid: int) -> int:
    """Return how much memory a process holds that no file could give back; 0 if nobody knows."""
    try:
        resident, shared = Path(f"/proc/{pid}/statm").read_text().split()[1:3]
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def _environment(scratch: Path) -> dict[str, str]:
    # What Python and its libraries need; anything else may be a secret, or choose settings and
    # files of the runtime for a model.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _PASSED or name.startswith(_PASSED_PREFIXES)
    }
    for name in ("TMPDIR", "CUDA_CACHE_PATH"):
        environment[name] = str(scratch)
    environment["ORT_DISABLE_TELEMETRY"] = "1"
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    # Each arena reserves memory that nobody else can use.
    environment["MALLOC_ARENA_MAX"] = "2"
    # The result of a factorisation depends on the number of threads; ours run side by side instead.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        environment[name] = "1"
    package = str(Path(__file__).parents[3])
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{package}{os.pathsep}{inherited}" if inherited else package
    return environment
