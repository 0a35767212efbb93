"""Eigensystems of symmetric matrices: the one place that calls LAPACK.

One infinity makes several LAPACK routines run for ever, where no signal can interrupt them, so
nothing reaches them before an ``isfinite`` check. A matrix that cannot be solved has no eigenvalues
*to report*: that is ``None``, which the caller must look at, not an exception.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from onnxprobe.shapes import axes
from onnxprobe.types import Array, Floats

__all__ = ["Eigensystem", "eigensystem", "eigenvalues", "orthonormal_rows", "rounding_floor"]

# numpy's divide and conquer comes first: as fast as any driver, and unlike scipy it lets go of the
# interpreter, so that several tensors are solved at a time. The others rarely fail where it does.
_DRIVERS = ("numpy", "evr", "ev")


@dataclass(frozen=True, eq=False)
class Eigensystem:
    """Eigenvalues with their eigenvectors.

    Attributes:
        values: Eigenvalues, shape (r,), descending, not negative.
        vectors: Orthonormal eigenvectors, shape (r, r): column ``i`` belongs to value ``i``.
    """

    values: Floats
    vectors: Floats


def eigenvalues(matrix: Floats) -> Floats | None:
    """Compute the eigenvalues of a positive semidefinite matrix.

    Args:
        matrix: Symmetric, shape (r, r); only its lower triangle is read.

    Returns:
        Shape (r,), descending, rounding below 0 clipped; ``None`` if the matrix is not finite or no
        driver converges.

    Example:
        >>> eigenvalues(np.array([[2.0, 1.0], [1.0, 2.0]])).round(12).tolist()
        [3.0, 1.0]
        >>> eigenvalues(np.array([[np.inf, 0.0], [0.0, 1.0]])) is None
        True
    """
    axes(matrix, "r r", of="matrix")
    solved = _solve(matrix, vectors=False)
    return None if solved is None else solved[0]


def eigensystem(matrix: Floats) -> Eigensystem | None:
    """Compute the eigenvalues and eigenvectors of a positive semidefinite matrix.

    Args:
        matrix: Symmetric, shape (r, r); only its lower triangle is read.

    Returns:
        Values descending with their vectors; ``None`` if the matrix is not finite or no driver
        converges.

    Example:
        >>> eigensystem(np.diag([1.0, 4.0])).values.tolist()
        [4.0, 1.0]
    """
    axes(matrix, "r r", of="matrix")
    solved = _solve(matrix, vectors=True)
    return None if solved is None else Eigensystem(*solved)


def orthonormal_rows(
    rows: Floats, *, complete: bool = False, overwrite: bool = False
) -> Floats | None:
    """Make rows orthonormal, in order, so that each leading group keeps its span.

    Args:
        rows: Linearly independent rows, shape (r, n), r ≤ n.
        complete: Whether to add n − r rows that span the rest of the space.
        overwrite: Whether the rows given may be destroyed, which saves their copy.

    Returns:
        Shape (r, n), or (n, n) if complete; ``None`` if a row is not finite.

    Source:
        Householder QR; Golub & Van Loan §5.2.

    Example:
        >>> orthonormal_rows(np.array([[3.0, 0.0], [5.0, 2.0]])).__abs__().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    r, n = axes(rows, "r n", of="rows")
    if not np.isfinite(rows).all():
        return None
    if r == 0:
        return np.eye(n) if complete else np.zeros((0, n))
    q: Floats
    q, _ = scipy.linalg.qr(
        rows.T,
        mode="full" if complete else "economic",
        overwrite_a=overwrite,
        check_finite=False,
    )
    return q.T


def rounding_floor(largest: float, size: int) -> float:
    """Say below which singular value a float64 Gram matrix knows nothing.

    Forming and solving a Gram matrix moves its eigenvalues by a small multiple of ``ε·λ_1``;
    measured at most 3.3 for sizes 16 to 2,048 and inner lengths to 10⁶. With a margin, and the
    growth theory allows for random errors, the eigenvalue floor is ``16·√size·ε·λ_1``: a σ below
    ``4·size^¼·√ε·σ_1``, under 5e-7 of σ_1 for every size to 4,096, is not resolved.

    Args:
        largest: The largest eigenvalue, or an upper bound of it.
        size: Rows of the Gram matrix.

    Returns:
        The floor as a singular value.

    Example:
        >>> rounding_floor(1.0, 256)
        2.384185791015625e-07
    """
    return math.sqrt(16 * math.sqrt(size) * float(np.finfo(np.float64).eps)) * math.sqrt(largest)


def _solve(matrix: Floats, *, vectors: bool) -> tuple[Floats, Floats] | None:
    if not np.isfinite(matrix).all():
        return None
    if matrix.size == 0:
        return np.zeros(0), np.zeros((0, 0))
    for driver in _DRIVERS:
        try:
            ascending, columns = _solve_by(driver, matrix, vectors=vectors)
        except np.linalg.LinAlgError:
            continue
        if np.isfinite(ascending).all():
            return _descending(ascending), columns[:, ::-1]
    return None


def _solve_by(driver: str, matrix: Floats, *, vectors: bool) -> tuple[Floats, Floats]:
    if driver == "numpy":
        if vectors:
            found: tuple[Floats, Floats] = np.linalg.eigh(matrix)
            return found
        return np.linalg.eigvalsh(matrix).astype(np.float64, copy=False), np.zeros((0, 0))
    solved = scipy.linalg.eigh(matrix, eigvals_only=not vectors, driver=driver, check_finite=False)
    return solved if vectors else (solved, np.zeros((0, 0)))


def _descending(ascending: Array) -> Floats:
    return np.ascontiguousarray(np.maximum(ascending, 0.0)[::-1], dtype=np.float64)
