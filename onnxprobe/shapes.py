"""Shapes, executed: every public numeric function opens by naming the axes of its arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["ShapeError", "axes"]


class ShapeError(ValueError):
    """An array does not have the axes its consumer names; a fault of the caller, not of a file."""


def axes(array: np.ndarray[Any, Any], names: str, *, of: str, **sizes: int) -> tuple[int, ...]:
    """Name the axes of an array and return their sizes.

    Args:
        array: Any array.
        names: One letter or word per axis, separated by spaces; a repeated name must repeat its
            size.
        of: What the array is, for the message.
        **sizes: Sizes that some of the names must have.

    Returns:
        The size of each axis, in order.

    Raises:
        ShapeError: If the array has another number of axes, or a name two different sizes.

    Example:
        >>> axes(np.zeros((3, 4)), "n d", of="samples")
        (3, 4)
        >>> axes(np.zeros((3, 4)), "n n", of="gram")
        Traceback (most recent call last):
            ...
        onnxprobe.shapes.ShapeError: gram must have axes (n, n), got shape (3, 4)
    """
    letters = names.split()
    known = dict(sizes)
    fits = array.ndim == len(letters) and all(
        known.setdefault(letter, size) == size
        for letter, size in zip(letters, array.shape, strict=True)
    )
    if not fits:
        given = "".join(f", {name}={size}" for name, size in sizes.items() if name in letters)
        expected = f"({', '.join(letters)})"
        raise ShapeError(f"{of} must have axes {expected}{given}, got shape {array.shape}")
    return tuple(array.shape)
