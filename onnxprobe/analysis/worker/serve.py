"""The worker's loop: a request comes in, an answer or an error goes out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import IO, Any

from pydantic import BaseModel

from onnxprobe.analysis.frames import Frame, read_frame, write_frame
from onnxprobe.errors import OnnxProbeError, TooLargeError

__all__ = ["Handler", "plain", "serve", "told"]

# What Python says where no memory is left for another stack.
_NO_THREAD = "can't start new thread"

Handler = Callable[[Frame, Callable[[float], None]], BaseModel | dict[str, Any] | list[Any] | None]


def serve(requests: IO[bytes], answers: IO[bytes], handlers: Mapping[str, Handler]) -> None:
    """Answer requests until there are no more.

    Args:
        requests: Where they come from.
        answers: Where answers go.
        handlers: By method, what answers it; called with the request's frame and a function that
            reports progress.
    """

    def progress(amount: float) -> None:
        write_frame(answers, {"progress": amount})

    while frame := read_frame(requests):
        handler = handlers[frame.header["method"]]
        try:
            result = handler(Frame(frame.header["params"], frame.blob), progress)
            answer: dict[str, Any] = {"result": plain(result)}
        except Exception as error:  # noqa: BLE001 (a bug is reported with its traceback)
            answer = {"error": told(error)}
        write_frame(answers, answer)


def told(error: Exception) -> dict[str, str]:
    """Write an error as a message.

    Args:
        error: What a handler raised.

    Returns:
        Its kind and message if it is meant for users, else what to look for.
    """
    if isinstance(error, OnnxProbeError):
        return {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, MemoryError) or str(error) == _NO_THREAD:
        # Seen with --verbose.
        traceback.print_exception(error)
        message = "memory ran out; allow more with --memory, or choose fewer tensors"
        return {"kind": TooLargeError.__name__, "message": message}
    message = f"{type(error).__name__}: {error}"
    return {"message": message, "traceback": "".join(traceback.format_exception(error))}


def plain(result: Any) -> Any:  # noqa: ANN401 (whatever JSON holds)
    """Write an answer as plain data.

    Args:
        result: What a handler returned.

    Returns:
        What JSON can hold.
    """
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    if isinstance(result, list):
        return [plain(item) for item in result]
    return result
