"""Which tokens a tensor gives away: ridge regression by position, and the nearest embedding."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from onnxprobe.shapes import axes
from onnxprobe.types import Array, Floats

__all__ = ["nearest_rows", "reconstruct_positions"]

# Distances that are held at a time.
_BLOCK_ELEMENTS = 2**24
# Of the features' mean variance: what keeps ridge regression well-posed without noise.
_LEAST_PENALTY = 1e-6


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


def reconstruct_positions(
    features: Array,
    targets: Array,
    folds: NDArray[np.intp],
    wanted: NDArray[np.intp],
    noise_variance: float,
    seed: int = 0,
) -> Floats:
    """Reconstruct embeddings from what a tensor holds at the same position, by ridge regression.

    One linear map serves all positions, so that few samples teach much: what a transformer holds
    at a position is mostly about the token there. The penalty is the noise, ``n·τ²``, as in the
    best linear estimate, and never chosen by looking at what is scored.

    Args:
        features: What the tensor holds at each position of each sample, shape (p, f).
        targets: The embeddings there, shape (p, d).
        folds: The part of each position's sample, shape (p,); a part is reconstructed from what
            the others teach.
        wanted: Which positions to reconstruct, shape (q,).
        noise_variance: Variance τ² of the noise on each element of the released tensor.
        seed: Of the noise that is added to what is reconstructed.

    Returns:
        Shape (q, d).

    Raises:
        ValueError: If features or targets are not finite, or all positions are of one part.

    Source:
        Hoerl & Kennard 1970; Morris et al. 2023 for embeddings as inputs to be inverted.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 3))
        >>> folds, wanted = np.arange(64) % 4, np.arange(5)
        >>> made = reconstruct_positions(x @ np.diag([1.0, 2.0, 3.0]), x, folds, wanted, 0.0)
        >>> bool(np.allclose(made, x[:5], atol=1e-3))
        True
    """
    count, f = axes(features, "p f", of="features")
    _, d = axes(targets, "p d", of="targets", p=count)
    axes(folds, "p", of="folds", p=count)
    if not (np.isfinite(features).all() and np.isfinite(targets).all()):
        raise ValueError("features and targets must be finite")
    rng = np.random.default_rng(seed)
    made: Floats = np.empty((len(wanted), d))
    for fold in np.unique(folds[wanted]):
        train, here = folds != fold, folds[wanted] == fold
        known = int(train.sum())
        if not known:
            raise ValueError("positions of one part teach nothing about it")
        z, x = features[train].astype(np.float64), targets[train].astype(np.float64)
        centre, mean = z.mean(axis=0), x.mean(axis=0)
        z, x = z - centre, x - mean
        penalty = known * noise_variance + _LEAST_PENALTY * np.sum(z**2) / f
        noise = noise_variance**0.5 * rng.standard_normal((int(here.sum()), f))
        seen = features[wanted[here]] + noise - centre
        if not penalty > 0:
            made[here] = mean
        elif f <= known:
            gram = z.T @ z + penalty * np.eye(f)
            made[here] = mean + seen @ scipy.linalg.solve(gram, z.T @ x, assume_a="pos")
        else:
            gram = z @ z.T + penalty * np.eye(known)
            made[here] = mean + seen @ z.T @ scipy.linalg.solve(gram, x, assume_a="pos")
    return made
