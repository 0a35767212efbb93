"""Command-line values that click cannot read by itself."""

from __future__ import annotations

import re

import click

__all__ = [
    "count",
    "directions",
    "named_path",
    "names",
    "numbers",
    "setting",
    "share",
    "size",
    "step",
]

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def size(text: str) -> int:
    """Read a size in bytes; units are powers of 1,024.

    Args:
        text: Such as ``"4GB"``, ``"800M"`` or ``"1000000"``.

    Returns:
        Bytes.

    Raises:
        BadParameter: If it is no size.

    Example:
        >>> size("4GB"), size("1.5k")
        (4294967296, 1536)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text.lower(), re.ASCII)
    if match is None:
        raise click.BadParameter(f"{text!r} is no size; write 4GB, 800MB or a number of bytes")
    number = float(match[1]) * _UNITS[match[2]]
    if number >= 2**63:
        raise click.BadParameter(f"{text!r} is more than any machine has")
    return int(number)


def count(text: str) -> int:
    """Read a number of things; units are powers of 1,000.

    Args:
        text: Such as ``"500M"``, ``"1.5G"`` or ``"1000000"``.

    Returns:
        The number.

    Raises:
        BadParameter: If it is none.

    Example:
        >>> count("1.5k"), count("2G")
        (1500, 2000000000)
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)\s*", text.lower(), re.ASCII)
    if match is None:
        raise click.BadParameter(f"{text!r} is no number; write 500M, 1.5G or 1000000")
    number = float(match[1]) * 1000 ** " kmgt".index(match[2] or " ")
    if number >= 2**63:
        raise click.BadParameter(f"{text!r} is more than anything needs")
    return int(number)


def share(text: str) -> float:
    """Read a share of something.

    Args:
        text: Such as ``"0.05"`` or ``"5%"``.

    Returns:
        A number between 0 and 1.

    Raises:
        BadParameter: If it is none.

    Example:
        >>> share("0.05"), share("5%")
        (0.05, 0.05)
    """
    match = re.fullmatch(r"\s*(\d*\.?\d+(?:[eE][-+]?\d+)?)\s*(%?)\s*", text, re.ASCII)
    found = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < found < 1:
        raise click.BadParameter(f"{text!r} is no share between 0 and 1; write 0.05 or 5%")
    return found


def directions(text: str) -> str | int:
    """Read a number of directions.

    Args:
        text: ``"auto"``, ``"all"`` or a number.

    Returns:
        The word or the number.

    Raises:
        BadParameter: If it is none of these.
    """
    if text in ("auto", "all"):
        return text
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"{text!r} is neither auto, all nor a number above 0")
    return int(text)


def step(text: str) -> str | float:
    """Read the length of a step.

    Args:
        text: ``"auto"`` or a number.

    Returns:
        The word or the number.

    Raises:
        BadParameter: If it is neither, or not above 0.
    """
    if text == "auto":
        return text
    (length,) = numbers(text) if "," not in text else (0.0,)
    if not 0 < length < float("inf"):
        raise click.BadParameter(f"{text!r} is neither auto nor a length above 0")
    return length


def numbers(text: str) -> tuple[float, ...]:
    """Read one number, or one per channel.

    Args:
        text: Numbers with commas between.

    Returns:
        The numbers.

    Raises:
        BadParameter: If one of them is no number.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is no number, or numbers with commas between") from None


def names(text: str) -> tuple[str, ...]:
    """Read several names.

    Args:
        text: Names with commas between.

    Returns:
        The names.

    Raises:
        BadParameter: If one is empty.
    """
    found = tuple(part.strip() for part in text.split(","))
    if not all(found):
        raise click.BadParameter(f"{text!r} is no list of names with commas between")
    return found


def named_path(text: str) -> tuple[str | None, str]:
    """Read a path, or an input's name and a path.

    Args:
        text: ``PATH`` or ``NAME=PATH``; split at the last ``=``, since names may hold one and paths
            seldom do.

    Returns:
        The name, if any, and the path.

    Raises:
        BadParameter: If name or path is empty.
    """
    name, sign, path = text.rpartition("=")
    if not path or (sign and not name):
        raise click.BadParameter(f"{text!r} is neither PATH nor NAME=PATH")
    return (name, path) if sign else (None, path)


def setting(text: str) -> tuple[str, int]:
    """Read the size of a dimension.

    Args:
        text: ``NAME=SIZE``.

    Returns:
        Name and size.

    Raises:
        BadParameter: If it is no such setting.
    """
    name, _, length = text.rpartition("=")
    if not name or not length.isdecimal():
        raise click.BadParameter(f"{text!r} is no NAME=SIZE, such as sequence=128")
    return name, int(length)
