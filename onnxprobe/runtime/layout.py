"""How rows lie in the arrays that a model takes and gives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onnxprobe.types import Array

__all__ = ["RowLayout", "find_axis", "has_same_values"]


@dataclass(frozen=True)
class RowLayout:
    """Where one row stands in a tensor that holds several.

    Attributes:
        shape: Shape of the tensor when it holds one row.
        axis: The axis that grows with the rows, each row taking ``shape[axis]`` consecutive places;
            ``None`` if the tensor cannot hold several rows.
    """

    shape: tuple[int, ...]
    axis: int | None

    @property
    def size(self) -> int:
        """Elements of one row."""
        return math.prod(self.shape)

    def shape_of(self, rows: int) -> tuple[int, ...]:
        """Return the tensor's shape when it holds several rows.

        Args:
            rows: How many; 1 where there is no axis for them.

        Returns:
            The shape.

        Raises:
            ValueError: If the tensor cannot hold that many rows.
        """
        if self.axis is None:
            if rows != 1:
                raise ValueError(f"a tensor without a row axis holds 1 row, not {rows}")
            return self.shape
        grown = list(self.shape)
        grown[self.axis] *= rows
        return tuple(grown)

    def pack(self, rows: Array) -> Array:
        """Arrange rows as the tensor that holds them.

        Args:
            rows: Shape (rows, ...) with `size` elements a row.

        Returns:
            A contiguous array of shape ``shape_of(rows)``.
        """
        count = len(rows)
        shape = self.shape_of(count)
        if not self.axis:
            # ascontiguousarray makes vectors of scalars, hence the last reshape.
            return np.ascontiguousarray(rows).reshape(shape)
        split = rows.reshape(count, *self.shape)
        return np.ascontiguousarray(np.moveaxis(split, 0, self.axis).reshape(shape))

    def unpack(self, array: Array, rows: int) -> Array:
        """Take rows apart; the inverse of `pack`.

        Args:
            array: Shape ``shape_of(rows)``.
            rows: How many rows it holds.

        Returns:
            Shape (rows, elements): a view where the rows lie one after the other, else a copy.
        """
        if not self.axis:
            return array.reshape(rows, self.size)
        before, after = self.shape[: self.axis], self.shape[self.axis :]
        split = array.reshape(*before, rows, *after)
        return np.moveaxis(split, self.axis, 0).reshape(rows, self.size)


def find_axis(
    singles: tuple[Array, ...], together: Array, tolerance: float = 1e-4
) -> RowLayout | None:
    """Find the axis along which a tensor holds rows, by comparing rows run alone and together.

    Args:
        singles: The tensor for each row run alone, of equal shapes.
        together: The tensor for all rows run in one batch.
        tolerance: Largest relative difference, in the Frobenius norm, that counts as equal. Kernels
            round differently for other batch sizes; rows that influence each other differ by far
            more.

    Returns:
        The layout that explains the batch by its rows; ``None`` if none does.
    """
    shape, rows = singles[0].shape, len(singles)
    if together.ndim != len(shape):
        return None
    for axis in range(len(shape)):
        layout = RowLayout(shape, axis)
        if layout.shape_of(rows) == together.shape and all(
            has_same_values(single.ravel(), row, tolerance)
            for single, row in zip(singles, layout.unpack(together, rows), strict=True)
        ):
            return layout
    return None


def has_same_values(first: Array, second: Array, tolerance: float = 0.0) -> bool:
    """Tell whether two arrays agree.

    Args:
        first: Any array.
        second: One of the same shape.
        tolerance: Largest difference relative to the first array's Frobenius norm.

    Returns:
        True if they agree; non-finite values must agree exactly.
    """
    kind = first.dtype.kind
    if tolerance == 0 or kind not in "fiub":
        return bool(np.array_equal(first, second, equal_nan=kind in "fc"))
    a, b = first.astype(np.float64), second.astype(np.float64)
    finite = np.isfinite(a)
    if not np.array_equal(finite, np.isfinite(b)) or not np.array_equal(
        a[~finite], b[~finite], equal_nan=True
    ):
        return False
    # Relative to the largest, so that no square leaves the range of float64.
    largest = np.abs(a[finite]).max(initial=0.0) or 1.0
    with np.errstate(over="ignore"):
        a, b = a[finite] / largest, b[finite] / largest
        return bool(np.linalg.norm(a - b) <= tolerance * np.linalg.norm(a))
