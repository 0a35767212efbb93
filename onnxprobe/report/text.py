"""Text from a model, made safe and short enough to print."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

__all__ = ["percent", "printable", "shape_text", "shortened", "significant"]

# Control characters move the cursor, format characters reverse the direction of what follows.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""Replace what a terminal would obey rather than show.

    Args:
        text: Any text, such as a tensor's name.

    Returns:
        The text with each control, format and surrogate character written as its code.

    Example:
        >>> printable("relu" + chr(27) + "[2J")
        'relu\\x1b[2J'
    """
    return "".join(
        character if unicodedata.category(character) not in _UNSAFE else _escaped(character)
        for character in text
    )


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 256:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def shortened(text: str, width: int) -> str:
    """Cut the middle out of a text that is too long: names differ at their ends.

    Args:
        text: Any text.
        width: Characters at most, 3 or more.

    Returns:
        The text, or its two ends with ``…`` between.

    Example:
        >>> shortened("sequential/dense/BiasAdd", 12)
        'sequen…asAdd'
    """
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def shape_text(shape: Sequence[int], batch_axis: int | None) -> str:
    """Write the shape of one sample.

    Args:
        shape: Of the tensor when it holds one sample.
        batch_axis: The axis along which samples are batched; left out where it is 1.

    Returns:
        Such as ``"16×8×8"``; ``"scalar"`` where nothing is left.

    Example:
        >>> shape_text([1, 16, 8, 8], 0), shape_text([], None)
        ('16×8×8', 'scalar')
    """
    sizes = [
        size for axis, size in enumerate(shape) if not (axis == batch_axis and shape[axis] == 1)
    ]
    return "×".join(map(str, sizes)) or "scalar"


def significant(value: float, digits: int = 3) -> str:
    """Write a number with a few significant digits, and never as a power of ten if it fits.

    Args:
        value: Any finite number.
        digits: Significant digits.

    Returns:
        Such as ``"3.14"``, ``"1210"`` or ``"1.2e-07"``.

    Example:
        >>> significant(3.14159), significant(1210.4), significant(0.00000012)
        ('3.14', '1210', '1.2e-07')
    """
    if abs(value) >= 10**digits:
        return f"{value:.0f}"
    if value != 0 and abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:.{digits}g}"


def percent(low: float, high: float) -> str:
    """Write a share, or the range it lies in.

    Args:
        low: Lower end, between 0 and 1.
        high: Upper end.

    Returns:
        Such as ``"84%"`` or ``"37–62%"``; ends that round to the same are one.

    Example:
        >>> percent(0.841, 0.8415), percent(0.37, 0.62), percent(0.0004, 0.0004)
        ('84%', '37–62%', '<1%')
    """
    ends = [f"{100 * share:.0f}" for share in (low, high)]
    if ends[0] != ends[1]:
        return f"{ends[0]}–{ends[1]}%"
    if ends[0] == "0" and high > 0:
        return "<1%"
    # 99.9 % is not everything.
    return ">99%" if ends[0] == "100" and high < 1 else f"{ends[0]}%"
