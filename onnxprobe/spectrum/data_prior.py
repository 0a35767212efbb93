"""The data prior: the samples' own covariance, shrunk, by its principal components."""

from __future__ import annotations

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.shapes import axes
from onnxprobe.spectrum.eigen import eigensystem, orthonormal_rows, rounding_floor
from onnxprobe.spectrum.gram import centred_gram, scatter
from onnxprobe.spectrum.ledoit_wolf import ledoit_wolf
from onnxprobe.spectrum.prior import Prior
from onnxprobe.types import Array, Floats

__all__ = ["data_prior", "held_out_share"]

_BLOCK_BYTES = 32 * 2**20
_FOLDS = 4
# More samples than these are left aside: the cost grows with their cube.
_MAX_HELD = 512


def data_prior(samples: Array, limit: int) -> Prior:
    """Estimate what the inputs look like from samples of them.

    The covariance, with divisor N − 1, is shrunk as ``(1 − α)·S + α·μ·I`` (:func:`ledoit_wolf`);
    its principal components are those of S, with variances ``(1 − α)·λ + α·μ``. With N ≤ n they
    come from the N×N Gram matrix, ``v = Xᵀu/‖Xᵀu‖``, and nothing of size n×n is formed. Outside the
    samples' span every direction has variance ``α·μ``: if all n directions fit the limit, the basis
    is completed with such directions, so that the prior is complete; otherwise they are left out,
    and count as not spanned.

    Args:
        samples: Shape (N, n), one flattened input per row.
        limit: Directions to keep at most, K.

    Returns:
        At most K directions; fewer if the samples span fewer. Equal samples give a prior of no
        variance and no directions.

    Raises:
        DataError: With fewer than two samples, or samples that are not finite.

    Source:
        Ledoit & Wolf 2004; the dual form is Kirby & Sirovich 1990's snapshot method.

    Example:
        >>> samples = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 1.0], [4.0, 1.0]])
        >>> prior = data_prior(samples, limit=1)
        >>> np.abs(prior.directions).round(6).tolist()
        [[1.0, 0.0]]
    """
    count, n = axes(samples, "N n", of="samples")
    if count < 2:
        raise DataError(f"a data prior needs at least 2 samples, got {count}; use another prior")
    dual = count <= n
    squares = centred_gram(samples) if dual else scatter(samples)
    system = eigensystem(squares)
    if system is None:
        raise DataError(
            "the samples of a data prior hold values that are not finite or too large to square; "
            "remove them or scale the samples"
        )
    shrinkage = ledoit_wolf(
        squares, squares.diagonal() if dual else _squared_norms(samples), features=n
    )
    tail = shrinkage.intensity * shrinkage.target
    largest = float(system.values[0]) if n else 0.0
    known = system.values > rounding_floor(largest, len(squares)) ** 2
    kept = min(limit, int(np.count_nonzero(known)))
    vectors = system.vectors[:, :kept]
    # Small components are not quite orthogonal when they come from a Gram matrix; in order of
    # strength, each is cleaned of the stronger ones.
    rows = _lift(vectors, samples) if dual else vectors.T
    completing = kept < n <= limit and tail > 0
    directions = orthonormal_rows(rows, complete=completing, overwrite=dual)
    assert directions is not None, "a finite Gram matrix has finite components"
    along = (1 - shrinkage.intensity) * system.values / (count - 1)
    variances = np.full(len(directions), tail)
    variances[:kept] += along[:kept]
    outside = tail + float(along[kept:].max(initial=0.0))
    trace = float(np.trace(squares)) / (count - 1)
    return Prior("data", n, trace, directions, variances, outside)


def held_out_share(gram: Floats, limit: int) -> float | None:
    """Measure how much of new inputs the principal components of others span.

    In four parts, each is projected onto the leading components of the rest, whose mean is the
    origin. It needs inner products alone: with the rest's Gram matrix ``U·Λ·Uᵀ``, the squared
    length of the projection of a sample with inner products k is ``‖Λ^(-1/2)·Uᵀ·k‖²``.

    Args:
        gram: Gram matrix of the inputs, shape (N, N), from any common origin.
        limit: Components at most.

    Returns:
        Share of the held-out variance, between 0 and 1; ``None`` with fewer than eight samples that
        differ. Copies of a sample count once: they would be held out from themselves. The
        components of all samples span no less.

    Example:
        >>> flat = np.random.default_rng(0).normal(size=(40, 3))
        >>> round(held_out_share(flat @ flat.T, limit=3), 6)
        1.0
    """
    axes(gram, "N N", of="gram")
    gram = _distinct(gram[:_MAX_HELD, :_MAX_HELD])
    count = len(gram)
    if count < 2 * _FOLDS:
        return None
    spanned = total = 0.0
    for fold in range(_FOLDS):
        held = np.arange(count) % _FOLDS == fold
        rest = gram[np.ix_(~held, ~held)]
        cross = gram[np.ix_(~held, held)]
        means, mean = rest.mean(axis=1), float(rest.mean())
        system = eigensystem(rest - means[:, None] - means[None, :] + mean)
        if system is None:
            return None
        floor = rounding_floor(float(system.values[0]), len(rest)) ** 2
        kept = min(limit, int(np.count_nonzero(system.values > floor)))
        own = np.diagonal(gram)[held] - 2 * cross.mean(axis=0) + mean
        centred = cross - means[:, None] - cross.mean(axis=0)[None, :] + mean
        along = system.vectors[:, :kept].T @ centred
        spanned += float(np.sum(along**2 / system.values[:kept, None]))
        total += float(own.sum())
    return min(1.0, spanned / total) if total > 0 else None


def _lift(vectors: Floats, samples: Array) -> Floats:
    """Return the principal directions Xᵀu, normalised, block by block of features."""
    count, n = samples.shape
    rows = np.empty((vectors.shape[1], n))
    step = max(64, _BLOCK_BYTES // (8 * count))
    for i in range(0, n, step):
        block = samples[:, i : i + step].astype(np.float64)
        rows[:, i : i + step] = vectors.T @ (block - block.mean(axis=0))
    rows /= np.sqrt(np.einsum("kn,kn->k", rows, rows))[:, None]
    return rows


def _squared_norms(samples: Array) -> Floats:
    """Return ‖x‖² of each centred sample, block by block of samples."""
    count, n = samples.shape
    mean = samples.mean(axis=0, dtype=np.float64)
    step = max(1, _BLOCK_BYTES // (8 * max(n, 1)))
    norms = np.empty(count)
    for i in range(0, count, step):
        norms[i : i + step] = np.square(samples[i : i + step] - mean).sum(axis=1)
    return norms


def _distinct(gram: Floats) -> Floats:
    """Keep the first of samples that are equal."""
    own = np.diagonal(gram)
    distances = own[:, None] + own[None, :] - 2 * gram
    # Squares of differences that rounding alone makes are this small beside those of all.
    is_same = distances <= 1e-10 * float(np.maximum(distances, 0).mean())
    first = np.argmax(is_same | np.eye(len(gram), dtype=bool), axis=1)
    kept = np.flatnonzero(first == np.arange(len(gram)))
    found: Floats = gram[np.ix_(kept, kept)]
    return found
