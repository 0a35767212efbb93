"""Intrinsic dimension: how many coordinates a curved set of samples needs."""

from __future__ import annotations

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.types import Array, Floats

__all__ = ["two_nn"]

_FEWEST_POINTS = 10
_KEPT_RATIOS = 0.9

#: Squared distances below this share of the squared norms are rounding: samples equal to float32
#: precision are one sample.
_DUPLICATE = 1e-12


def two_nn(gram: Floats) -> float | None:
    """Estimate the dimension of the set that samples lie on from their two nearest neighbours.

    If the density is constant up to the second neighbour, the ratio ``μ = r_2/r_1`` of a point's
    distances is Pareto distributed, ``F(μ) = 1 − μ^{−D}``. ``D`` is the slope, through the origin,
    of ``−ln(1 − F)`` over ``ln μ``, with the empirical ``F`` and without the largest tenth of the
    ratios.

    Args:
        gram: Inner products of the samples, shape (n, n); centred is better, because distances
            below 1e-6 of a sample's norm are taken for duplicates, of which only one is kept.

    Returns:
        The dimension; ``None`` with fewer than 10 distinct samples, if the Gram matrix is not
        finite, or if neighbours are equally far (a lattice, one-hot vectors) so that no dimension
        that n samples can have explains the ratios.

    Source:
        Facco, d'Errico, Rodriguez & Laio 2017, Scientific Reports 7, 12140 ("TwoNN").

    Example:
        >>> t = np.random.default_rng(0).uniform(size=(500, 1))
        >>> curve = np.hstack([np.cos(t), np.sin(t), t])
        >>> round(two_nn(curve @ curve.T))
        1
    """
    axes(gram, "n n", of="gram")
    if not np.isfinite(gram).all():
        return None
    distances = _distinct_squared_distances(gram)
    n = len(distances)
    if n < _FEWEST_POINTS:
        return None
    np.fill_diagonal(distances, np.inf)
    first, second = np.partition(distances, (0, 1), axis=1)[:, :2].T
    log_ratios = np.sort(np.log(second / first)) / 2
    kept = int(_KEPT_RATIOS * n)
    x = log_ratios[:kept]
    y = -np.log1p(-np.arange(1, kept + 1) / n)
    square = float(x @ x)
    if square == 0.0:
        return None
    dimension = float(x @ y) / square
    return dimension if dimension <= n - 1 else None


def _distinct_squared_distances(gram: Floats) -> Array:
    norms = gram.diagonal()
    sums = norms[:, None] + norms[None, :]
    distances = sums - 2 * gram
    same = np.tril(distances <= _DUPLICATE * sums, k=-1)
    distinct = ~same.any(axis=1)
    return distances[np.ix_(distinct, distinct)]
