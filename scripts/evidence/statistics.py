"""Does a prediction order attacks, and is it right? With intervals over networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

__all__ = [
    "Bin",
    "Interval",
    "bootstrap",
    "is_beyond",
    "leave_one_out",
    "mean_absolute_error",
    "path",
    "reliability",
    "spearman",
    "spearman_columns",
]

Array = NDArray[Any]
Groups = Mapping[str, tuple[Array, Array]]


@dataclass(frozen=True)
class Interval:
    """A statistic with a 95 % percentile interval."""

    value: float
    low: float
    high: float

    def straddles(self, bound: float) -> bool:
        """Say whether it does not tell on which side of a bound the statistic is."""
        return self.low < bound < self.high

    def shown(self, digits: int) -> str:
        """Return it as text; of a single network nothing is known but the value."""
        if self.low == self.high:
            return f"{self.value:.{digits}f}"
        ends = f"{self.low:.{digits}f} to {self.high:.{digits}f}"
        return f"{self.value:.{digits}f} ({ends})"


@dataclass(frozen=True)
class Bin:
    """Predictions between two ends, and what came of them."""

    low: float
    high: float
    count: int
    predicted: float
    attained: float


def spearman(first: Array, second: Array) -> float:
    """Return Spearman's rank correlation, ties sharing their mean rank; 0 if one never varies."""
    return float(spearman_columns(first[:, None], second[:, None])[0])


def spearman_columns(first: Array, second: Array) -> Array:
    """Return `spearman` of each column, shape (columns,), of tables of shape (values, columns)."""
    a, b = rankdata(first, axis=0), rankdata(second, axis=0)
    a, b = a - a.mean(0), b - b.mean(0)
    scale = np.sqrt(np.sum(a * a, 0) * np.sum(b * b, 0))
    product: Array = np.sum(a * b, 0) / np.where(scale > 0, scale, 1)
    return product


def mean_absolute_error(predicted: Array, attained: Array) -> float:
    """Return the mean absolute difference."""
    return float(np.mean(np.abs(np.asarray(predicted) - np.asarray(attained))))


def bootstrap(
    groups: Groups, statistic: Callable[[Array, Array], float], *, draws: int = 500, seed: int = 0
) -> Interval:
    """Resample whole networks, since tensors of one network are no independent samples.

    Args:
        groups: Predicted and attained values of each network, shape (values,) or
            (values, levels) each.
        statistic: Of the values of all networks together.
        draws: How often networks are drawn with replacement.
        seed: Of the draws.

    Returns:
        The statistic of all networks, with its interval.
    """
    pairs = list(groups.values())

    def pooled(chosen: Sequence[int]) -> float:
        predicted = np.concatenate([pairs[i][0] for i in chosen])
        return statistic(predicted, np.concatenate([pairs[i][1] for i in chosen]))

    if len(pairs) == 1:
        # Every draw is this one.
        value = pooled([0])
        return Interval(value, value, value)
    rng = np.random.default_rng(seed)
    drawn = [pooled(rng.integers(len(pairs), size=len(pairs)).tolist()) for _ in range(draws)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Interval(pooled(range(len(pairs))), float(low), float(high))


def is_beyond(seen: Mapping[str, float], bound: float) -> bool:
    """Say whether an attack's error is below a bound by more than two standard errors."""
    return bool(seen["mse"] + 2 * seen["mse_error"] < bound)


def reliability(predicted: Array, attained: Array, bins: int = 5) -> list[Bin]:
    """Return the mean prediction and what was attained, in bins of equal width over [0, 1]."""
    edges = np.linspace(0, 1, bins + 1)
    where = np.clip(np.digitize(predicted, edges[1:-1]), 0, bins - 1)
    result = []
    for i in range(bins):
        inside = where == i
        if inside.any():
            means = float(np.mean(predicted[inside])), float(np.mean(attained[inside]))
            result.append(Bin(float(edges[i]), float(edges[i + 1]), int(inside.sum()), *means))
    return result


def leave_one_out(features: Mapping[str, Array], attained: Mapping[str, Array]) -> dict[str, Array]:
    """Predict each network by a linear fit to the others, cut off to [0, 1].

    Args:
        features: Of each network, shape (values, features).
        attained: Of each network, shape (values,).

    Returns:
        Predictions of each network, shape (values,).
    """
    result = {}
    for left in features:
        others = [name for name in features if name != left]
        design = _with_constant(np.concatenate([features[name] for name in others]))
        target = np.concatenate([attained[name] for name in others])
        weights, *_ = np.linalg.lstsq(design, target, rcond=None)
        result[left] = np.clip(_with_constant(features[left]) @ weights, 0, 1)
    return result


def _with_constant(features: Array) -> Array:
    return np.column_stack([np.ones(len(features)), features])


def path(given: Sequence[float]) -> str:
    """Say whether values fall and then rise, by more than a twentieth of their mean."""
    values = np.array(given, dtype=float)
    least = int(values.argmin())
    slack = 0.05 * values.mean()
    fell, rose = values[0] - values[least] > slack, values[-1] - values[least] > slack
    if fell and rose:
        return "falls, then rises"
    if fell:
        return "falls"
    return "rises" if values[-1] - values[0] > slack else "flat"
