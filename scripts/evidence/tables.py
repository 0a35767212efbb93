"""Tables of the document, from a summary alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from scripts.evidence.cells import Cell
from scripts.evidence.statistics import (
    Interval,
    bootstrap,
    leave_one_out,
    mean_absolute_error,
    reliability,
    spearman_columns,
)

__all__ = [
    "FIT",
    "FIT_SIZE",
    "MEASURES",
    "PHOTOGRAPHS",
    "WEAKER",
    "Networks",
    "ahead",
    "attack",
    "attacks",
    "best",
    "calibration",
    "calibration_errors",
    "calibration_table",
    "fits",
    "markdown",
    "median_order",
    "network_order_table",
    "order_against",
    "order_table",
    "orders",
    "pooled",
    "reliability_table",
    "scored",
    "shuffled",
    "table",
    "target_table",
    "threshold_table",
]

Array = NDArray[np.float64]
Networks = dict[str, Cell]
Measure = Callable[[Cell, Cell], float]

# Each takes a tensor and one of its levels. What is called by a name is what the document says.
MEASURES: dict[str, Measure] = {
    "ρ, worst sample": lambda _, level: level["high"],
    "ρ, median sample": lambda _, level: level["median"],
    "attained floor": lambda _, level: level["attained"],
    "max(ρ, floor)": lambda _, level: max(level["high"], level["attained"]),
    "ρ, isotropic prior": lambda _, level: level["isotropic"],
    "ρ, no data": lambda _, level: level["blind"],
    "recoverable DoF": lambda _, level: level["recoverable_dof"],
    "dFIL": lambda _, level: level["dfil"],
    "rank share": lambda tensor, _: tensor["share"],
    "naive rank share": lambda tensor, _: tensor["naive_rank"],
    "activation DoF": lambda tensor, _: tensor["dof"],
    "depth (negative)": lambda tensor, _: -tensor["depth"],
    "tensor size": lambda tensor, _: tensor["size"],
}
WEAKER = "ρ, against ridge and decoders alone"
FIT = "fit of depth and log noise"
#: A fit that also knows how many elements a tensor has for each of the input's.
FIT_SIZE = "fit of depth, log noise and relative size"
_SHARES = (
    "ρ, worst sample",
    "ρ, median sample",
    "attained floor",
    "max(ρ, floor)",
    "ρ, isotropic prior",
    "ρ, no data",
)
#: Data sets that are photographs of anything, as the image prior is meant for.
PHOTOGRAPHS = ("cifar",)


def scored(networks: Networks) -> Networks:
    """Return the networks that count: those that were held out, or all if none was."""
    held_out = {name: value for name, value in networks.items() if value["role"] == "held out"}
    return held_out or networks


def attacks(level: Cell) -> list[str]:
    """Return the kinds of attack that were tried at a level."""
    return [kind for kind, value in level.items() if isinstance(value, dict) and "r2" in value]


def attack(level: Cell, *, kinds: Sequence[str] = ()) -> float:
    """Return the best R² of kinds of attack, all if none are named; anybody can guess the mean."""
    found: list[float] = [level[kind]["r2"] for kind in kinds or attacks(level)]
    return max(0.0, *found)


def best(_: Cell, level: Cell) -> float:
    """Return the best R² of a level; a `Measure` like others."""
    return attack(level)


def table(network: Cell, measure: Measure) -> Array:
    """Return a measure of a network, shape (tensors, levels)."""
    return np.array([
        [measure(tensor, level) for level in tensor["levels"]] for tensor in network["tensors"]
    ])


def fits(networks: Networks, *, sizes: bool = False) -> dict[str, Array]:
    """Predict each network from depth and log noise, and sizes if asked, by a fit to all others."""
    features = {name: _features(network, sizes=sizes) for name, network in networks.items()}
    attained = {name: table(value, best).ravel() for name, value in networks.items()}
    if len(networks) < 2:
        return {}
    return leave_one_out(features, attained)


def calibration(networks: Networks) -> dict[str, dict[str, tuple[Array, Array]]]:
    """Return predicted and attained R² by share and network; the fit only with two networks."""
    fitted = {FIT: fits(networks), FIT_SIZE: fits(networks, sizes=True)}
    found: dict[str, dict[str, tuple[Array, Array]]] = {}
    for name in _SHARES:
        found[name] = {
            key: (table(value, MEASURES[name]).ravel(), table(value, _target(name)).ravel())
            for key, value in networks.items()
        }
    found[WEAKER] = {
        key: (table(value, MEASURES["ρ, worst sample"]).ravel(), table(value, _learnt).ravel())
        for key, value in networks.items()
    }
    for name, predictions in fitted.items():
        if predictions:
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


def calibration_table(networks: Networks) -> str:
    """Mean absolute error of every share, by network and over those that count."""
    found = calibration(networks)
    rows = [
        [
            f"{key} ({network['role']})",
            *(f"{mean_absolute_error(*groups[key]):.3f}" for groups in found.values()),
        ]
        for key, network in networks.items()
    ]
    total = [f"**{value.shown(3)}**" for value in calibration_errors(networks).values()]
    return markdown(["network", *found], [*rows, ["**counted**", *total]])


def orders(networks: Networks) -> dict[str, Interval]:
    """Return Spearman of every measure with the best R²: the median over noise levels."""
    counted = scored(networks)
    return {
        name: bootstrap(
            {
                key: (table(value, measure), table(value, _target(name)))
                for key, value in counted.items()
            },
            median_order,
        )
        for name, measure in MEASURES.items()
    }


def pooled(networks: Networks, measure: Measure) -> Array:
    """Return a measure of all releases of networks, shape (releases,)."""
    return np.concatenate([table(value, measure).ravel() for value in networks.values()])


def ahead(networks: Networks, one: str, other: str, *, weaker: bool = False) -> Interval:
    """Return by how much one measure's Spearman exceeds another's, paired over networks.

    Args:
        networks: Those that count.
        one: A measure.
        other: Another.
        weaker: Whether attacks are ridge and decoders alone.
    """
    target = _learnt if weaker else best
    groups = {
        key: (
            np.stack([table(value, MEASURES[name]) for name in (one, other)], axis=-1),
            table(value, target),
        )
        for key, value in networks.items()
    }

    def difference(predicted: Array, attained: Array) -> float:
        orders = [median_order(predicted[..., at], attained) for at in (0, 1)]
        return orders[0] - orders[1]

    return bootstrap(groups, difference)


def order_against(networks: Networks, name: str, *, weaker: bool) -> Interval:
    """Return Spearman of a measure with the best attack, or with ridge and decoders alone."""
    target = _learnt if weaker else best
    return bootstrap(
        {
            key: (table(value, MEASURES[name]), table(value, target))
            for key, value in networks.items()
        },
        median_order,
    )


def network_order_table(networks: Networks) -> str:
    """Spearman of every measure within each network, median over noise levels."""
    counted = scored(networks)
    rows = [
        [
            name,
            *(
                f"{median_order(table(value, measure), table(value, _target(name))):.2f}"
                for value in counted.values()
            ),
        ]
        for name, measure in MEASURES.items()
    ]
    return markdown(["measure", *counted], rows)


def order_table(networks: Networks) -> str:
    """Spearman within each noise level over all tensors that count, and its median."""
    counted = list(scored(networks).values())
    levels = [level["s"] for level in counted[0]["tensors"][0]["levels"]]
    medians = orders(networks)
    rows = []
    for name, measure in MEASURES.items():
        parts = [table(value, measure) for value in counted]
        found = [table(value, _target(name)) for value in counted]
        predicted, attained = np.concatenate(parts), np.concatenate(found)
        each = spearman_columns(predicted, attained)
        alone = [median_order(*pair) for pair in zip(parts, found, strict=True)]
        rows.append([
            name,
            *(f"{value:.2f}" for value in each),
            f"**{medians[name].shown(2)}**",
            f"{np.median(alone):.2f} ({min(alone):.2f})",
        ])
    heads = ["measure", *(f"s = {s:g}" for s in levels), "median over levels"]
    return markdown([*heads, "within one network: median (least)"], rows)


def shuffled(networks: Networks, draws: int = 300, seed: int = 0) -> Interval:
    """Spearman of ρ after a shuffle over tensors: mean, and the range of 95 % of shuffles."""
    counted = scored(networks).values()
    predicted = np.concatenate([table(value, MEASURES["ρ, worst sample"]) for value in counted])
    attained = np.concatenate([table(value, best) for value in counted])
    rng = np.random.default_rng(seed)
    found = [median_order(rng.permutation(predicted), attained) for _ in range(draws)]
    low, high = np.percentile(found, [2.5, 97.5])
    return Interval(float(np.mean(found)), float(low), float(high))


def reliability_table(networks: Networks, name: str = "ρ, worst sample") -> str:
    """Mean prediction and mean best R², by bins of the prediction."""
    counted = scored(networks)
    predicted, attained = pooled(counted, MEASURES[name]), pooled(counted, best)
    rows = []
    for part in reliability(predicted, attained):
        last = part.high == 1
        inside = (predicted >= part.low) & ((predicted < part.high) | last)
        error, excess = np.abs(predicted - attained)[inside], (attained - predicted)[inside]
        rows.append([
            f"{part.low:.1f} to {part.high:.1f}",
            str(part.count),
            f"{part.predicted:.2f}",
            f"{part.attained:.2f}",
            f"{part.attained - part.predicted:+.2f}",
            f"{error.mean():.3f}",
            f"{int(np.sum(excess > 0.05))}",
            f"{max(0.0, excess.max()):.2f}",
        ])
    heads = [f"{name} between", "releases", "mean", "mean attack R²", "difference"]
    return markdown(
        [*heads, "mean absolute error", "attack above it by 0.05", "largest excess"], rows
    )


def threshold_table(networks: Networks, name: str = "max(ρ, floor)") -> str:
    """What the best attack reached on releases that pass a threshold of a measure."""
    predicted, attained = pooled(networks, MEASURES[name]), pooled(networks, best)
    found = pooled(networks, _found)
    owner = np.repeat(
        np.arange(len(networks)),
        [table(value, best).size for value in networks.values()],
    )
    rows = []
    for threshold in (0.2, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        chosen = predicted <= threshold
        passed = attained[chosen]
        if len(passed):
            over = int(np.sum(passed > threshold))
            rows.append([
                f"{threshold:g}",
                f"{len(passed)} of {len(set(owner[chosen]))}",
                f"{np.median(passed):.2f}",
                f"{passed.max():.2f}",
                f"{over} of {len(passed)}",
                f"{found[chosen].max():.0%}",
            ])
    heads = [f"{name} at most", "releases that pass, of networks", "median attack R²"]
    return markdown(
        [*heads, "largest attack R²", "attacks above the threshold", "images found, at most"], rows
    )


def _found(_: Cell, level: Cell) -> float:
    """Return the largest share of images that any attack re-identifies."""
    return max(float(level[kind]["found"]) for kind in attacks(level))


def target_table(networks: Networks) -> str:
    """Below which value of a measure no attack attained more than a target."""
    attained = pooled(networks, best)
    names = ("max(ρ, floor)", "ρ, worst sample", "attained floor", "rank share")
    measures = {name: pooled(networks, MEASURES[name]) for name in names}
    rows = []
    for target in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        row = [f"{target:.1f}"]
        for predicted in measures.values():
            ends = predicted[attained > target]
            end = float(ends.min()) if ends.size else 1.0
            row.append(f"{end:.2f} ({int(np.sum(predicted < end))})")
        rows.append([*row, _transferred(networks, target)])
    heads = ["no attack above R²", *(f"{name} below" for name in names)]
    return markdown([*heads, f"largest attack by {names[0]} of the other networks"], rows)


def _transferred(networks: Networks, target: float) -> str:
    """Take the threshold from all other networks, and say what attacks attained in each."""
    measure, largest = MEASURES["max(ρ, floor)"], []
    for name, network in networks.items():
        others = {key: value for key, value in networks.items() if key != name}
        if not others:
            return "none"
        ends = pooled(others, measure)[pooled(others, best) > target]
        end = float(ends.min()) if ends.size else 1.0
        mine, attained = table(network, measure).ravel(), table(network, best).ravel()
        if (mine < end).any():
            largest.append(float(attained[mine < end].max()))
    return f"{max(largest):.2f}" if largest else "none passes"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _target(name: str) -> Measure:
    """Say against what a measure is held: the floor is a ridge regression, and meets decoders."""
    return _trained if name == "attained floor" else best


def _trained(_: Cell, level: Cell) -> float:
    return attack(level, kinds=("decoder",))


def _learnt(_: Cell, level: Cell) -> float:
    return attack(level, kinds=("ridge", "decoder"))


def _features(network: Cell, *, sizes: bool) -> Array:
    inputs = float(np.prod(network["inputs"]))
    rows = []
    for tensor in network["tensors"]:
        # More elements than the input has tell no more of it.
        size = min(0.0, np.log(tensor["size"] / inputs))
        rows += [[tensor["depth"], np.log(level["s"]), size] for level in tensor["levels"]]
    return np.array(rows)[:, : 3 if sizes else 2]


def median_order(predicted: Array, attained: Array) -> float:
    """Return Spearman within each noise level, and of these the median."""
    return float(np.median(spearman_columns(predicted, attained)))
