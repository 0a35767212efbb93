"""Checks of what callers pass in Python, where no command line does it for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from onnxprobe.errors import DataError

__all__ = ["checked_sizes", "listed"]


def listed(name: str, values: Iterable[Any] | None, *, numbers: bool = False) -> tuple[str, ...]:
    """Take a list of names.

    Args:
        name: What the caller calls it.
        values: What was passed; ``None`` for nothing.
        numbers: Whether numbers are taken as well.

    Returns:
        The values as text.

    Raises:
        DataError: If it is no list, or holds anything else.
    """
    if values is None:
        return ()
    # A string is a sequence of strings, and nobody means that.
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise DataError(f"option {name} is {values!r}; expected a list, such as [{values!r}]")
    found = tuple(values)
    for each in found:
        if not isinstance(each, str | int | float if numbers else str):
            what = "text or numbers" if numbers else "text"
            raise DataError(f"option {name} holds {each!r}; expected {what}")
    return tuple(map(str, found))


def checked_sizes(sizes: Mapping[str, int] | None) -> dict[str, int]:
    """Take sizes of dimensions.

    Args:
        sizes: What was passed; ``None`` for nothing.

    Returns:
        The sizes.

    Raises:
        DataError: If it does not map names to whole numbers from 1 on.
    """
    if sizes is None:
        return {}
    if not isinstance(sizes, Mapping):
        raise DataError(f"option sizes is {sizes!r}; expected names and sizes, such as {{'n': 1}}")
    for name, size in sizes.items():
        whole = isinstance(size, int) and not isinstance(size, bool)
        if not isinstance(name, str) or not whole or size < 1:
            raise DataError(f"option sizes has {name!r}: {size!r}; expected a size of at least 1")
    return dict(sizes)
