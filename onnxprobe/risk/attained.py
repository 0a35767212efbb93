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

__all__ = ["MAX_SAMPLES", "RidgeFloor", "ridge_floor"]

#: Parts that the samples are divided into; each is reconstructed from what the others teach.
FOLDS = 4
#: More samples than these are left aside: the cost grows with their cube.
MAX_SAMPLES = 512
#: Fewer teach nothing.
_MIN_SAMPLES = 2 * FOLDS
#: Penalties that are tried beside that of the noise, in units of the activations' variance over all
#: elements.
_PENALTIES = tuple(10.0**power for power in range(-9, 3))


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

    Who knows the noise adds ``τ²`` to the variance of every element, which is a penalty of
    ``τ²·N``; on a linear-Gaussian model with samples enough nothing does better. A further one
    makes up for samples that are few. That of a fold is the best one on the other folds, so that no
    sample chooses its own.

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
    scores = (_score(activations, inputs, fold, noise_variances) for fold in folds)
    scored = [each for each in scores if each is not None]
    total = sum(fold.total for fold in scored)
    if len(scored) < FOLDS or not total > 0:
        return None
    shares, chosen = [], []
    for level in range(len(noise_variances)):
        errors = np.array([fold.errors[level] for fold in scored])
        picks = [
            int(np.argmin(np.delete(errors, fold, axis=0).sum(axis=0))) for fold in range(FOLDS)
        ]
        error = sum(errors[fold, pick] for fold, pick in enumerate(picks))
        shares.append(min(1.0, max(0.0, 1 - float(error) / total)))
        penalties = (each.penalties[level] for each in scored)
        chosen.append(tuple(float(each[pick]) for each, pick in zip(penalties, picks, strict=True)))
    # Who gets little noise can add more: no level attains less than a noisier one.
    for place in sorted(range(len(shares)), key=lambda each: -noise_variances[each]):
        louder = [
            share
            for share, variance in zip(shares, noise_variances, strict=True)
            if variance >= noise_variances[place]
        ]
        shares[place] = max(louder)
    return RidgeFloor(tuple(shares), tuple(chosen), count)


@dataclass(frozen=True, eq=False)
class _Scores:
    """A fold: expected squared errors by noise level and penalty, and what there is to explain."""

    errors: Floats
    penalties: Floats
    total: float


def _score(
    activations: Floats, inputs: Floats, held_out: _Mask, noise_variances: Sequence[float]
) -> _Scores | None:
    """Train on all samples but some, and reconstruct those; ``None`` if LAPACK cannot."""
    kernel, cross, _ = _centred(activations, held_out)
    target, target_cross, target_own = _centred(inputs, held_out)
    total, held, taught = float(target_own.sum()), int(held_out.sum()), len(kernel)
    system = eigensystem(kernel)
    if system is None:
        return None
    values, vectors = system.values, system.vectors
    # What is left is rounding; divided by a small penalty it would look like a signal.
    kept = values > taught * np.finfo(float).eps * values[0]
    values, vectors = values[kept], vectors[:, kept]
    noise = np.array(noise_variances, dtype=float)[:, None]
    penalties = np.broadcast_to(np.array(_PENALTIES), (len(noise), len(_PENALTIES)))
    if not len(values):
        # A tensor that does not vary teaches the mean.
        return _Scores(np.full(penalties.shape, total), penalties, total)
    scale = float(values.sum()) / taught
    penalties = penalties + noise * taught / scale
    cross, target_cross = vectors.T @ cross, vectors.T @ target_cross
    target = vectors.T @ target @ vectors
    gains = values * np.diagonal(target)
    # Errors are quadratic in what is made of each eigenvector.
    linear, square = np.sum(cross * target_cross, axis=1), target * (cross @ cross.T)
    shrunk = 1 / (values + scale * penalties[..., None])
    explained = 2 * shrunk @ linear - np.sum(shrunk @ square * shrunk, axis=-1)
    return _Scores(total - explained + noise * held * (np.square(shrunk) @ gains), penalties, total)


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
