"""How near measures come to attacks, and whether they order them, over networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scripts.evidence.cells import Cell
from scripts.evidence.releases import (
    MEASURES,
    RHO,
    Measure,
    Networks,
    best,
    held_against,
    scored,
    table,
    unshared,
)
from scripts.evidence.statistics import (
    Interval,
    bootstrap,
    leave_one_out,
    mean_absolute_error,
    spearman_columns,
)

__all__ = [
    "FIT",
    "FITS",
    "UNSHARED",
    "ahead",
    "architecture_order",
    "calibration",
    "calibration_errors",
    "median_order",
    "nearer",
    "order_against",
    "orders",
    "shuffled",
    "within",
]

Array = NDArray[np.float64]

UNSHARED = "ρ, against attacks without its prior"
FIT = "fit of depth and log noise"
_ALL_FITS: dict[str, Callable[[Cell, Cell], list[float]]] = {
    FIT: lambda tensor, level: [tensor["depth"], np.log(level["s"])],
    # More elements than the input has tell no more of it.
    "fit of depth, log noise and relative size": lambda tensor, level: [
        tensor["depth"],
        np.log(level["s"]),
        min(0.0, np.log(tensor["size"] / tensor["inputs"])),
    ],
    "fit of depth, log noise and log size": lambda tensor, level: [
        tensor["depth"],
        np.log(level["s"]),
        np.log(tensor["size"]),
    ],
    "fit of the attained floor": lambda _, level: [level["attained"]],
}
#: Fits to what attacks attained from other networks.
FITS = tuple(_ALL_FITS)
_SHARES = (
    RHO,
    "ρ, median sample",
    "attained floor",
    "max(ρ, floor)",
    "ρ, isotropic prior",
    "ρ, no data",
)


def calibration(networks: Networks) -> dict[str, dict[str, tuple[Array, Array]]]:
    """Return predicted and attained R² by share and network; the fit only with two networks."""
    pairs = {name: (MEASURES[name], held_against(name)) for name in _SHARES}
    pairs[UNSHARED] = (MEASURES[RHO], unshared)
    found = {
        name: {
            key: (table(value, measure).ravel(), table(value, against).ravel())
            for key, value in networks.items()
        }
        for name, (measure, against) in pairs.items()
    }
    for name in FITS:
        if predictions := _fit(networks, name):
            found[name] = {
                key: (predictions[key], table(value, best).ravel())
                for key, value in networks.items()
            }
    return found


def calibration_errors(networks: Networks) -> dict[str, Interval]:
    """Return the mean absolute error of every share over the networks that count."""
    counted = scored(networks)
    return {
        name: bootstrap({key: groups[key] for key in counted}, mean_absolute_error)
        for name, groups in calibration(networks).items()
    }


def nearer(networks: Networks, name: str) -> Interval:
    """Return by how much more a share is off than ρ, paired over the networks that count."""
    found = calibration(networks)
    groups = {
        key: (
            np.stack([found[RHO][key][0], found[name][key][0]], axis=-1),
            found[RHO][key][1],
        )
        for key in scored(networks)
    }

    def difference(predicted: Array, attained: Array) -> float:
        errors = [mean_absolute_error(predicted[..., at], attained) for at in (0, 1)]
        return errors[1] - errors[0]

    return bootstrap(groups, difference)


def _fit(networks: Networks, name: str) -> dict[str, Array]:
    """Predict each network by a linear fit to all others."""
    if len(networks) < 2:
        return {}
    features = {
        key: np.array([
            _ALL_FITS[name](tensor, level)
            for tensor in network["tensors"]
            for level in tensor["levels"]
        ])
        for key, network in networks.items()
    }
    attained = {key: table(value, best).ravel() for key, value in networks.items()}
    return leave_one_out(features, attained)


def median_order(predicted: Array, attained: Array) -> float:
    """Return Spearman within each noise level, and of these the median."""
    return float(np.median(spearman_columns(predicted, attained)))


def orders(networks: Networks) -> dict[str, Interval]:
    """Return Spearman of every measure with the best R²: the median over noise levels."""
    counted = scored(networks)
    return {
        name: order_against(counted, measure, held_against(name))
        for name, measure in MEASURES.items()
    }


def within(networks: Networks, name: str) -> float:
    """Return the median over networks of Spearman within a network."""
    pairs = [(table(v, MEASURES[name]), table(v, best)) for v in networks.values()]
    return float(np.median([median_order(*pair) for pair in pairs]))


def order_against(networks: Networks, measure: Measure, against: Measure) -> Interval:
    """Return Spearman of a measure with what attacks attained, over these networks."""
    groups = {key: (table(v, measure), table(v, against)) for key, v in networks.items()}
    return bootstrap(groups, median_order)


def architecture_order(networks: Networks, name: str) -> Interval:
    """Return Spearman of a measure over networks of one architecture, resampled by tensors."""
    measure, against = MEASURES[name], held_against(name)
    rows = {
        f"{key} {place}": (one[None], other[None])
        for key, value in networks.items()
        for place, (one, other) in enumerate(
            zip(table(value, measure), table(value, against), strict=True)
        )
    }
    return bootstrap(rows, median_order)


def ahead(networks: Networks, one: str, other: str, against: Measure) -> Interval:
    """Return by how much one measure's Spearman exceeds another's, paired over networks.

    Args:
        networks: Those that count.
        one: A measure.
        other: Another.
        against: What attacks attained.

    Returns:
        The difference.
    """
    groups = {
        key: (
            np.stack([table(value, MEASURES[name]) for name in (one, other)], axis=-1),
            table(value, against),
        )
        for key, value in networks.items()
    }

    def difference(predicted: Array, attained: Array) -> float:
        found = [median_order(predicted[..., at], attained) for at in (0, 1)]
        return found[0] - found[1]

    return bootstrap(groups, difference)


def shuffled(networks: Networks, name: str = RHO, draws: int = 300, seed: int = 0) -> Interval:
    """Return Spearman of a measure shuffled over tensors: mean, and the range of 95 % of draws."""
    counted = scored(networks).values()
    predicted = np.concatenate([table(value, MEASURES[name]) for value in counted])
    attained = np.concatenate([table(value, best) for value in counted])
    rng = np.random.default_rng(seed)
    found = [median_order(rng.permutation(predicted), attained) for _ in range(draws)]
    low, high = np.percentile(found, [2.5, 97.5])
    return Interval(float(np.mean(found)), float(low), float(high))
