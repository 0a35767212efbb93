"""Which tokens a tensor gives away: ridge regression by position, and the nearest embedding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from onnxprobe.shapes import axes
from onnxprobe.types import Array, Floats

__all__ = ["PositionAttack", "nearest_rows"]

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


@dataclass(frozen=True, eq=False)
class _Fold:
    """What positions outside a part teach about those inside.

    Attributes:
        here: Which of the wanted positions are inside, shape (h,).
        gram: Inner products of features, or of positions where these are fewer.
        known: Features of the positions that teach, if their inner products are held, else
            ``None``.
        products: What the gram is solved for.
        features: Features of the wanted positions inside, shape (h, f).
        mean: Of the embeddings that teach, shape (d,).
        taught: How many positions teach.
        scale: Their features' mean variance.
    """

    here: NDArray[np.intp]
    gram: Floats
    known: Floats | None
    products: Floats
    features: Floats
    mean: Floats
    taught: int
    scale: float


class PositionAttack:
    """Ridge regression from what a tensor holds at a position to the embedding there.

    One linear map serves all positions, so that few samples teach much: what a transformer holds
    at a position is mostly about the token there.

    Args:
        features: What the tensor holds at each position of each sample, shape (p, f).
        targets: The embeddings there, shape (p, d).
        folds: The part of each position's sample, shape (p,); a part is reconstructed from what
            the others teach.
        wanted: Which positions to reconstruct, shape (q,).

    Raises:
        ValueError: If features or targets are not finite, or all positions are of one part.

    Source:
        Hoerl & Kennard 1970; Morris et al. 2023 for embeddings as inputs to be inverted.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 3))
        >>> folds, wanted = np.arange(64) % 4, np.arange(5)
        >>> attack = PositionAttack(x @ np.diag([1.0, 2.0, 3.0]), x, folds, wanted)
        >>> bool(np.allclose(attack.reconstruct(0.0), x[:5], atol=1e-3))
        True
    """

    def __init__(
        self, features: Array, targets: Array, folds: NDArray[np.intp], wanted: NDArray[np.intp]
    ) -> None:
        count, _ = axes(features, "p f", of="features")
        _, d = axes(targets, "p d", of="targets", p=count)
        axes(folds, "p", of="folds", p=count)
        if not (np.isfinite(features).all() and np.isfinite(targets).all()):
            raise ValueError("features and targets must be finite")
        self._shape = (len(wanted), d)
        self._folds = [
            _learn(features, targets, folds != fold, wanted, np.flatnonzero(folds[wanted] == fold))
            for fold in np.unique(folds[wanted])
        ]

    def reconstruct(self, noise_variance: float, seed: int = 0) -> Floats:
        """Reconstruct the embeddings from a noisy tensor.

        The penalty is the noise, ``p·τ²``, as in the best linear estimate, and never chosen by
        looking at what is scored.

        Args:
            noise_variance: Variance τ² of the noise on each element of the released tensor.
            seed: Of the noise, which is drawn.

        Returns:
            Shape (q, d).
        """
        rng = np.random.default_rng(seed)
        made: Floats = np.empty(self._shape)
        for fold in self._folds:
            penalty = fold.taught * noise_variance + _LEAST_PENALTY * fold.scale
            drawn = noise_variance**0.5 * rng.standard_normal(fold.features.shape)
            if not penalty > 0:
                made[fold.here] = fold.mean
                continue
            gram = fold.gram + penalty * np.eye(len(fold.gram))
            weights = scipy.linalg.solve(gram, fold.products, assume_a="pos")
            if fold.known is not None:
                weights = fold.known.T @ weights
            made[fold.here] = fold.mean + (fold.features + drawn) @ weights
        return made


def _learn(
    features: Array,
    targets: Array,
    train: NDArray[np.bool_],
    wanted: NDArray[np.intp],
    here: NDArray[np.intp],
) -> _Fold:
    taught = int(train.sum())
    if not taught:
        raise ValueError("positions of one part teach nothing about it")
    z, x = features[train].astype(np.float64), targets[train].astype(np.float64)
    centre, mean = z.mean(axis=0), x.mean(axis=0)
    z, x = z - centre, x - mean
    few = len(z) < z.shape[1]
    return _Fold(
        here,
        gram=z @ z.T if few else z.T @ z,
        known=z if few else None,
        products=x if few else z.T @ x,
        features=features[wanted[here]] - centre,
        mean=mean,
        taught=taught,
        scale=float(np.sum(z**2)) / z.shape[1],
    )
