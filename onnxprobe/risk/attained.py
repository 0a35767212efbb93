"""What a reconstruction attains: cross-validated ridge regression from activations to the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxprobe.shapes import axes
from onnxprobe.spectrum import eigensystem
from onnxprobe.types import Floats

_Mask: TypeAlias = NDArray[np.bool_]

__all__ = ["FOLDS", "MAX_SAMPLES", "RidgeFloor", "held_out_weights", "ridge_floor"]

#: Parts that the samples are divided into; each is reconstructed from what the others teach.
FOLDS = 4
#: More samples than these are left aside: the cost grows with their cube.
MAX_SAMPLES = 512
#: Fewer teach nothing.
_MIN_SAMPLES = 2 * FOLDS
#: Penalties that are tried, in units of the activations' variance over all elements.
_PENALTIES = tuple(10.0**power for power in range(-9, 3))


@dataclass(frozen=True)
class RidgeFloor:
    """How well held-out inputs are reconstructed.

    Attributes:
        r2: Share of the held-out inputs' variance that is recovered, at each noise level asked for;
            not above 1, and 0 where guessing the mean is better.
        penalties: The penalty that was chosen in each fold, by noise level.
        samples: Samples that were used.
    """

    r2: tuple[float, ...]
    penalties: tuple[tuple[float, ...], ...]
    samples: int


def ridge_floor(
    activations: Floats, inputs: Floats, noise_variances: Sequence[float]
) -> RidgeFloor | None:
    """Reconstruct inputs from activations by ridge regression, cross-validated.

    Ridge regression and its errors depend on activations and inputs through their Gram matrices
    alone, so neither is ever held: with ``K`` of the training samples and penalty λ the attacker
    predicts ``x̂ = X·(K + λI)⁻¹·k(z)``. Noise ``e`` of variance τ² on every element of a released
    tensor adds ``τ²·‖W‖²_F`` to the expected squared error, where ``W`` is the linear map: in the
    eigenbasis of K, with eigenvalues s and the inputs' Gram matrix G, ``Σ s·G_ii/(s + λ)²``.
    That is an expectation over the noise and not a draw: the attacker attains it on average.

    The penalty of a fold is the best one on the other folds, so that no sample chooses its own.

    Args:
        activations: Gram matrix of the activations, shape (N, N): inner products of any two
            samples, from any common origin.
        inputs: Gram matrix of the inputs, shape (N, N).
        noise_variances: Variance of the noise on each element of the tensor, per level.

    Returns:
        The attained floor; ``None`` if there are fewer than 8 samples, the inputs do not vary, or
        an eigensystem cannot be computed.

    Raises:
        ValueError: If a matrix is not finite, or a variance negative.

    Source:
        Hoerl & Kennard 1970; Saunders, Gammerman & Vovk 1998 for the dual form.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 3))
        >>> [round(r2, 3) for r2 in ridge_floor(x @ x.T, x @ x.T, [0.0, 1e6]).r2]
        [1.0, 0.0]
    """
    (count, _) = axes(activations, "N N", of="activations")
    axes(inputs, "N N", of="inputs", N=count)
    if not (np.isfinite(activations).all() and np.isfinite(inputs).all()):
        raise ValueError("Gram matrices must be finite")
    if any(not variance >= 0 for variance in noise_variances):
        raise ValueError(f"a variance is not negative, got {list(noise_variances)}")
    if count < _MIN_SAMPLES:
        return None
    # Samples that follow each other are often alike: every fold gets some of each kind.
    folds = [np.arange(count) % FOLDS == fold for fold in range(FOLDS)]
    scored = [each for fold in folds if (each := _score(activations, inputs, fold)) is not None]
    total = sum(fold.total for fold in scored)
    if len(scored) < FOLDS or not total > 0:
        return None
    shares, chosen = [], []
    for variance in noise_variances:
        errors = np.array([fold.errors + variance * fold.norms for fold in scored])
        picks = [
            int(np.argmin(np.delete(errors, fold, axis=0).sum(axis=0))) for fold in range(FOLDS)
        ]
        error = sum(errors[fold, pick] for fold, pick in enumerate(picks))
        shares.append(min(1.0, max(0.0, 1 - float(error) / total)))
        chosen.append(tuple(_PENALTIES[pick] for pick in picks))
    # Who gets little noise can add more: no level attains less than a noisier one.
    for place in sorted(range(len(shares)), key=lambda each: -noise_variances[each]):
        louder = [
            share
            for share, variance in zip(shares, noise_variances, strict=True)
            if variance >= noise_variances[place]
        ]
        shares[place] = max(louder)
    return RidgeFloor(tuple(shares), tuple(chosen), count)


def held_out_weights(
    activations: Floats, penalties: Sequence[float], noise_variance: float, seed: int = 0
) -> Floats:
    """Write every sample's reconstruction as a combination of samples of the other parts.

    That is what `ridge_floor` scores, with the noise drawn: inner products of a noisy tensor with
    the training samples are off by a Gaussian vector whose covariance is τ² times their Gram
    matrix, so that the noise itself, as large as the tensor, is never drawn.

    Args:
        activations: Gram matrix of the activations, shape (N, N).
        penalties: The penalty of each part, as `ridge_floor` chose it.
        noise_variance: Variance τ² of the noise on each element of the tensor.
        seed: Of the noise.

    Returns:
        W, shape (N, N): with the inputs X in rows, ``W X`` are the reconstructions. A row sums to 1
        and is zero at samples of its own part.

    Raises:
        ValueError: If there is not one penalty per part.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(64, 3))
        >>> weights = held_out_weights(x @ x.T, [1e-9] * 4, 0.0)
        >>> float(np.abs(weights @ x - x).max().round(6))
        0.0
    """
    count, _ = axes(activations, "N N", of="activations")
    if len(penalties) != FOLDS:
        raise ValueError(f"there are {FOLDS} parts, and {len(penalties)} penalties")
    rng = np.random.default_rng(seed)
    weights: Floats = np.zeros((count, count))
    for fold, penalty in enumerate(penalties):
        held_out = np.arange(count) % FOLDS == fold
        train = int((~held_out).sum())
        kernel, cross, _ = _centred(activations, held_out)
        own: Floats = np.zeros((count - train, train))
        system = eigensystem(kernel)
        if system is not None:
            kept = system.values > len(kernel) * np.finfo(float).eps * system.values[0]
            values, vectors = system.values[kept], system.vectors[:, kept]
            noise = np.sqrt(values[:, None] * noise_variance)
            seen = vectors.T @ cross + noise * rng.standard_normal((len(values), count - train))
            scale = float(values.sum()) / len(kernel)
            own = (vectors @ (seen / (values + penalty * scale)[:, None])).T
        # Deviations from the mean of the training samples, and that mean.
        own += (1 - own.sum(axis=1, keepdims=True)) / train
        weights[np.ix_(held_out, ~held_out)] = own
    return weights


@dataclass(frozen=True)
class _Scores:
    """A fold: squared error and noise gain per penalty, and the variance there is to explain."""

    errors: Floats
    norms: Floats
    total: float


def _score(activations: Floats, inputs: Floats, held_out: _Mask) -> _Scores | None:
    """Train on all samples but some, and reconstruct those; ``None`` if LAPACK cannot."""
    kernel, cross, _ = _centred(activations, held_out)
    target, target_cross, target_own = _centred(inputs, held_out)
    total, count = float(target_own.sum()), int(held_out.sum())
    system = eigensystem(kernel)
    if system is None:
        return None
    values, vectors = system.values, system.vectors
    # What is left is rounding; divided by a small penalty it would look like a signal.
    kept = values > len(kernel) * np.finfo(float).eps * values[0]
    values, vectors = values[kept], vectors[:, kept]
    if not len(values):
        # A tensor that does not vary teaches the mean.
        return _Scores(np.full(len(_PENALTIES), total), np.zeros(len(_PENALTIES)), total)
    cross, target_cross = vectors.T @ cross, vectors.T @ target_cross
    target = vectors.T @ target @ vectors
    scale = float(values.sum()) / len(kernel)
    errors, norms = np.empty((2, len(_PENALTIES)))
    for place, penalty in enumerate(_PENALTIES):
        shrunk = 1 / (values + penalty * scale)
        weights = cross * shrunk[:, None]
        explained = np.sum(weights * (2 * target_cross - target @ weights))
        errors[place] = total - float(explained)
        norms[place] = count * float(np.sum(values * shrunk**2 * np.diagonal(target)))
    return _Scores(errors, norms, total)


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
