"""Bounds on every attacker's error, from what is known of the Jacobian."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from onnxprobe.risk.recoverability import recoverability
from onnxprobe.shapes import axes
from onnxprobe.spectrum import Prior, Spectrum
from onnxprobe.types import Floats

__all__ = [
    "Estimate",
    "dfil",
    "frobenius_interval",
    "sigma_bound",
    "unbiased_error_bound",
    "van_trees_bound",
]


@dataclass(frozen=True)
class Estimate:
    """A number estimated from random directions, with its confidence interval.

    Attributes:
        value: The unbiased estimate.
        low: Lower end of the interval.
        high: Upper end.
        confidence: Probability, over the directions, that the interval holds the number.
    """

    value: float
    low: float
    high: float
    confidence: float


def van_trees_bound(spectrum: Spectrum, noise: float, prior: Prior) -> float:
    """Bound the mean squared error per input element of *every* attacker from below.

    Van Trees' inequality: if the input is N(μ, Σ) and the tensor ``f(x) + N·ε``, no estimator,
    biased or not, linear or not, has a mean squared error below ``tr((A + Σ⁻¹)⁻¹)/n`` with the mean
    Fisher information ``A = E[J(x)ᵀJ(x)]/N²``.

    With ``Σ = L·Lᵀ``, ``(A + Σ⁻¹)⁻¹ = L·(LᵀAL + I)⁻¹·Lᵀ``; in the eigenbasis of ``LᵀAL``, with
    eigenvalues a and vectors v, the trace is ``Σ ‖L·v‖²/(1 + a) = tr Σ·Σ w/(1 + a) = tr Σ·(1 − ρ)``
    where the weights sum to 1. The high end of ρ keeps the inequality where they do not: an
    attacker who is given the rest of the input, independent of what is spanned, does no worse.

    Args:
        spectrum: Weighted singular values, shape (r,), of the *mean* Fisher information: of the
            Jacobians at N inputs drawn from the prior, times L, stacked by rows and divided by √N.
            Fewer inputs make this an estimate of the bound.
        noise: Standard deviation of the noise on each element, in output units.
        prior: The prior that the spectrum was weighted by.

    Returns:
        Squared input units. Divided by the prior's variance per element it is 1 − ρ.

    Raises:
        ValueError: If the spectrum has no weights, or the noise is not above 0.

    Source:
        Van Trees 1968, §2.4; Gill & Levit 1995.

    Example:
        >>> prior = Prior("data", 1, 4.0, np.eye(1), np.array([4.0]))
        >>> van_trees_bound(Spectrum.of([2.0], weights=[1.0]), 2.0, prior)  # 1/(1/4 + 1/4)
        2.0
    """
    axes(spectrum.values, "r", of="singular values")
    return prior.trace * (1 - recoverability(spectrum, noise).high) / prior.size


def dfil(energy: float, size: int, noise: float) -> float:
    """Compute the diagonal Fisher information leakage, its mean over input elements.

    Computes ``tr(JᵀJ)/(n·N²) = ‖J‖_F²/(n·N²)``.

    Args:
        energy: ‖J‖_F², squared output units per squared input unit.
        size: Elements of the input, n.
        noise: Standard deviation N of the noise on each element, in output units.

    Returns:
        Per squared input unit; infinite without noise, unless J is zero.

    Raises:
        ValueError: If an argument is negative or there is no input element.

    Source:
        Maeng et al. 2023, "Bounding the invertibility of privacy-preserving instance encoding using
        Fisher information".

    Example:
        >>> dfil(energy=8.0, size=2, noise=2.0)
        1.0
    """
    if not (energy >= 0 and noise >= 0 and size >= 1):
        raise ValueError(
            "energy and noise must not be negative and the input not empty, "
            f"got energy {energy}, noise {noise} and size {size}"
        )
    if energy == 0:
        return 0.0
    # Dividing twice: a small noise squared would vanish, and N/N must not depend on units.
    return energy / size / noise / noise if noise > 0 else math.inf


def unbiased_error_bound(leakage: float) -> float:
    """Bound the mean squared error per input element of *unbiased* attackers from below.

    The Cramér–Rao bound gives ``tr(I⁻¹)/n ≥ n/tr(I) = 1/dFIL`` by the inequality of arithmetic and
    harmonic means. Attackers who use a prior are biased and may do better.

    Args:
        leakage: dFIL, per squared input unit.

    Returns:
        Squared input units; infinite if nothing leaks, 0 if everything does.

    Raises:
        ValueError: If the leakage is negative.

    Source:
        Maeng et al. 2023.

    Example:
        >>> unbiased_error_bound(4.0)
        0.25
    """
    if not leakage >= 0:
        raise ValueError(f"a leakage is not negative, got {leakage}")
    return 1 / leakage if leakage > 0 else math.inf


def frobenius_interval(direction_energies: Floats, size: int, confidence: float = 0.95) -> Estimate:
    """Estimate ‖J‖_F² from what J does to random orthonormal directions.

    For k directions q, uniformly distributed, ``E‖J·q‖² = ‖J‖_F²/n``, so ``n/k·Σ‖J·q‖²`` is
    unbiased. It equals ``‖J‖_F²·n/k·Σ_i p_i·X_i`` where ``p_i = σ_i²/‖J‖_F²`` and X_i, the squared
    length of the i-th right singular vector projected onto the directions, is Beta(k/2, (n − k)/2)
    distributed. A mean ``Σ p_i·X_i`` of equally distributed variables spreads no more (in the
    convex order) than one of them: a Jacobian of rank 1 is the worst case, and its exact quantiles
    are taken for all. For k ≪ n, ``n·X/k`` is χ²_k/k, the law for independent Gaussian directions;
    for k = n it is 1, and the interval a point.

    Args:
        direction_energies: ‖J·q‖² for each direction, shape (k,).
        size: Elements of the input, n.
        confidence: Probability that the interval shall hold ‖J‖_F², two-sided.

    Returns:
        The estimate with its interval.

    Raises:
        ValueError: If there is no direction, more than n, or the confidence is no probability.

    Source:
        Small-sample estimation of Frobenius norms: Gratton & Titley-Peloquin 2018, SIAM Journal on
        Matrix Analysis and Applications 39(2), for Gaussian directions.

    Example:
        >>> frobenius_interval(np.array([1.0, 3.0]), size=2)
        Estimate(value=4.0, low=4.0, high=4.0, confidence=0.95)
    """
    (k,) = axes(direction_energies, "k", of="direction energies")
    value = _frobenius_estimate(direction_energies, size, confidence)
    tail = (1 - confidence) / 2
    low = value / _ratio_quantile(k, size, 1 - tail)
    return Estimate(value, low, value / _ratio_quantile(k, size, tail), confidence)


def sigma_bound(direction_energies: Floats, size: int, confidence: float = 0.95) -> float:
    """Bound the largest singular value from what J does to random orthonormal directions.

    ``σ_1² ≤ ‖J‖_F²``, and the Frobenius norm exceeds the upper end of :func:`frobenius_interval`,
    taken one-sided, with probability 1 − confidence or less. It is close where one direction
    dominates.

    Args:
        direction_energies: ‖J·q‖² for each direction, shape (k,).
        size: Elements of the input, n.
        confidence: Probability that σ_1 shall not exceed the bound.

    Returns:
        Output units per input unit.

    Raises:
        ValueError: If there is no direction, more than n, or the confidence is no probability.

    Source:
        As :func:`frobenius_interval`.

    Example:
        >>> sigma_bound(np.array([16.0, 9.0]), size=2)
        5.0
    """
    (k,) = axes(direction_energies, "k", of="direction energies")
    value = _frobenius_estimate(direction_energies, size, confidence)
    return math.sqrt(value / _ratio_quantile(k, size, 1 - confidence))


def _frobenius_estimate(direction_energies: Floats, size: int, confidence: float) -> float:
    k = direction_energies.size
    if not 1 <= k <= size:
        raise ValueError(f"{k} orthonormal directions do not fit {size} dimensions")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence lies between 0 and 1, got {confidence}")
    if not (np.isfinite(direction_energies).all() and np.all(direction_energies >= 0)):
        raise ValueError("direction energies must be finite and not negative")
    return float(direction_energies.mean()) * size


def _ratio_quantile(k: int, size: int, probability: float) -> float:
    """Return a quantile of estimate/truth for a Jacobian of rank 1."""
    if k == size:
        return 1.0
    return float(betaincinv(k / 2, (size - k) / 2, probability)) * size / k
