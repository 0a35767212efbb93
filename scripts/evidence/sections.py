"""Sections of the document on bounds, controls, derivatives, samples and runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.evidence.cells import Cell
from scripts.evidence.releases import shown_attack
from scripts.evidence.statistics import is_beyond
from scripts.evidence.tables import markdown

__all__ = [
    "bounds_section",
    "controls_section",
    "differences_section",
    "directions_section",
    "runs_section",
    "samples_section",
    "unbiased_section",
]


def bounds_section(found: Sequence[Cell]) -> str:
    """Violations of the van Trees bound, and how near attacks come to it."""
    rows = []
    for study in found:
        for kind in dict.fromkeys(kind for row in study["rows"] for kind in row["attacks"]):
            tried = [row for row in study["rows"] if kind in row["attacks"]]
            for key, label in (("bound", "estimated"), ("known", "known")):
                if not tried:
                    continue
                pairs = [(row[key], row["attacks"][kind]) for row in tried]
                ratio = [seen["mse"] / bound for bound, seen in pairs]
                # Beyond what two standard errors over the attacked images explain.
                clear = [is_beyond(seen, bound) for bound, seen in pairs]
                least = tried[int(np.argmin(ratio))]
                rows.append([
                    study["name"],
                    shown_attack(kind),
                    label,
                    str(len(pairs)),
                    str(sum(value < 1 for value in ratio)),
                    str(sum(clear)),
                    f"{min(ratio):.3f} ({least['tensor']}, s = {least['s']:g})",
                    f"{np.median(ratio):.2f}",
                ])
    heads = ["network", "attack", "covariance", "releases", "errors below the bound"]
    return markdown([*heads, "by 2 standard errors", "least error / bound", "median"], rows)


def controls_section(found: Sequence[Cell]) -> str:
    """What is said of tensors about which the answer is known."""
    rows = [
        [
            row["name"],
            row["expected"],
            f"{row['s']:g}",
            row["status"],
            *(_optional(row.get(key)) for key in _CONTROLS),
        ]
        for row in found
    ]
    heads = ["control", "recoverable", "s", "status", "ρ, worst sample", "attained floor"]
    return markdown([*heads, "best attack R²"], rows)


def differences_section(found: Sequence[Cell]) -> str:
    """Finite differences against exact derivatives."""
    rows = [
        [
            study["name"],
            row["step"] if isinstance(row["step"], str) else f"{row['step']:g}",
            f"{row['wrong_ranks']} of {row['tensors']}",
            f"{row['rank_error']:g}",
            f"{row['effective_rank_error']:.1%}",
            f"{max(0, row['share_above']):.4f}",
            f"{max(0, row['share_below']):.4f}",
            *(
                "none" if row[key] is None else f"{row[key]:.2%}"
                for key in ("recoverable_dof", "bits", "dfil", "van_trees_mse")
            ),
        ]
        for study in found
        for row in study["rows"]
    ]
    heads = ["network", "step", "median ranks that differ", "largest difference"]
    others = ("recoverable DoF", "bits", "dFIL", "van Trees")
    return markdown(
        [
            *heads,
            "effective rank, largest error",
            "ρ too high by",
            "too low by",
            *(f"{name}, median error" for name in others),
        ],
        rows,
    )


def directions_section(found: Sequence[Cell]) -> str:
    """What few directions see, relative to all of them, and whether the truth lies in between."""
    rows = [
        [
            study["name"],
            row["prior"],
            str(row["directions"]),
            *(f"{row[key]:.2f}" for key in ("rank", "recoverable_dof", "bits", "dfil")),
            f"{row['low']:.3f} to {row['high']:.3f}",
            f"{row['truth']:.3f}",
            f"{row['outside']} of {row['tensors']}",
        ]
        for study in found
        for row in study["rows"]
    ]
    heads = ["network", "prior", "directions", "rank", "recoverable DoF", "bits", "dFIL"]
    return markdown([*heads, "ρ, mean of its ends", "ρ of all", "intervals that miss it"], rows)


def unbiased_section(found: Sequence[Cell]) -> str:
    """Least squares, which is unbiased, against the bound that dFIL gives."""
    rows = []
    for study in found:
        for row in study["rows"]:
            clear = row["error"] + 2 * row["standard_error"] < row["bound"]
            rows.append([
                study["name"],
                study["tensor"],
                f"{row['s']:g}",
                f"{row['error']:.3g}",
                f"{row['bound']:.3g}",
                f"{row['error'] / row['bound']:.2f}",
                "violated" if clear else "holds",
            ])
        if not study["rows"]:
            rows.append([study["name"], study["tensor"], *["none"] * 4, "loses part of the image"])
    heads = ["network", "tensor", "s", "error of least squares", "bound by dFIL", "error / bound"]
    return markdown([*heads, "the bound"], rows)


def samples_section(found: Sequence[Cell]) -> str:
    """How far estimates from few samples are off those from the most, over the tensors."""
    rows = []
    for study in found:
        most = study["rows"][-1]["tensors"]
        for row in study["rows"]:
            seen = row["tensors"]
            told = [name for name in seen if seen[name]["dof_status"] != "saturated"]
            rows.append([
                study["name"],
                str(row["samples"]),
                f"{len(seen) - len(told)} of {len(seen)}",
                *_off(seen, most, list(seen), "dof"),
                _off(seen, most, told, "dof")[1],
                *(_off(seen, most, list(seen), key)[0] for key in _ESTIMATORS),
                *(_mean_change(seen, most, key) for key in ("high", "attained")),
            ])
    heads = ["network", "samples", "saturated", "DoF off by: median", "largest"]
    heads += ["largest where not saturated"]
    others = [f"{label}: median" for label in _ESTIMATORS.values()]
    return markdown([*heads, *others, "ρ, mean change", "attained floor, mean change"], rows)


def _off(seen: Cell, most: Cell, names: Sequence[str], key: str) -> tuple[str, str]:
    """Return the median and the largest relative error over tensors."""
    errors = [
        abs(seen[name][key] / most[name][key] - 1)
        for name in names
        if seen[name][key] is not None and most[name][key]
    ]
    if not errors:
        return "none", "none"
    return f"{np.median(errors):.0%}", f"{max(errors):.0%}"


def _mean_change(seen: Cell, most: Cell, key: str) -> str:
    changes = [
        seen[name][key] - most[name][key]
        for name in seen
        if seen[name][key] is not None and most[name][key] is not None
    ]
    return f"{np.mean(changes):+.3f}" if changes else "none"


def runs_section(found: Sequence[Cell]) -> str:
    """Largest and mean range over runs with other seeds."""
    rows = []
    for study in found:
        for key, label in _RUNS.items():
            table = np.array([[run[key] for run in runs] for runs in study["rows"].values()])
            spread = np.ptp(table, axis=1)
            rows.append([
                study["name"],
                str(table.shape[1]),
                label,
                f"{table.mean():.3f}",
                f"{spread.mean():.3f}",
                f"{spread.max():.3f}",
            ])
    heads = ["network", "runs", "figure", "mean over tensors", "range over runs, mean"]
    return markdown([*heads, "largest"], rows)


_CONTROLS = ("high", "attained", "attack")
_ESTIMATORS = {
    "participation_ratio": "participation ratio",
    "energy_95": "energy 95 %",
    "two_nn": "two-NN",
}
_RUNS = {
    "high": "ρ, worst sample",
    "attained": "attained floor",
    "attack": "best attack R²",
    "dof": "DoF",
    "rank": "rank",
}


def _optional(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
