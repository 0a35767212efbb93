"""The directions in source space through which a Jacobian is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import scipy.linalg

from onnxprobe.shapes import axes
from onnxprobe.spectrum import gram
from onnxprobe.types import Array, Floats

__all__ = ["PROBES", "DirectionKind", "Directions", "coordinate_directions", "given_directions"]

DirectionKind = Literal["coordinates", "principal components", "random"]

# Random directions added where the main ones do not span the space: they bound the Jacobian's norm,
# and show whether random main directions left anything out.
PROBES = 32

_BLOCK_COLUMNS = 2**16


@dataclass(frozen=True)
class Directions:
    """Unit vectors in source space, orthonormal within the main block and within the probes.

    Attributes:
        kind: What the main directions are.
        size: Dimension n of the source.
        count: How many main directions there are.
        matrix: Main directions and probes as rows, shape (count + probes, n); ``None`` for
            coordinate directions, which are never stored.
    """

    kind: DirectionKind
    size: int
    count: int
    matrix: Array | None = None

    @property
    def total(self) -> int:
        """Main directions and probes together."""
        return self.count if self.matrix is None else len(self.matrix)

    @property
    def is_complete(self) -> bool:
        """Whether the main directions span the source."""
        return self.count == self.size

    @cached_property
    def overlaps(self) -> Floats:
        """Inner products of probes (rows) and main directions, shape (probes, count)."""
        assert self.matrix is not None
        main, probes = self.matrix[: self.count], self.matrix[self.count :]
        found = np.zeros((len(probes), len(main)))
        for start in range(0, self.size, _BLOCK_COLUMNS):
            columns = slice(start, start + _BLOCK_COLUMNS)
            found += probes[:, columns].astype(np.float64) @ main[:, columns].T.astype(np.float64)
        return found

    def take(self, indices: Sequence[int]) -> Floats:
        """Return some of the directions.

        Args:
            indices: Which ones.

        Returns:
            Shape (indices, n).
        """
        if self.matrix is not None:
            return self.matrix[list(indices)].astype(np.float64)
        rows = np.zeros((len(indices), self.size))
        rows[np.arange(len(indices)), list(indices)] = 1.0
        return rows

    def spread(self, count: int) -> tuple[int, ...]:
        """Choose main directions evenly over their order.

        Args:
            count: How many at most.

        Returns:
            Indices, ascending.
        """
        chosen = np.linspace(0, self.count - 1, min(count, self.count)).round()
        return tuple(int(index) for index in np.unique(chosen))


def coordinate_directions(size: int) -> Directions:
    """Take every coordinate of the source as a direction: the Jacobian is seen completely.

    Args:
        size: Dimension n of the source.

    Returns:
        n directions.
    """
    return Directions("coordinates", size, size)


def given_directions(
    size: int, count: int, rng: np.random.Generator, principal: Array | None = None
) -> Directions:
    """Take fewer directions than the source has dimensions.

    Args:
        size: Dimension n of the source.
        count: How many main directions; fewer come if fewer principal components exist.
        rng: Source of the random directions.
        principal: Orthonormal principal components of a prior, leading first, shape (components,
            n). Random directions, uniform on the sphere, if not given.

    Returns:
        Main directions followed by random ones: `PROBES`, or as many as there are main ones, or as
        many as the source has dimensions left.
    """
    taken = min(count, size if principal is None else len(principal))
    probes = _orthonormal(rng, min(PROBES, taken, size - taken), size)
    if principal is None:
        main = _orthonormal(rng, min(count, size), size)
    else:
        axes(principal, "components n", of="principal", n=size)
        main = principal[:count]
    matrix = np.empty((len(main) + len(probes), size), np.float32)
    matrix[: len(main)] = main
    matrix[len(main) :] = probes
    kind: DirectionKind = "random" if principal is None else "principal components"
    return Directions(kind, size, len(main), matrix)


def _orthonormal(rng: np.random.Generator, count: int, size: int) -> Array:
    # Cholesky QR of a Gaussian matrix, in place and block by block: sources may be large. The
    # matrix is well conditioned unless it is nearly square, and differences later divide by the
    # perturbation that was really made, so float32 is exact enough.
    rows = rng.standard_normal((count, size), dtype=np.float32)
    for _ in range(2):
        factor = np.linalg.cholesky(gram(rows))
        for start in range(0, size, _BLOCK_COLUMNS):
            block = rows[:, start : start + _BLOCK_COLUMNS]
            block[...] = scipy.linalg.solve_triangular(
                factor, block, lower=True, check_finite=False
            )
    return rows
