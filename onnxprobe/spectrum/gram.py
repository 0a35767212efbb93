"""Gram matrices, accumulated in float64 over blocks so that converting never doubles the memory.

All are sums over blocks of columns (or, for a scatter matrix, of rows). A caller that holds
features in parts adds the parts' Gram matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.spectrum.eigen import eigenvalues, rounding_floor
from onnxprobe.spectrum.spectrum import Spectrum
from onnxprobe.types import Array, Floats

__all__ = ["centred_gram", "gram", "gram_spectrum", "scatter"]

#: Bytes of one float64 block: large enough for BLAS's full speed, small beside any tensor worth it.
_BLOCK_BYTES = 32 * 2**20


def gram(rows: Array) -> Floats:
    """Compute every inner product between rows.

    Args:
        rows: Shape (r, d), real numbers of any type.

    Returns:
        ``rows · rowsᵀ``, shape (r, r), symmetric. Its eigenvalues are the squared singular values;
        entries beyond about 1e±154 leave the range of their squares.

    Example:
        >>> gram(np.array([[1.0, 0.0], [1.0, 2.0]], dtype=np.float32)).tolist()
        [[1.0, 1.0], [1.0, 5.0]]
    """
    r, d = axes(rows, "r d", of="rows")
    step = _step(r)
    return _sum_of_products(
        (rows[:, i : i + step].astype(np.float64, order="C") for i in range(0, d, step)), r
    )


def centred_gram(samples: Array) -> Floats:
    """Compute every inner product between samples from which the mean sample is subtracted.

    The mean is subtracted before multiplying: centring the Gram matrix afterwards would lose the
    digits that a large mean occupies. Means are per feature, so the centred Gram matrices of
    disjoint groups of features add up to that of all.

    Args:
        samples: Shape (n, d), real numbers of any type.

    Returns:
        Shape (n, n), symmetric. Divided by n − 1, its leading n − 1 eigenvalues are those of the
        samples' covariance.

    Example:
        >>> centred_gram(np.array([[1.0], [3.0]])).tolist()
        [[1.0, -1.0], [-1.0, 1.0]]
    """
    n, d = axes(samples, "n d", of="samples")
    step = _step(n)

    def centred() -> Iterator[Floats]:
        for i in range(0, d, step):
            block = samples[:, i : i + step].astype(np.float64, order="C")
            with np.errstate(invalid="ignore", over="ignore"):  # the eigensolver's gate speaks
                block -= block.mean(axis=0)
            yield block

    return _sum_of_products(centred(), n)


def scatter(samples: Array) -> Floats:
    """Sum the outer products of centred samples: the other side of :func:`centred_gram`.

    Args:
        samples: Shape (n, d), real numbers of any type.

    Returns:
        Shape (d, d), symmetric: n − 1 times the covariance. It has the trace, the Frobenius norm
        and the non-zero eigenvalues of the centred Gram matrix.

    Example:
        >>> scatter(np.array([[1.0], [3.0]])).tolist()
        [[2.0]]
    """
    n, d = axes(samples, "n d", of="samples")
    step = _step(d)

    def centred() -> Iterator[Floats]:
        with np.errstate(invalid="ignore", over="ignore"):
            mean = samples.mean(axis=0, dtype=np.float64)
        for i in range(0, n, step):
            with np.errstate(invalid="ignore", over="ignore"):
                block = samples[i : i + step] - mean
            yield block.T

    return _sum_of_products(centred() if n else (), d)


def gram_spectrum(
    gram: Floats, *, floor: float = 0.0, complete: bool = True, bound: float | None = None
) -> Spectrum | None:
    """Read the singular values of a matrix off its Gram matrix.

    Args:
        gram: Shape (r, r), as from :func:`gram`.
        floor: Noise floor of the matrix itself, as a singular value: the norm of its error.
        complete: Whether the rows (or columns) are the whole matrix.
        bound: Where incomplete, an upper bound of the whole matrix's largest singular value.

    Returns:
        Values of shape (r,), with the floor of squaring in float64 if that is higher; ``None`` if
        the Gram matrix is not finite.

    Example:
        >>> gram_spectrum(gram(np.diag([3.0, 4.0]))).values.tolist()
        [4.0, 3.0]
    """
    (r, _) = axes(gram, "r r", of="gram")
    energies = eigenvalues(gram)
    if energies is None:
        return None
    blur = rounding_floor(float(energies[0]), r) if r else 0.0
    return Spectrum.of(np.sqrt(energies), floor=max(floor, blur), complete=complete, bound=bound)


def _sum_of_products(blocks: Iterable[Floats], size: int) -> Floats:
    """Return Σ block · blockᵀ for blocks of shape (size, any)."""
    total = np.zeros((size, size))
    for block in blocks if size else ():
        # numpy computes half of this product, and lets go of the interpreter meanwhile.
        with np.errstate(invalid="ignore", over="ignore"):  # the eigensolver's gate speaks
            total += block @ block.T
    return total


def _step(rows: int) -> int:
    return max(64, _BLOCK_BYTES // (8 * max(rows, 1)))
