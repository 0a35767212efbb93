"""Sections of the document on bounds, controls, derivatives, samples, runs and training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from scripts.evidence.cells import Cell
from scripts.evidence.statistics import path, spearman
from scripts.evidence.tables import markdown

__all__ = [
    "bounds_section",
    "controls_section",
    "differences_section",
    "directions_section",
    "gradient_section",
    "membership_section",
    "runs_section",
    "samples_section",
    "unbiased_section",
    "variation",
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
                clear = [seen["mse"] + 2 * seen["mse_error"] < bound for bound, seen in pairs]
                least = tried[int(np.argmin(ratio))]
                rows.append([
                    study["name"],
                    kind,
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
    return markdown([*heads, ""], rows)


def samples_section(found: Sequence[Cell]) -> str:
    """Figures of three tensors against the number of samples."""
    rows = [
        [
            study["name"],
            name,
            str(row["samples"]),
            _saturated(row["tensors"][name]),
            f"{row['tensors'][name]['high']:.3f}",
            _optional(row["tensors"][name]["attained"]),
        ]
        for study in found
        for name in study["rows"][0]["tensors"]
        for row in study["rows"]
    ]
    return markdown(["network", "tensor", "samples", "DoF", "ρ, worst", "attained floor"], rows)


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


def membership_section(found: Sequence[Cell]) -> str:
    """Checkpoints, and how each tensor's measures move with them."""
    return "\n".join(_trajectories(study) for study in found)


def _trajectories(found: Cell) -> str:
    checkpoints = found["checkpoints"]
    names = list(checkpoints[0]["tensors"])
    shown = [names[0], names[len(names) // 2], names[-1]]
    over = markdown(
        [
            "epoch",
            "accuracy, members",
            "accuracy, others",
            "AUC of the loss",
            *(f"{kind} of {name}" for kind in ("DoF", "rank") for name in shown),
        ],
        [
            [
                str(point["epoch"]),
                f"{point['accuracy_members']:.3f}",
                f"{point['accuracy_others']:.3f}",
                f"{point['auc']:.3f}",
                *(f"{point['tensors'][name]['dof']:.1f}" for name in shown),
                *(f"{point['tensors'][name]['rank']:g}" for name in shown),
            ]
            for point in checkpoints
        ],
    )
    aucs = np.array([point["auc"] for point in checkpoints])
    rows = []
    for name in names:
        row = [name]
        for key in ("dof", "rank"):
            values = np.array([float(point["tensors"][name][key]) for point in checkpoints])
            cv, mcr = variation(values)
            row += [
                f"{cv:.3f}",
                f"{mcr:.3f}",
                path(values.tolist()),
                f"{spearman(values, aucs):+.2f}",
            ]
        own = np.array([point["tensors"][name]["auc"] for point in checkpoints])
        rows.append([*row, f"{own.mean():.2f} ± {own.std():.2f}"])
    parts = ("CV", "MCR", "path", "Spearman with AUC of the loss")
    labels = ("DoF", "rank")
    heads = [
        "tensor",
        *(f"{a}: {b}" for a in labels for b in parts),
        "AUC of its own, over checkpoints",
    ]
    return f"{over}\n{markdown(heads, rows)}"


def gradient_section(networks: dict[str, Cell]) -> str:
    """Gradient-based inversion on a few images, beside refined pictures."""
    rows = []
    for name, network in networks.items():
        found = [tensor["gradient"] for tensor in network["tensors"] if "gradient" in tensor]
        if found:
            better = sum(value["r2"] > value["best_r2"] for value in found)
            rows.append([
                name,
                *(f"{found[i]['r2']:.2f} ({found[i]['best_r2']:.2f})" for i in (0, 4, 9)),
                f"{better} of {len(found)}",
            ])
    heads = ["network", "first tensor", "fifth", "last", "better than refined ones"]
    return markdown(heads, rows)


def variation(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return CV and MCR of a measure over checkpoints, as docs/measures.md defines them."""
    changes = np.abs(np.diff(values)) / np.abs(values[:-1])
    return float(values.std() / values.mean()), float(changes.max())


_CONTROLS = ("high", "attained", "attack")
_RUNS = {
    "high": "ρ, worst sample",
    "attained": "attained floor",
    "attack": "best attack R²",
    "dof": "DoF",
    "rank": "rank",
}


def _saturated(said: Cell) -> str:
    """Write degrees of freedom, marked where the bias control calls them no estimate."""
    mark = " (at least)" if said["dof_status"] == "saturated" else ""
    return f"{said['dof']:.1f}{mark}"


def _optional(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
