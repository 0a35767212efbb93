"""Tables of the document on what measures predict, from a summary alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from scripts.evidence.cells import Cell
from scripts.evidence.releases import (
    BOTH,
    FLOOR,
    MEASURES,
    RHO,
    Measure,
    Networks,
    attacks,
    best,
    held_against,
    pooled,
    scored,
    table,
    with_rounded,
)
from scripts.evidence.scores import (
    architecture_order,
    calibration,
    calibration_errors,
    median_order,
    order_against,
)
from scripts.evidence.statistics import mean_absolute_error, reliability, spearman_columns

__all__ = [
    "architecture_order_table",
    "calibration_table",
    "markdown",
    "order_table",
    "reliability_table",
    "rounded_table",
    "target_table",
    "threshold_table",
]


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


def order_table(networks: Networks) -> str:
    """Spearman within each noise level over all tensors that count, and its median."""
    counted = scored(networks)
    levels = [level["s"] for level in next(iter(counted.values()))["tensors"][0]["levels"]]
    against = {name: held_against(name) for name in MEASURES}
    rows = [_order_row(counted, name, MEASURES[name], against[name]) for name in MEASURES]
    floor = f"{FLOOR}, against all attacks"
    rows.insert(1 + list(MEASURES).index(FLOOR), _order_row(counted, floor, MEASURES[FLOOR], best))
    heads = ["measure", *(f"s = {s:g}" for s in levels), "median over levels"]
    return markdown([*heads, "within one network: median (least)"], rows)


def _order_row(counted: Networks, name: str, measure: Measure, against: Measure) -> list[str]:
    pairs = [(table(value, measure), table(value, against)) for value in counted.values()]
    predicted, attained = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    alone = [median_order(*pair) for pair in pairs]
    return [
        name,
        *(f"{value:.2f}" for value in spearman_columns(predicted, attained)),
        f"**{order_against(counted, measure, against).shown(2)}**",
        f"{np.median(alone):.2f} ({min(alone):.2f})",
    ]


def architecture_order_table(networks: Networks) -> str:
    """Spearman of every measure over the networks of each architecture that counts."""
    counted = scored(networks)
    kinds = dict.fromkeys(network["architecture"] for network in counted.values())
    groups = {
        kind: {key: value for key, value in counted.items() if value["architecture"] == kind}
        for kind in kinds
    }
    rows = [
        [name, *(architecture_order(group, name).shown(2) for group in groups.values())]
        for name in MEASURES
    ]
    heads = [f"{kind}: {', '.join(group)}" for kind, group in groups.items()]
    return markdown(["measure", *heads], rows)


def rounded_table(networks: Networks) -> str:
    """What is said and attained of tensors that are rounded to int8."""
    rows = []
    for name, network in networks.items():
        for tensor in network["tensors"]:
            if "int8" in tensor:
                level = tensor["int8"]
                rows.append([
                    f"{name} ({network['role']})",
                    tensor["name"],
                    str(tensor["size"]),
                    f"{level['s']:.3f}",
                    *(f"{level[key]:.3f}" for key in ("high", "attained")),
                    f"{best(tensor, level):.3f}",
                    f"{_found(tensor, level):.0%}",
                ])
    heads = ["network", "tensor", "size", "s of the rounding", RHO, "attained floor"]
    return markdown([*heads, "best attack R²", "images found, at most"], rows)


def reliability_table(networks: Networks, name: str = RHO) -> str:
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
    heads = [f"{name} between", "releases", "its mean", "mean attack R²", "difference"]
    return markdown(
        [*heads, "mean absolute error", "attack above it by 0.05", "largest excess"], rows
    )


def threshold_table(networks: Networks, name: str = BOTH) -> str:
    """What the best attack reached on releases that pass a threshold of a measure."""
    networks = with_rounded(networks)
    predicted, attained = pooled(networks, MEASURES[name]), pooled(networks, best)
    found = pooled(networks, _found)
    owner = np.repeat(
        np.arange(len(networks)),
        [table(value, best).size for value in networks.values()],
    )
    rows = []
    for threshold in (0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        chosen = predicted <= threshold
        passed = attained[chosen]
        if len(passed):
            over = int(np.sum(passed > threshold))
            rows.append([
                f"{threshold:g}",
                str(len(passed)),
                str(len(set(owner[chosen]))),
                f"{np.median(passed):.2f}",
                f"{passed.max():.2f}",
                f"{over} of {len(passed)}",
                f"{found[chosen].max():.0%}",
            ])
    heads = [f"{name} at most", "releases that pass", "of networks", "median attack R²"]
    return markdown(
        [*heads, "largest attack R²", "attacks above the threshold", "images found, at most"], rows
    )


def _found(_: Cell, level: Cell) -> float:
    """Return the largest share of images that any attack re-identifies."""
    return max(float(level[kind]["found"]) for kind in attacks(level))


def target_table(networks: Networks) -> str:
    """Below which value of a measure no attack attained more than a target."""
    networks = with_rounded(networks)
    attained = pooled(networks, best)
    names = (BOTH, RHO, FLOOR, "rank share")
    measures = {name: pooled(networks, MEASURES[name]) for name in names}
    rows = []
    for target in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        row = [f"{target:.1f}"]
        for predicted in measures.values():
            ends = predicted[attained > target]
            # Rounded down: what is shown has to hold.
            end = np.floor(100 * float(ends.min()) if ends.size else 100.0) / 100
            row.append(f"{end:.2f} ({int(np.sum(predicted < end))})")
        rows.append([*row, _transferred(networks, target)])
    heads = ["no attack above R²", *(f"{name} below" for name in names)]
    return markdown([*heads, f"largest attack by {names[0]} of the other networks"], rows)


def _transferred(networks: Networks, target: float) -> str:
    """Take the threshold from all other networks, and say what attacks attained in each."""
    measure, largest = MEASURES[BOTH], []
    for name, network in networks.items():
        others = {key: value for key, value in networks.items() if key != name}
        if not others:
            return "none"
        ends = pooled(others, measure)[pooled(others, best) > target]
        end = float(ends.min()) if ends.size else 1.0
        mine, attained = table(network, measure).ravel(), table(network, best).ravel()
        if (mine < end).any():
            largest.append(float(attained[mine < end].max()))
    # Rounded up: what is shown has to hold.
    return f"{np.ceil(100 * max(largest)) / 100:.2f}" if largest else "none passes"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out a table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
