"""The worker's loop: a request comes in, an answer or an error goes out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import IO, Any

from pydantic import BaseModel

from onnxprobe.analysis.frames import Frame, read_frame, write_frame
from onnxprobe.errors import OnnxProbeError, RunError

__all__ = ["Handler", "serve"]

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
            answer: dict[str, Any] = {"result": _plain(result)}
        except OnnxProbeError as error:
            answer = {"error": {"kind": type(error).__name__, "message": str(error)}}
        except MemoryError:
            message = "memory ran out; allow more with --memory, or choose fewer tensors"
            answer = {"error": {"kind": RunError.__name__, "message": message}}
        except Exception as error:  # noqa: BLE001 (a bug is reported with its traceback)
            message = f"{type(error).__name__}: {error}"
            answer = {"error": {"message": message, "traceback": traceback.format_exc()}}
        write_frame(answers, answer)


def _plain(result: Any) -> Any:  # noqa: ANN401
    if isinstance(result, BaseModel):
        return result.model_dump(mode="json")
    if isinstance(result, list):
        return [_plain(item) for item in result]
    return result
