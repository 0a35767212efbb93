"""Checks of what callers pass in Python, where no command line does it for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from onnxprobe.analysis.configuration import MIN_MEMORY_BYTES, Configuration, Limits
from onnxprobe.errors import DataError

Checked = TypeVar("Checked", bound=BaseModel)

__all__ = ["checked_sizes", "configure", "limited", "listed"]


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


def configure(images: Mapping[str, Any] | None = None, **options: Any) -> Configuration:  # noqa: ANN401
    """Check options and fill in defaults.

    Args:
        images: How pictures become input.
        **options: Fields of `Configuration`; ``None`` for a default.

    Returns:
        The configuration.

    Raises:
        DataError: If an option cannot mean anything.
    """
    return _checked(Configuration, {"images": dict(images or {}), **options})


def limited(**limits: Any) -> Limits:  # noqa: ANN401
    """Check limits and fill in defaults.

    Args:
        **limits: Fields of `Limits`; ``None`` for a default.

    Returns:
        The limits.

    Raises:
        DataError: If one cannot mean anything.
    """
    return _checked(Limits, limits)


def _checked(kind: type[Checked], options: Mapping[str, Any]) -> Checked:
    try:
        return kind(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise DataError(first["msg"].removeprefix("Value error, ")) from error
        words = [str(part) for part in first["loc"] if isinstance(part, str)]
        depth = 2 if words[0] == "images" else 1
        name = ".".join(words[:depth]).removesuffix("_bytes").removesuffix("_s")
        what = first["msg"].removeprefix("Input should be ")
        if name == "memory":
            what = f"at least {MIN_MEMORY_BYTES} bytes (32 MB)"
        if first["type"] == "extra_forbidden":
            raise DataError(
                f"there is no option {name}; help(onnxprobe.analyze) lists them"
            ) from error
        raise DataError(f"option {name} is {first['input']!r}; expected {what}") from error
