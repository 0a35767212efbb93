"""The section on training until images are known by heart: measures, and who notices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.evidence.cells import Cell
from scripts.evidence.statistics import path, spearman
from scripts.evidence.tables import markdown

__all__ = ["Relation", "falls_and_rises", "membership_section", "relations", "strongest"]

Array = NDArray[Any]
_KEYS = {"dof": "DoF", "rank": "rank"}
_DRAWS = 2000


@dataclass(frozen=True)
class Relation:
    """How a change over training goes with membership risk, over the tensors of networks.

    ``value`` is the mean over studies of Spearman within a study; ``chance`` is the share of
    permutations within studies that are as far from 0.
    """

    value: float
    chance: float


def membership_section(found: Sequence[Cell]) -> str:
    """Checkpoints, and how each tensor's measures move with them."""
    parts = [_related(found)]
    for study in found:
        parts += [f"### {study['name']}, seed {study['seed']}\n", _over(study), _tensors(study)]
    return "\n".join(parts)


def strongest(tensor: Cell) -> float:
    """Return how far the statistic that tells most is from telling nothing, as an AUC."""
    return 0.5 + max(abs(value - 0.5) for value in tensor["told"].values())


def falls_and_rises(study: Cell, key: str) -> tuple[int, int]:
    """Count the tensors of which a measure first falls and then rises, and all."""
    names = list(study["tracked"])
    return sum(path(_series(study, name, key)) == "falls, then rises" for name in names), len(names)


def relations(found: Sequence[Cell], seed: int = 0) -> dict[str, Relation]:
    """Relate what `track` says of tensors with the AUC of the probe at the end."""
    ends = [(study["tracked"], study["checkpoints"][-1]["tensors"]) for study in found]
    risks = [np.array([last[name]["probe"] for name in tracked]) for tracked, last in ends]
    result = {}
    for key, label in _KEYS.items():
        for change in ("cv", "mcr"):
            values = [
                np.array([each[key][change] or 0.0 for each in tracked.values()])
                for tracked, _ in ends
            ]
            result[f"{change.upper()} of {label}"] = _related_by_chance(values, risks, seed)
    told = [np.array([strongest(last[name]) for name in tracked]) for tracked, last in ends]
    result["strongest statistic of onnxprobe"] = _related_by_chance(told, risks, seed)
    return result


def _related_by_chance(values: list[Array], risks: list[Array], seed: int) -> Relation:
    def mean(parts: list[Array]) -> float:
        return float(np.mean([spearman(a, b) for a, b in zip(parts, risks, strict=True)]))

    rng = np.random.default_rng(seed)
    seen = mean(values)
    drawn = [abs(mean([rng.permutation(part) for part in values])) for _ in range(_DRAWS)]
    return Relation(seen, (1 + sum(each >= abs(seen) for each in drawn)) / (1 + _DRAWS))


def _related(found: Sequence[Cell]) -> str:
    rows = [
        [name, f"{relation.value:+.2f}", f"{relation.chance:.3f}"]
        for name, relation in relations(found).items()
    ]
    heads = ["of a tensor, over training", "Spearman with the AUC of the probe at the end"]
    return markdown([*heads, "by chance"], rows)


def _series(study: Cell, name: str, key: str) -> list[float]:
    return [float(point["tensors"][name][key]) for point in study["checkpoints"]]


def _over(study: Cell) -> str:
    names = list(study["tracked"])
    shown = [names[0], names[len(names) // 2], names[-1]]
    rows = [
        [
            str(point["epoch"]),
            f"{point['accuracy_members']:.3f}",
            f"{point['accuracy_others']:.3f}",
            f"{point['auc']:.2f}",
            *(f"{point['tensors'][name]['probe']:.2f}" for name in shown),
            *(f"{point['tensors'][name]['dof']:.1f}" for name in shown),
            *(f"{point['tensors'][name]['rank']:g}" for name in shown),
        ]
        for point in study["checkpoints"]
    ]
    heads = ["epoch", "accuracy, members", "accuracy, others", "AUC of the loss"]
    kinds = ("AUC of the probe on", "DoF of", "rank of")
    return markdown([*heads, *(f"{kind} {name}" for kind in kinds for name in shown)], rows)


def _tensors(study: Cell) -> str:
    last = study["checkpoints"][-1]["tensors"]
    rows = []
    for name, tracked in study["tracked"].items():
        row = [name]
        for key in _KEYS:
            changes = [tracked[key][change] for change in ("cv", "mcr")]
            row += [
                path(_series(study, name, key)),
                *("none" if change is None else f"{change:.2f}" for change in changes),
            ]
        told = last[name]["told"]
        most = max(told, key=lambda each: abs(told[each] - 0.5))
        rows.append([
            *row,
            f"{last[name]['auc']:.2f}",
            f"{last[name]['probe']:.2f}",
            f"{told[most]:.2f} ({most})",
        ])
    heads = [f"{label}: {part}" for label in _KEYS.values() for part in ("path", "CV", "MCR")]
    ends = ["without classes", "the probe", "onnxprobe's strongest statistic"]
    return markdown(["tensor", *heads, *(f"AUC at the end: {end}" for end in ends)], rows)
