"""What ONNX Runtime says about a failure, as one clean sentence."""

from __future__ import annotations

import re

from onnxprobe.errors import RunError, TooLargeError

__all__ = ["failure", "missing_provider_reason", "reason", "reason_in"]

MAX_CHARACTERS = 400

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CODES = re.compile(r"\[ONNXRuntimeError\] : \d+ : \w+ : |^Error in execution: ")
_LOG_PREFIX = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \[\w:onnxruntime:[^\]]*\] ", re.MULTILINE)
_PLACE = re.compile(r"[\w./+-]+\.(?:cc|cpp|cu|cuh|h|hpp):\d+ ")
_CONDITION = re.compile(r"^(?:const )?.{1,300}? was false\. (?=\S)")
_NODE = re.compile(
    r"Non-zero status code returned while running (\S+) node\. "
    r"Name:'(.*?)' Status Message: ",
    re.DOTALL,
)
_PATH = re.compile(r"(?:/[\w.+-]+){2,}")
_NO_MEMORY = re.compile(
    r"bad_alloc|failed to allocate memory|out of memory|ALLOC_FAILED", re.IGNORECASE
)
_MISSING_LIBRARY = re.compile(r"(lib[\w.+-]+): cannot open shared object file")


def failure(beginning: str, error: BaseException) -> RunError:
    """Make an error of a user's of one of the runtime's.

    Args:
        beginning: What its message begins with.
        error: What the runtime raised.

    Returns:
        A `TooLargeError` if memory ran out.
    """
    said = f"{beginning}{reason(error)}"
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        return TooLargeError(f"{said} (memory ran out; --memory allows more)")
    return RunError(said)


def reason(error: BaseException) -> str:
    """Say what an exception of the runtime means.

    Args:
        error: What the runtime raised.

    Returns:
        Its message without codes, colours, places in the source and folders, in one line.
    """
    return reason_in(str(error) or type(error).__name__)


def reason_in(text: str) -> str:
    """Clean what the runtime printed.

    Args:
        text: A message, or lines of its log.

    Returns:
        The same without codes, colours, times, places in the source and folders, in one line of
        400 characters at most.

    Example:
        >>> reason_in("[ONNXRuntimeError] : 1 : FAIL : src/model.cc:256 Model::load(int) No graph")
        'No graph'
    """
    # Names in a message may be of any length, and what follows reads it several times.
    text = _LOG_PREFIX.sub("", _COLOURS.sub("", text[: 10 * MAX_CHARACTERS]).strip())
    text = _CODES.sub("", text)
    text = _NODE.sub(_failed_node, text)
    while place := _PLACE.search(text):
        text = text[: place.start()] + _without_signature(text[place.end() :])
    text = _PATH.sub(lambda path: path[0].rsplit("/", 1)[1], text)
    text = " ".join(text.split())
    shortened = text[: MAX_CHARACTERS - 3] + "..."
    return (text if len(text) <= MAX_CHARACTERS else shortened) or "no reason given"


def missing_provider_reason(provider: str, chatter: str) -> str:
    """Say why a provider is not to be had, from what the runtime printed.

    Args:
        provider: Such as ``"CUDAExecutionProvider"``.
        chatter: What was printed while a session with it was made.

    Returns:
        A short sentence.

    Example:
        >>> log = "libcublasLt.so.13: cannot open shared object file: No such file or directory"
        >>> missing_provider_reason("CUDAExecutionProvider", log)
        'the CUDA libraries are missing (libcublasLt.so.13)'
    """
    name = provider.removesuffix("ExecutionProvider")
    if missing := _MISSING_LIBRARY.search(chatter):
        return f"the {name} libraries are missing ({missing[1]})"
    return f"ONNX Runtime gave no {name} session ({reason_in(chatter)})"


def _failed_node(match: re.Match[str]) -> str:
    operator, name = match[1], match[2]
    return f"{operator} node {name!r} fails: " if name else f"an unnamed {operator} node fails: "


def _without_signature(text: str) -> str:
    # The function's signature ends with the bracket that closes its first one.
    first = re.match(r"[^\n(]*::[^\n(]*\(", text)
    if first is None:
        return text
    depth, end = 1, first.end()
    while depth and end < len(text):
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    # What is left of it, if it stands in a lambda.
    text = re.sub(r"^::<\S*|^::\S+ ", "", text[end:])
    return _CONDITION.sub("", text.lstrip())
