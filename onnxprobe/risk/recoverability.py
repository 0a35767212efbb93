"""Recoverability: how much of the input a noisy tensor gives away to the best linear attack.

The tensor ``y = J·L·z + noise`` is seen by an attacker who knows J, the prior ``Σ = L·Lᵀ`` of the
input ``x = L·z`` and the Gaussian noise of standard deviation N per element. With singular values σ
of ``J·L`` and ``a = σ²/N²``, each whitened direction keeps a posterior variance of ``1/(1 + a)``.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from onnxprobe.shapes import axes
from onnxprobe.spectrum import Spectrum
from onnxprobe.types import Floats

__all__ = [
    "Range",
    "bits",
    "noise_for",
    "recoverability",
    "recoverable_dof",
]

#: Trade-offs tried between trusting values and allowing for their errors.
_TRADE_OFFS = 17
#: How much of the map's error an attacker takes for noise, in multiples; the best one counts.
_CAUTIONS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Range:
    """A number known to lie between two ends.

    Attributes:
        low: What was seen to be recoverable.
        high: What can be recoverable at most.
        certified: Whether the low end is a lower bound. It is not where part of the prior was not
            spanned and nothing bounds what unseen directions add to the tensor, which may hide the
            seen ones.
    """

    low: float
    high: float
    certified: bool


def recoverable_dof(spectrum: Spectrum, noise: float) -> float:
    """Count the directions that stand out of the noise.

    Computes ``Σ a/(1 + a)`` over resolved values: the trace of the ridge smoother. As the noise
    vanishes it becomes the rank. Through part of the prior's directions it is a lower bound.

    Args:
        spectrum: Singular values of J·L, shape (r,), in output units per prior standard deviation.
        noise: Standard deviation N of the noise on each element, in output units.

    Returns:
        Directions, between 0 and ``r``.

    Raises:
        ValueError: If the noise is not above 0.

    Source:
        Hastie & Tibshirani 1990, §3.5.

    Example:
        >>> recoverable_dof(Spectrum.of([1.0, 1.0]), noise=1.0)
        1.0
    """
    axes(spectrum.values, "r", of="singular values")
    return float(_shares(spectrum.resolved, _positive(noise)).sum())


def bits(spectrum: Spectrum, noise: float) -> float:
    """Measure the information about the input in one noisy tensor.

    Computes ``½·Σ log2(1 + a)`` over resolved values: the mutual information of a Gaussian input
    and the tensor. Through part of the prior's directions it is a lower bound.

    Args:
        spectrum: Singular values of J·L, shape (r,), in output units per prior standard deviation.
        noise: Standard deviation N of the noise on each element, in output units.

    Returns:
        Bits.

    Raises:
        ValueError: If the noise is not above 0.

    Source:
        Cover & Thomas 2006, §9.4 (parallel Gaussian channels).

    Example:
        >>> round(bits(Spectrum.of([3.0**0.5, 3.0**0.5]), noise=1.0), 12)  # two channels at SNR 3
        2.0
    """
    axes(spectrum.values, "r", of="singular values")
    log_snr = 2 * (np.log(spectrum.resolved) - math.log(_positive(noise)))
    return float(np.logaddexp(0.0, log_snr).sum()) / (2 * math.log(2))


def recoverability(spectrum: Spectrum, noise: float) -> Range:
    """Measure the share of the input's variance that the best attack recovers.

    Computes ``ρ = Σ w·a/(1 + a) = 1 − tr(posterior)/tr(prior)``. The high end allows for

    - the floor f, a bound on the norm of the error E of J·L. From
      ``(B + E)ᵀ(B + E) ≤ (1 + t)·BᵀB + (1 + 1/t)·EᵀE`` for every t > 0, and because ρ only grows
      with the Fisher information, every a may grow to ``(1 + t)·a + (1 + 1/t)·f²/N²``; the best of
      a few t is taken. A value at the floor or below it counts like this too. Where the floor is
      that of squaring, ``JᵀJ`` is known to floor², which is added to σ² beforehand, and only
      the map's own error counts as f.
    - variance that the directions do not span: the attacker is given that part of the input, which
      adds all of ``1 − Σw``.
    - the outputs: m of them reveal no more than the m strongest directions (the ceiling).

    The low end is what one attacker recovers for sure, who looks at the outputs of resolved values
    alone and reconstructs by ``ẑ = V·diag(g)·Uᵀ·y`` with ``g = σ/(σ² + M²)``, some M ≥ N. Unseen
    directions add noise of variance h² or less to those outputs. If J·L were as measured, his error
    would be ``A = 1 − Σw + Σ w·((1 − g·σ)² + (N² + h²)·g²)`` of tr Σ; the error E adds ``G·E·z``,
    of ``Γ = f²·Σ w·g²`` or less, so that he recovers ``1 − (√A + √Γ)²`` or more (Minkowski).
    Without f the best M² is N² + h², and this is Σ w·a/(1 + a) at that noise. Where the floor b is
    that of squaring, he uses ``D·Vᵀ·(J·L)ᵀ·y`` with ``D = g/σ``, and what is not known of JᵀJ adds
    ``b⁴·Σ w·D²`` to Γ and a share of b²/σ² to the noise.

    Args:
        spectrum: Weighted singular values of J·L, shape (r,), in output units per prior standard
            deviation.
        noise: Standard deviation N of the noise on each element, in output units.

    Returns:
        ρ between 0 and 1, both ends.

    Raises:
        ValueError: If the spectrum has no weights, or the noise is not above 0.

    Source:
        Linear-Gaussian posterior; Rasmussen & Williams 2006, §2.1.

    Example:
        >>> recoverability(Spectrum.of([1.0, 0.0], weights=[0.5, 0.5]), noise=1.0)
        Range(low=0.25, high=0.25, certified=True)
        >>> recoverability(Spectrum.of([1.0], weights=[0.5], complete=False), noise=1.0)
        Range(low=0.25, high=0.75, certified=False)
    """
    axes(spectrum.values, "r", of="singular values")
    weights = _weights(spectrum)
    noise = _positive(noise)
    high = _upper_end(spectrum, weights, noise)
    low = min(_lower_end(spectrum, weights, noise), high)
    return Range(low, high, certified=spectrum.complete or spectrum.hidden is not None)


def noise_for(spectrum: Spectrum, rms: float, target: float = 0.05) -> float | None:
    """Find the least release noise at which no more than a target share is recoverable.

    Args:
        spectrum: Weighted singular values of J·L, shape (r,), in output units per prior standard
            deviation.
        rms: Root mean square of the tensor.
        target: Largest acceptable high end of ρ, in (0, 1).

    Returns:
        The noise in units of the RMS, never too small by rounding; 0 if none is needed; ``None`` if
        no noise is enough, because more of the prior than the target was not spanned, or if the
        tensor is all zeros and has no such unit.

    Raises:
        ValueError: If the spectrum has no weights, the target is no share or the RMS is negative.

    Example:
        >>> spectrum = Spectrum.of([2.0], weights=[1.0])
        >>> round(noise_for(spectrum, rms=1.0, target=0.2), 6)  # 4/(4 + s²) = 0.2
        4.0
    """
    axes(spectrum.values, "r", of="singular values")
    weights = _weights(spectrum)
    if not 0 < target < 1:
        raise ValueError(f"a target share lies between 0 and 1, got {target}")
    if not (math.isfinite(rms) and rms >= 0):
        raise ValueError(f"a root mean square is finite and not negative, got {rms}")
    if _noiseless_end(spectrum, weights) <= target:
        return 0.0
    slack = target - _unspanned(weights)
    if slack <= 0 or rms == 0:
        return None

    def excess(log_noise: float) -> float:
        return _upper_end(spectrum, weights, math.exp(log_noise)) - target

    # At t = 1 every a is at most 6·max(σ_1, f)²/N², and the weights sum to 1 or less.
    largest = max(spectrum.largest, spectrum.floor)
    most = math.log(2 * largest) - math.log(slack) / 2 + 1
    # Twenty e-folds below every value, all of them are recovered to the last digit.
    smallest = spectrum.floor or float(spectrum.values[spectrum.values > 0].min())
    least = max(math.log(smallest) - 20, math.log(sys.float_info.min))
    if excess(least) <= 0 or excess(most) > 0:  # the target is an end of ρ's range, up to rounding
        return 0.0 if excess(least) <= 0 else None
    found, step = float(brentq(excess, least, most, xtol=1e-12)), 1e-12
    while excess(found) > 0:  # the root may lie a rounding error on the wrong side
        found, step = found + step, 2 * step
    return math.exp(found) / rms


def _shares(values: Floats, noise: float) -> Floats:
    # a/(1 + a) without a, which may overflow; nothing of a value of 0 is recovered.
    with np.errstate(divide="ignore", over="ignore"):
        shares: Floats = 1 / (1 + np.square(noise / values))
    return shares


def _lower_end(spectrum: Spectrum, weights: Floats, noise: float) -> float:
    noise = math.hypot(noise, spectrum.hidden or 0.0)
    values, floor = spectrum.resolved, spectrum.floor
    resolved = weights[: values.size]
    if floor == 0.0 or values.size == 0:
        return float(resolved @ _shares(values, noise))
    error, blur = (floor, 0.0) if spectrum.error is None else (spectrum.error, floor)
    ends = []
    for caution in _CAUTIONS:
        assumed = math.hypot(noise, caution * (error + blur))
        shares = _shares(values, assumed)
        # By quotients that cannot overflow: N is no more than M, what is not known no more than σ.
        blurred = np.square(blur / values)
        gains = shares * (1 - shares) * (1 + blurred)
        moved = math.sqrt(float(resolved @ np.square(blurred * shares)))
        moved += math.sqrt(float(resolved @ (np.square(error / values * shares) * (1 + blurred))))
        kept = float(resolved @ (shares * (2 - shares) - (noise / assumed) ** 2 * gains))
        ends.append(kept - 2 * math.sqrt(max(0.0, 1 - kept)) * moved - moved**2)
    return max(0.0, *ends)


def _upper_end(spectrum: Spectrum, weights: Floats, noise: float) -> float:
    recovered = _recovered_at_most(spectrum, weights, noise)
    return min(recovered + _unspanned(weights), spectrum.ceiling, 1.0)


def _recovered_at_most(spectrum: Spectrum, weights: Floats, noise: float) -> float:
    values, error = spectrum.values, spectrum.floor
    if spectrum.error is not None:
        values, error = np.hypot(values, spectrum.floor), spectrum.error
    if error == 0.0 or values.size == 0:
        return float(weights @ _shares(values, noise))
    # The best t lies between f/σ_1, where the strongest value grows least, and 1.
    least = min(1.0, max(1e-12, error / max(spectrum.largest, error)))
    ends = [
        float(
            weights
            @ _shares(np.hypot(np.sqrt(1 + t) * values, math.sqrt(1 + 1 / t) * error), noise)
        )
        for t in np.geomspace(least, 1.0, _TRADE_OFFS)
    ]
    return min(ends)


def _noiseless_end(spectrum: Spectrum, weights: Floats) -> float:
    """Return the limit of the high end as the noise vanishes."""
    alive = (spectrum.values > 0) | (spectrum.floor > 0)
    return min(float(weights[alive].sum()) + _unspanned(weights), spectrum.ceiling, 1.0)


def _unspanned(weights: Floats) -> float:
    rest = 1.0 - float(weights.sum())
    return rest if rest > 1e-9 else 0.0  # less is the rounding of a sum of shares


def _weights(spectrum: Spectrum) -> Floats:
    if spectrum.weights is None:
        raise ValueError("recoverability needs a weighted spectrum; attach a prior first")
    return spectrum.weights


def _positive(noise: float) -> float:
    if not (math.isfinite(noise) and noise > 0):
        raise ValueError(f"noise must be finite and above 0, got {noise}")
    return noise
