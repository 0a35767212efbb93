"""The worker's half of an analysis in the caller's own process: no isolation, no start-up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from threadpoolctl import threadpool_limits

from onnxprobe.analysis.conductor import OutOfTimeError
from onnxprobe.analysis.conductor.link import error_of
from onnxprobe.analysis.frames import Frame
from onnxprobe.errors import OnnxProbeError

__all__ = ["LocalLink"]


class LocalLink:
    """Does at once what a `Link` asks a worker for.

    What crashes native code ends the caller's process, what hangs it hangs, and no memory is
    limited.

    Args:
        timeout_s: How long all calls together may take, looked at between two of them.
        on_progress: Called with the amount of work done.
    """

    restarts = 0
    chatter = ""
    silence_s = None
    features: dict[str, bool] | None = None

    def __init__(self, timeout_s: float | None, on_progress: Callable[[float], None]) -> None:
        from onnxprobe.analysis.worker.handlers import handlers

        self._handlers = handlers(confined=False)
        self._timeout_s = timeout_s
        self._ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        self._on_progress = on_progress

    def call(
        self, method: str, params: dict[str, Any] | None = None, blobs: Sequence[bytes] = ()
    ) -> Any:  # noqa: ANN401 (as of a worker)
        """Do something.

        Args:
            method: What.
            params: With what.
            blobs: Bytes that go with it.

        Returns:
            The answer, plain data.

        Raises:
            OnnxProbeError: What it raised.
            OutOfTimeError: If the time was over before it began.
        """  # noqa: DOC501 (the errors are made from messages)
        from onnxprobe.analysis.worker.serve import plain, told

        if self._ends_at is not None and time.monotonic() >= self._ends_at:
            raise OutOfTimeError(
                f"the time of {self._timeout_s:g} s is over; allow more with timeout_s"
            )
        try:
            # Results of factorisations depend on the number of threads.
            with threadpool_limits(1):
                frame = Frame(params or {}, b"".join(blobs))
                return plain(self._handlers[method](frame, self._on_progress))
        except OnnxProbeError:
            raise
        except Exception as error:
            raise error_of(told(error)) from error

    def close(self) -> None:
        """Forget the model."""
        self._handlers = {}
