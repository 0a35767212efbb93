"""Token models: which tokens a reconstruction of their embeddings gives away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxprobe.analysis.worker.study import Study
from onnxprobe.graph import lookup_table
from onnxprobe.risk import FOLDS, MAX_SAMPLES, held_out_weights, nearest_rows
from onnxprobe.types import Array, Floats

__all__ = ["TokenTask", "token_task"]

# Tokens that are looked for, fewer where the vocabulary is large: a comparison with every row of
# the table for each of them, for each tensor and noise.
_MOST_TOKENS, _LEAST_TOKENS, _PRODUCTS = 256, 64, 2**32
# An embedding that is further from every row than this, relative to its size, is none of them.
_SAME = 1e-3


@dataclass(frozen=True)
class TokenTask:
    """Tokens to be told from reconstructions of their embeddings.

    Attributes:
        table: The embeddings, shape (V, d).
        inner: The embeddings of the samples' tokens, shape (N, T, d).
        samples: Sample of each token that is looked for, shape (q,).
        positions: Its position, shape (q,).
        truth: Its row in the table, shape (q,).
        seed: Of release noise.
    """

    table: Array
    inner: Array
    samples: NDArray[np.intp]
    positions: NDArray[np.intp]
    truth: NDArray[np.intp]
    seed: int

    @property
    def count(self) -> int:
        """How many tokens are looked for."""
        return len(self.truth)

    def share(self, gram: Floats, penalties: tuple[float, ...], noise_variance: float) -> float:
        """Reconstruct the embeddings from a tensor, and count the tokens that they stand for.

        Args:
            gram: Inner products of the tensor's values at the samples, shape (N, N).
            penalties: As ridge regression chose them.
            noise_variance: Of release noise, on each element.

        Returns:
            The share of the tokens whose embedding, or one equal to it, is the nearest to the
            reconstruction.
        """
        weights = held_out_weights(gram, penalties, noise_variance, self.seed)
        made = np.empty((self.count, self.table.shape[1]), np.float32)
        for position in np.unique(self.positions):
            here = self.positions == position
            made[here] = weights[self.samples[here]] @ self.inner[:, position]
        found = nearest_rows(self.table, made)
        equal = (self.table[found] == self.table[self.truth]).all(axis=1)
        return float(equal.mean())

    def guessed(self) -> float:
        """Count the tokens that the mean of other samples stands for, knowing no tensor.

        Returns:
            The share of the tokens.
        """
        count = len(self.inner)
        return self.share(np.zeros((count, count)), (1.0,) * FOLDS, 0.0)


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
    used = study.inner[: min(len(study.inner), MAX_SAMPLES)]
    layout = study.inner_layout
    if layout is None or not layout.shape or layout.shape[-1] != width or not used.size:
        return None
    inner = used.reshape(len(used), -1, width)
    length = inner.shape[1]
    wanted = max(_LEAST_TOKENS, min(_MOST_TOKENS, _PRODUCTS // max(1, rows * width)))
    rng = np.random.default_rng([study.configuration.seed, 2])
    total = len(used) * length
    picked = np.sort(rng.choice(total, min(wanted, total), replace=False))
    samples, positions = np.divmod(picked, length)
    vectors = inner[samples, positions]
    if not np.isfinite(vectors).all():
        return None
    truth = nearest_rows(table, vectors)
    errors = np.linalg.norm(table[truth] - vectors, axis=1)
    if np.any(errors > _SAME * np.linalg.norm(vectors, axis=1)):
        return None
    return TokenTask(table, inner, samples, positions, truth, study.configuration.seed)
