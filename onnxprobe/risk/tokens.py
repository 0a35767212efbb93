"""Which token a reconstructed embedding stands for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxprobe.shapes import axes
from onnxprobe.types import Array

__all__ = ["nearest_rows"]

# Distances that are held at a time.
_BLOCK_ELEMENTS = 2**24


def nearest_rows(table: Array, vectors: Array) -> NDArray[np.intp]:
    """Find the row of a table that is nearest to each vector.

    Args:
        table: Embeddings, shape (V, d).
        vectors: Shape (q, d).

    Returns:
        Indices of rows, shape (q,); of equally near ones the first.

    Raises:
        ValueError: If a vector or the table is not finite.

    Example:
        >>> nearest_rows(np.eye(3), np.array([[0.9, 0.2, 0.0], [0.1, 0.2, 0.8]])).tolist()
        [0, 2]
    """
    rows, d = axes(table, "V d", of="table")
    (count, _) = axes(vectors, "q d", of="vectors", d=d)
    if not (np.isfinite(table).all() and np.isfinite(vectors).all()):
        raise ValueError("embeddings must be finite")
    best: NDArray[np.float64] = np.full(count, np.inf)
    nearest: NDArray[np.intp] = np.zeros(count, np.intp)
    step = max(1, _BLOCK_ELEMENTS // max(1, count))
    for start in range(0, rows, step):
        block = table[start : start + step]
        # The square of the vector itself is the same for all rows.
        distances = np.sum(block.astype(np.float64) ** 2, axis=1) - 2 * (vectors @ block.T)
        found = np.argmin(distances, axis=1)
        closest = distances[np.arange(count), found]
        nearer = closest < best
        best[nearer], nearest[nearer] = closest[nearer], start + found[nearer]
    return nearest
