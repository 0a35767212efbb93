"""Membership: how well a statistic of a sample tells whether the model was trained on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from onnxprobe.shapes import axes
from onnxprobe.types import Floats

__all__ = ["LEAST_FOR_TPR", "LEAST_SAMPLES", "Separation", "leverages", "separation", "tied"]

#: Fewer samples of either kind tell nothing.
LEAST_SAMPLES = 10
#: With fewer non-members, one of them is more than 1 %.
LEAST_FOR_TPR = 100
FALSE_POSITIVES = 0.01
_RESAMPLES = 1000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Separation:
    """How well a statistic tells members from non-members.

    Attributes:
        auc: Probability that a member has the lower value, ties counting half: 0.5 tells nothing,
            0 and 1 tell everything.
        low: Lower end of its 95 % interval.
        high: Upper end.
        tpr: Share of the members that are found at a false positive rate of 1 %, in the sense
            that the AUC says; ``None`` with fewer than 100 non-members.
    """

    auc: float
    low: float
    high: float
    tpr: float | None


def separation(members: Floats, non_members: Floats, *, seed: int = 0) -> Separation:
    """Hold a statistic of members against that of non-members.

    The interval is the percentile bootstrap over 1,000 resamples of either kind. It knows nothing
    of values that no sample has: where the two do not overlap it has no width.

    Args:
        members: The statistic at samples that the model was trained on, shape (m,).
        non_members: At others, shape (n,).
        seed: Of the resamples; the same for statistics that are to be compared.

    Returns:
        Area under the curve, its interval, and the true positive rate at 1 %.

    Raises:
        ValueError: If there are fewer than 10 of either, or a value is not finite.

    Source:
        Fawcett 2006 for the AUC; Efron & Tibshirani 1993 for the interval; Carlini et al. 2022 for
        the rate at few false positives.

    Example:
        >>> low, high = np.arange(100.0), np.arange(100.0) + 50
        >>> found = separation(low, high)
        >>> found.auc, found.tpr
        (0.875, 0.51)
    """
    (m,) = axes(members, "m", of="members")
    (n,) = axes(non_members, "n", of="non_members")
    if min(m, n) < LEAST_SAMPLES:
        raise ValueError(f"membership needs {LEAST_SAMPLES} of each kind, got {m} and {n}")
    if not (np.isfinite(members).all() and np.isfinite(non_members).all()):
        raise ValueError("statistics must be finite")
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(m, np.full(m, 1 / m), _RESAMPLES).astype(float)
    others = rng.multinomial(n, np.full(n, 1 / n), _RESAMPLES).astype(float)
    # In halves of pairs, whole numbers, so that sums are exact.
    wins = 2.0 * (members[:, None] < non_members) + (members[:, None] == non_members)
    areas = np.sum((weights @ wins) * others, axis=1) / (2 * m * n)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(areas, [tail, 1 - tail])
    auc = float(wins.sum()) / (2 * m * n)
    sign = 1.0 if auc >= 0.5 else -1.0
    return Separation(
        auc=auc,
        low=min(float(low), auc),
        high=max(float(high), auc),
        tpr=_rate(sign * members, sign * non_members) if n >= LEAST_FOR_TPR else None,
    )


def _rate(members: Floats, non_members: Floats) -> float:
    """Find the share of members below all but 1 % of the non-members."""
    # So many non-members may be taken for members; the next one, and whatever ties with it, not.
    allowed = int(FALSE_POSITIVES * len(non_members))
    limit = np.partition(non_members, allowed)[allowed]
    return float(np.mean(members < limit))


def tied(values: Floats, precision: float) -> Floats:
    """Make values equal that are no further apart than they are known.

    A statistic that is the same for all samples, such as the Jacobian of a linear tensor, differs
    by rounding, which is larger where samples are: without this, rounding would tell members.

    Args:
        values: Not negative, shape (N,).
        precision: How far they are known, relative to each.

    Returns:
        The values on a logarithmic grid of steps of twice the precision, counted from their median.

    Raises:
        ValueError: If a value is negative or not finite, or the precision not positive.

    Example:
        >>> tied(np.array([1.0, 1.00001, 2.0, 0.0]), 1e-3).round(2).tolist()
        [1.0, 1.0, 2.0, 0.0]
    """
    axes(values, "N", of="values")
    if not (np.isfinite(values).all() and np.all(values >= 0) and precision > 0):
        raise ValueError("values are finite and not negative, and the precision positive")
    positive = values > 0
    if not positive.any():
        return np.zeros_like(values)
    centre = float(np.median(values[positive]))
    step = 2 * np.log1p(precision)
    steps = np.round(np.log(np.where(positive, values / centre, 1.0)) / step)
    return np.where(positive, centre * np.exp(steps * step), 0.0)


def leverages(gram: Floats) -> Floats:
    """Find how far each sample stands out, given what all of them look like.

    With G the centred Gram matrix and γ its mean eigenvalue, the diagonal of ``G (G + γI)⁻¹``: a
    regularised Mahalanobis distance from the mean, between 0 (typical) and 1. It needs no
    covariance, and no labels.

    Args:
        gram: Centred inner products of the samples, shape (N, N).

    Returns:
        Shape (N,); zeros if the samples do not vary.

    Raises:
        ValueError: If the matrix is not finite.

    Source:
        Hoaglin & Welsch 1978, for ridge regression.

    Example:
        >>> x = np.array([[1.0], [-1.0], [3.0], [-3.0]])
        >>> leverages(x @ x.T).round(3).tolist()  # x²/(Σx² + γ), and γ is Σx²/4
        [0.04, 0.04, 0.36, 0.36]
    """
    count, _ = axes(gram, "N N", of="gram")
    if not np.isfinite(gram).all():
        raise ValueError("a Gram matrix must be finite")
    penalty = float(np.trace(gram)) / max(count, 1)
    if not penalty > 0:
        return np.zeros(count)
    # G (G + γI)⁻¹ = I − γ (G + γI)⁻¹.
    factor = scipy.linalg.cho_factor(gram + penalty * np.eye(count), lower=True)
    inverse = scipy.linalg.cho_solve(factor, np.eye(count))
    return np.clip(1 - penalty * np.diagonal(inverse), 0.0, 1.0)
