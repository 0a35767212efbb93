"""What a reconstruction attains: cross-validated ridge regression from activations to the input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxprobe.shapes import axes
from onnxprobe.spectrum import eigensystem
from onnxprobe.types import Floats

_Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["FOLDS", "MAX_SAMPLES", "RidgeAttack", "RidgeFloor", "ridge_attack"]

#: Parts that the samples are divided into; each is reconstructed from what the others teach.
FOLDS = 4
#: More samples than these are left aside: the cost grows with their cube.
MAX_SAMPLES = 512
# Fewer teach nothing.
_MIN_SAMPLES = 2 * FOLDS
# Penalties that are tried beside that of the noise, in units of the activations' variance.
_PENALTIES = tuple(10.0**power for power in range(-9, 3))
# Variances between which the least sufficient one is looked for, relative to the activations'.
_LEAST, _MOST, _PER_DECADE = -12, 8, 2
_BISECTIONS = 24


@dataclass(frozen=True)
class RidgeFloor:
    """How well held-out inputs are reconstructed.

    Attributes:
        r2: Share of the held-out inputs' variance that is recovered, at each noise level asked for;
            not above 1, and 0 where guessing the mean is better.
        penalties: The penalty that was chosen in each fold, by noise level, in units of the
            activations' variance over all elements; that of the noise is part of it.
        samples: Samples that were used.
    """

    r2: tuple[float, ...]
    penalties: tuple[tuple[float, ...], ...]
    samples: int


@dataclass(frozen=True, eq=False)
class _Fold:
    """What was learnt from all samples but some, in the eigenbasis of their kernel.

    Attributes:
        held_out: Which are reconstructed, shape (N,).
        total: Squared deviations of these samples' inputs, which are to be explained.
        values: Eigenvalues of the training samples' centred Gram matrix, shape (r,).
        vectors: Its eigenvectors, shape (n, r).
        cross: Inner products with the held-out samples in that basis, shape (r, N − n).
        linear: By eigenvector, products of what it says of the held-out inputs with them.
        square: By two eigenvectors, products of what they say.
        gains: By eigenvector, squared length of the inputs that it stands for.
        scale: Mean variance of the activations over the training samples.
    """

    held_out: _Mask
    total: float
    values: Floats
    vectors: Floats
    cross: Floats
    linear: Floats
    square: Floats
    gains: Floats
    scale: float

    def of_noise(self, variance: float) -> float:
        """Say what penalty noise asks for, in units of the scale."""
        return variance * len(self.vectors) / self.scale if self.scale > 0 else 0.0

    def errors(self, variance: float) -> Floats:
        """Sum the expected squared errors of the held-out samples, by penalty."""
        if not len(self.values):
            # A tensor that does not vary teaches the mean.
            return np.full(len(_PENALTIES), self.total)
        penalties = (self.of_noise(variance) + np.array(_PENALTIES)) * self.scale
        shrunk = 1 / (self.values + penalties[:, None])
        explained = 2 * shrunk @ self.linear - np.sum(shrunk @ self.square * shrunk, axis=1)
        amplified = np.square(shrunk) @ (self.values * self.gains)
        held = self.cross.shape[1]
        errors: Floats = self.total - explained + variance * held * amplified
        return errors


class RidgeAttack:
    """Ridge regression from activations to inputs, trained and ready to be tried at any noise.

    Args:
        folds: What was learnt from the samples outside each part.
        samples: How many there are in all.
    """

    def __init__(self, folds: Sequence[_Fold], samples: int) -> None:
        self._folds = folds
        self._samples = samples
        self._total = sum(fold.total for fold in folds)

    def floor(self, noise_variances: Sequence[float]) -> RidgeFloor:
        """Say what is attained at some levels of noise.

        Who knows the noise adds τ² to the variance of every element, which is a penalty of τ²
        times the number of samples that teach; on a linear-Gaussian model with samples enough
        nothing does better. A further penalty makes up for samples that are few: that of a fold is
        the best one on the other folds, so that no sample chooses its own. The noise enters by its
        expectation and not as a draw: the attacker attains it on average.

        Args:
            noise_variances: Variance of the noise on each element of the tensor, per level.

        Returns:
            The attained floor.

        Raises:
            ValueError: If a variance is negative.
        """
        if any(not variance >= 0 for variance in noise_variances):
            raise ValueError(f"a variance is not negative, got {list(noise_variances)}")
        found = [self._attained(variance) for variance in noise_variances]
        # Who gets little noise can add more: no level attains less than a noisier one.
        shares = [
            max(
                share
                for (share, _), other in zip(found, noise_variances, strict=True)
                if other >= variance
            )
            for variance in noise_variances
        ]
        chosen = [
            tuple(
                fold.of_noise(variance) + _PENALTIES[pick]
                for fold, pick in zip(self._folds, picks, strict=True)
            )
            for (_, picks), variance in zip(found, noise_variances, strict=True)
        ]
        return RidgeFloor(tuple(shares), tuple(chosen), self._samples)

    def least_variance(self, target: float) -> float:
        """Find how much noise leaves no more than a target share.

        Args:
            target: The share of the inputs' variance, in (0, 1).

        Returns:
            The least variance of noise from which on no more is attained, never too small by
            rounding; 0 if none is needed, infinite if none can be found.

        Raises:
            ValueError: If the target is no share.
        """
        if not 0 < target < 1:
            raise ValueError(f"a target share lies between 0 and 1, got {target}")
        scale = max(fold.scale for fold in self._folds)
        if scale == 0:
            return 0.0
        grid = scale * 10.0 ** np.arange(_MOST, _LEAST, -1 / _PER_DECADE)
        # From much noise to little, so that what is found suffices with any more as well.
        above = next((n for n, each in enumerate(grid) if self._attained(each)[0] > target), None)
        if above == 0:
            return math.inf
        if above is None:
            return 0.0 if self._attained(0.0)[0] <= target else float(grid[-1])
        low, high = float(grid[above]), float(grid[above - 1])
        for _ in range(_BISECTIONS):
            middle = math.sqrt(low * high)
            if self._attained(middle)[0] > target:
                low = middle
            else:
                high = middle
        return high

    def weights(self, penalties: Sequence[float], noise_variance: float, seed: int = 0) -> Floats:
        """Write every sample's reconstruction as a combination of samples of the other parts.

        That is what `floor` scores, with the noise drawn: inner products of a noisy tensor with
        the training samples are off by a Gaussian vector whose covariance is τ² times their Gram
        matrix, so that the noise itself, as large as the tensor, is never drawn.

        Args:
            penalties: The penalty of each part, as `floor` chose it.
            noise_variance: Variance τ² of the noise on each element of the tensor.
            seed: Of the noise.

        Returns:
            W, shape (N, N): with the inputs X in rows, ``W X`` are the reconstructions. A row sums
            to 1 and is zero at samples of its own part.

        Raises:
            ValueError: If there is not one penalty per part.
        """
        if len(penalties) != FOLDS:
            raise ValueError(f"there are {FOLDS} parts, and {len(penalties)} penalties")
        rng = np.random.default_rng(seed)
        found: Floats = np.zeros((self._samples, self._samples))
        for fold, penalty in zip(self._folds, penalties, strict=True):
            train = len(fold.vectors)
            noise = np.sqrt(fold.values[:, None] * noise_variance)
            seen = fold.cross + noise * rng.standard_normal(fold.cross.shape)
            shrunk = seen / (fold.values + penalty * fold.scale)[:, None]
            own = (fold.vectors @ shrunk).T
            # Deviations from the mean of the training samples, and that mean.
            own += (1 - own.sum(axis=1, keepdims=True)) / train
            found[np.ix_(fold.held_out, ~fold.held_out)] = own
        return found

    def _attained(self, variance: float) -> tuple[float, list[int]]:
        errors = np.array([fold.errors(variance) for fold in self._folds])
        picks = [
            int(np.argmin(np.delete(errors, fold, axis=0).sum(axis=0))) for fold in range(FOLDS)
        ]
        error = sum(errors[fold, pick] for fold, pick in enumerate(picks))
        return min(1.0, max(0.0, 1 - float(error) / self._total)), picks


def ridge_attack(activations: Floats, inputs: Floats) -> RidgeAttack | None:
    """Learn to reconstruct inputs from activations by ridge regression, cross-validated.

    Ridge regression and its errors depend on activations and inputs through their Gram matrices
    alone, so neither is ever held: with ``K`` of the training samples and penalty λ the attacker
    predicts ``x̂ = X·(K + λI)⁻¹·k(z)``. Noise ``e`` of variance τ² on every element of a released
    tensor adds ``τ²·‖W‖²_F`` to the expected squared error, where ``W`` is the linear map: in the
    eigenbasis of K, with eigenvalues s and the inputs' Gram matrix G, ``Σ s·G_ii/(s + λ)²``.

    Args:
        activations: Gram matrix of the activations, shape (N, N): inner products of any two
            samples, from any common origin.
        inputs: Gram matrix of the inputs, shape (N, N).

    Returns:
        The attack; ``None`` if there are fewer than 8 samples, the inputs do not vary, or an
        eigensystem cannot be computed.

    Raises:
        ValueError: If a matrix is not finite.

    Source:
        Hoerl & Kennard 1970; Saunders, Gammerman & Vovk 1998 for the dual form.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 3))
        >>> [round(r2, 3) for r2 in ridge_attack(x @ x.T, x @ x.T).floor([0.0, 1e6]).r2]
        [1.0, 0.0]
    """
    (count, _) = axes(activations, "N N", of="activations")
    axes(inputs, "N N", of="inputs", N=count)
    if not (np.isfinite(activations).all() and np.isfinite(inputs).all()):
        raise ValueError("Gram matrices must be finite")
    if count < _MIN_SAMPLES:
        return None
    # Samples that follow each other are often alike: every fold gets some of each kind.
    parts = [np.arange(count) % FOLDS == fold for fold in range(FOLDS)]
    learnt = [each for part in parts if (each := _learn(activations, inputs, part)) is not None]
    if len(learnt) < FOLDS or not sum(fold.total for fold in learnt) > 0:
        return None
    return RidgeAttack(learnt, count)


def _learn(activations: Floats, inputs: Floats, held_out: _Mask) -> _Fold | None:
    """Train on all samples but some, and reconstruct those; ``None`` if LAPACK cannot."""
    kernel, cross, _ = _centred(activations, held_out)
    target, target_cross, target_own = _centred(inputs, held_out)
    system = eigensystem(kernel)
    if system is None:
        return None
    values, vectors = system.values, system.vectors
    # What is left is rounding; divided by a small penalty it would look like a signal.
    kept = values > len(kernel) * np.finfo(float).eps * values[0]
    values, vectors = values[kept], vectors[:, kept]
    cross, target_cross = vectors.T @ cross, vectors.T @ target_cross
    target = vectors.T @ target @ vectors
    return _Fold(
        held_out,
        total=float(target_own.sum()),
        values=values,
        vectors=vectors,
        cross=cross,
        linear=np.sum(cross * target_cross, axis=1),
        square=target * (cross @ cross.T),
        gains=np.diagonal(target).copy(),
        scale=float(values.sum()) / len(kernel),
    )


def _centred(gram: Floats, held_out: _Mask) -> tuple[Floats, Floats, Floats]:
    """Give inner products among training samples, with the others, and of those with themselves."""
    # The origin is the mean of the training samples.
    train = gram[np.ix_(~held_out, ~held_out)]
    cross = gram[np.ix_(~held_out, held_out)]
    means, mean = train.mean(axis=1), train.mean()
    cross_means = cross.mean(axis=0)
    kernel = train - means[:, None] - means[None, :] + mean
    centred_cross = cross - means[:, None] - cross_means[None, :] + mean
    own = np.diagonal(gram)[held_out] - 2 * cross_means + mean
    return kernel, centred_cross, own
