"""Token models: which tokens a reconstruction of their embeddings gives away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxprobe.analysis.messages import Layout
from onnxprobe.analysis.worker.study import Study
from onnxprobe.graph import lookup_table
from onnxprobe.risk import FOLDS, MAX_SAMPLES, PositionAttack, RidgeAttack, nearest_rows
from onnxprobe.types import Array, Floats

__all__ = ["TokenTask", "Told", "token_task"]

# Tokens that are looked for, fewer where the vocabulary is large: a comparison with every row of
# the table for each of them, for each tensor and noise.
_MOST_TOKENS, _LEAST_TOKENS, _PRODUCTS = 256, 64, 2**32
# Positions from which a map for all positions is learnt, and what it is learnt from at each.
_POSITIONS, _FEATURES = 2**13, 2048
# Where a sufficient noise is looked for: from this share of a tensor's RMS, in variances so far
# apart, until they are as close.
_LEAST_NOISE, _NOISE_STEP, _NOISE_CLOSE = 1e-6, 64.0, 1.21
# An embedding that is further from every row than this, relative to its size, is none of them.
_SAME = 1e-3


@dataclass(frozen=True)
class Told:
    """What a reconstruction tells.

    Attributes:
        tokens: Share of the tokens that are re-identified.
        r2: Share of the variance of their embeddings that is recovered.
    """

    tokens: float
    r2: float


@dataclass(frozen=True)
class TokenTask:
    """Tokens to be told from reconstructions of their embeddings.

    Attributes:
        table: The embeddings, shape (V, d).
        inner: The embeddings of the samples' tokens, shape (N, T, d).
        studied: Samples whose positions are learnt from one by one, shape (n,); those of the tokens
            are among them.
        samples: Sample of each token that is looked for, shape (q,).
        positions: Its position, shape (q,).
        truth: Its row in the table, shape (q,).
        seed: Of release noise.
    """

    table: Array
    inner: Array
    studied: NDArray[np.intp]
    samples: NDArray[np.intp]
    positions: NDArray[np.intp]
    truth: NDArray[np.intp]
    seed: int

    @property
    def count(self) -> int:
        """How many tokens are looked for."""
        return len(self.truth)

    def share(
        self, attack: RidgeAttack, penalties: Sequence[float], noise_variance: float
    ) -> float:
        """Reconstruct the embeddings from a tensor, and count the tokens that they stand for.

        Args:
            attack: Ridge regression from the tensor, trained.
            penalties: As ridge regression chose them.
            noise_variance: Of release noise, on each element.

        Returns:
            The share of the tokens whose embedding, or one equal to it, is the nearest to the
            reconstruction.
        """
        return self._told_by(attack.weights(penalties, noise_variance, self.seed))

    def _told_by(self, weights: Floats) -> float:
        """Count the tokens that combinations of other samples stand for."""
        made = np.empty((self.count, self.table.shape[1]), np.float32)
        for position in np.unique(self.positions):
            here = self.positions == position
            made[here] = weights[self.samples[here]] @ self.inner[:, position]
        return self._told(made)

    def at_positions(self, layout: Layout, values: Array | None) -> PositionAttack | None:
        """Learn to reconstruct embeddings from what the tensor holds at their own positions.

        Args:
            layout: How the tensor lies.
            values: Its values at the samples, shape (N, elements), if they are there.

        Returns:
            The attack; ``None`` if the tensor has no axis of positions.
        """
        length = self.inner.shape[1]
        if values is None or length < 2 or length not in layout.shape:
            return None
        axis = layout.shape.index(length)
        shape = (len(self.studied), *layout.shape)
        by_position = np.moveaxis(values[self.studied].reshape(shape), axis + 1, 1)
        features = by_position.reshape(len(self.studied) * length, -1)
        if features.shape[1] > _FEATURES:
            return None
        targets = self.inner[self.studied].reshape(len(features), -1)
        parts = np.repeat(self.studied % FOLDS, length)
        places = np.searchsorted(self.studied, self.samples)
        return PositionAttack(features, targets, parts, places * length + self.positions)

    def told(self, attack: PositionAttack, noise_variance: float) -> Told:
        """Try an attack by positions.

        Args:
            attack: As `at_positions` learnt it.
            noise_variance: Of release noise, on each element.

        Returns:
            What it tells.
        """
        made = attack.reconstruct(noise_variance, self.seed)
        truth = self.inner[self.samples, self.positions]
        # As of the source: how far samples are from what is usual at their position.
        usual = self.inner[self.studied].mean(axis=0, dtype=np.float64)[self.positions]
        error, total = np.sum((made - truth) ** 2), np.sum((truth - usual) ** 2)
        r2 = 1 - float(error / total) if total > 0 else 0.0
        return Told(self._told(made.astype(np.float32)), min(1.0, max(0.0, r2)))

    def enough(self, attack: PositionAttack, target: float, least: float, rms: float) -> float:
        """Find how much noise leaves no more than a target share to an attack by positions.

        Args:
            attack: As `at_positions` learnt it.
            target: The share of the embeddings' variance.
            least: A variance of noise that is needed anyway.
            rms: Of the tensor.

        Returns:
            A variance of noise that is enough, above the least such one by a fifth at most.
        """
        low = variance = max(least, (_LEAST_NOISE * rms) ** 2)
        while self.told(attack, variance).r2 > target:
            low, variance = variance, variance * _NOISE_STEP
        if low == variance:
            return least
        while variance > low * _NOISE_CLOSE:
            middle = math.sqrt(low * variance)
            if self.told(attack, middle).r2 > target:
                low = middle
            else:
                variance = middle
        return variance

    def _told(self, made: Array) -> float:
        """Count the reconstructions that are nearest to the right row, or to one equal to it."""
        found = nearest_rows(self.table, made)
        equal = (self.table[found] == self.table[self.truth]).all(axis=1)
        return float(equal.mean())

    def guessed(self) -> float:
        """Count the tokens that the mean of other samples stands for, knowing no tensor.

        Returns:
            The share of the tokens.
        """
        parts = np.arange(len(self.inner)) % FOLDS
        others = (parts[:, None] != parts).astype(np.float64)
        return self._told_by(others / np.maximum(1.0, others.sum(axis=1, keepdims=True)))


def token_task(study: Study) -> TokenTask | None:
    """Choose tokens to look for.

    Args:
        study: The opened model, its source measured.

    Returns:
        The task; ``None`` if the source is no lookup of tokens in a stored table.
    """
    if "token task" not in study.cache:
        study.cache["token task"] = _choose(study)
    found: TokenTask | None = study.cache["token task"]
    return found


def _choose(study: Study) -> TokenTask | None:
    if not study.source_tensor or study.inner is None:
        return None
    table = lookup_table(study.graph, study.source_names[0])
    if table is None or not np.isfinite(table).all():
        return None
    table = table.astype(np.float32)
    rows, width = table.shape
    used = study.inner[:MAX_SAMPLES]
    layout = study.inner_layout
    if layout is None or not layout.shape or layout.shape[-1] != width or not used.size:
        return None
    inner = used.reshape(len(used), -1, width)
    length = inner.shape[1]
    wanted = max(_LEAST_TOKENS, min(_MOST_TOKENS, _PRODUCTS // max(1, rows * width)))
    rng = np.random.default_rng([study.configuration.seed, 2])
    few = max(2 * FOLDS, _POSITIONS // length)
    studied = np.sort(rng.choice(len(used), min(few, len(used)), replace=False))
    total = len(studied) * length
    places, positions = np.divmod(
        np.sort(rng.choice(total, min(wanted, total), replace=False)), length
    )
    samples = studied[places]
    vectors = inner[samples, positions]
    if not np.isfinite(vectors).all():
        return None
    truth = nearest_rows(table, vectors)
    errors = np.linalg.norm(table[truth] - vectors, axis=1)
    if np.any(errors > _SAME * np.linalg.norm(vectors, axis=1)):
        return None
    return TokenTask(table, inner, studied, samples, positions, truth, study.configuration.seed)
