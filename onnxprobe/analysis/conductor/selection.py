"""Which tensors the user wants to see."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from onnxprobe.analysis.messages import CatalogueEntry
from onnxprobe.errors import DataError
from onnxprobe.hints import did_you_mean

__all__ = ["select"]


def select(
    entries: Sequence[CatalogueEntry], include: Sequence[str], exclude: Sequence[str]
) -> dict[str, str]:
    """Apply ``--include`` and ``--exclude``.

    A pattern is a glob; it is compared with the tensor's name and with its operator.

    Args:
        entries: The tensors.
        include: If any, a tensor must match one of them.
        exclude: A tensor must match none of them.

    Returns:
        By tensor that is left out, the reason.

    Raises:
        DataError: If a pattern matches nothing.
    """
    for option, patterns in (("--include", include), ("--exclude", exclude)):
        for pattern in patterns:
            if not any(_matches(entry, pattern) for entry in entries):
                raise DataError(_nothing(option, pattern, entries))
    left_out = {}
    for entry in entries:
        if include and not any(_matches(entry, pattern) for pattern in include):
            left_out[entry.name] = "not asked for by --include"
        elif any(_matches(entry, pattern) for pattern in exclude):
            left_out[entry.name] = "left out by --exclude"
    return left_out


def _matches(entry: CatalogueEntry, pattern: str) -> bool:
    # Names may hold brackets, which a glob would read as a set of characters.
    return entry.name == pattern or any(
        fnmatchcase(text, pattern) for text in (entry.name, entry.op_type)
    )


def _nothing(option: str, pattern: str, entries: Sequence[CatalogueEntry]) -> str:
    known = [text for entry in entries for text in (entry.name, entry.op_type)]
    hint = did_you_mean(pattern, known)
    return (
        f"{option} {pattern!r} matches no tensor name and no operator{hint}"
        " (onnxprobe inspect lists them)"
    )
