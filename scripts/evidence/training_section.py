"""The section on training until images are known by heart: measures, and who notices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.evidence.cells import Cell
from scripts.evidence.statistics import path, spearman
from scripts.evidence.tables import markdown

__all__ = [
    "Relation",
    "falls_and_rises",
    "membership_section",
    "over_checkpoints",
    "relations",
    "strongest",
]

Array = NDArray[Any]
_KEYS = {"dof": "DoF", "rank": "rank"}
_DRAWS = 2000


@dataclass(frozen=True)
class Relation:
    """How a change over training goes with membership risk, over the tensors of networks.

    ``value`` is the mean over studies of Spearman within a study; ``chance`` is how often shuffled
    tensors are as far from 0, after Holm for all that is related; ``each`` is the value by network.
    """

    value: float
    chance: float
    each: dict[str, float]


def membership_section(found: Sequence[Cell]) -> str:
    """Checkpoints, and how each tensor's measures move with them."""
    parts = [_related(found), _in_time(found)]
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
    """Relate what `track` and onnxprobe say of tensors with the AUC of the probe at the end."""
    readers: dict[str, Callable[[Cell, str], float | None]] = {
        f"{change.upper()} of {label}": _tracked(key, change)
        for key, label in _KEYS.items()
        for change in ("cv", "mcr")
    }
    readers["strongest statistic of onnxprobe"] = lambda study, name: strongest(
        study["checkpoints"][-1]["tensors"][name]
    )
    readers["depth"] = lambda study, name: list(study["tracked"]).index(name)
    raw = {name: _related_by_chance(found, read, seed) for name, read in readers.items()}
    order = sorted(raw, key=lambda name: raw[name].chance)
    result, most = {}, 0.0
    for place, name in enumerate(order):
        # Holm 1979.
        most = max(most, min(1.0, raw[name].chance * (len(order) - place)))
        result[name] = Relation(raw[name].value, most, raw[name].each)
    return {name: result[name] for name in readers}


def over_checkpoints(study: Cell, key: str) -> list[float]:
    """Return, by tensor, Spearman over checkpoints of a measure with the AUC of the probe."""
    return [
        spearman(
            np.array(_series(study, name, key)),
            np.array([point["tensors"][name]["probe"] for point in study["checkpoints"]]),
        )
        for name in study["tracked"]
    ]


def _tracked(key: str, change: str) -> Callable[[Cell, str], float | None]:
    def read(study: Cell, name: str) -> float | None:
        value: float | None = study["tracked"][name][key][change]
        return value

    return read


def _related_by_chance(
    found: Sequence[Cell], read: Callable[[Cell, str], float | None], seed: int
) -> Relation:
    # Trainings of one network have their tensors in common: they are shuffled together.
    groups = []
    for network in dict.fromkeys(study["name"] for study in found):
        studies = [study for study in found if study["name"] == network]
        names = [
            name
            for name in studies[0]["tracked"]
            if all(name in each["tracked"] and read(each, name) is not None for each in studies)
        ]
        # Of fewer nothing can be said.
        for each in studies if len(names) > 2 else ():
            last = each["checkpoints"][-1]["tensors"]
            groups.append((
                network,
                np.array([read(each, name) for name in names], dtype=float),
                np.array([last[name]["probe"] for name in names]),
            ))

    if not groups:
        return Relation(0.0, 1.0, {})

    def mean(orders: dict[str, Array]) -> float:
        return float(np.mean([spearman(a[orders[name]], b) for name, a, b in groups]))

    sizes = {name: len(values) for name, values, _ in groups}
    rng = np.random.default_rng(seed)
    seen = mean({name: np.arange(size) for name, size in sizes.items()})
    drawn = [
        abs(mean({name: rng.permutation(size) for name, size in sizes.items()}))
        for _ in range(_DRAWS)
    ]
    each = {
        name: float(np.mean([spearman(a, b) for network, a, b in groups if network == name]))
        for name in sizes
    }
    as_far = sum(value >= abs(seen) - 1e-12 for value in drawn)
    return Relation(seen, (1 + as_far) / (1 + _DRAWS), each)


def _related(found: Sequence[Cell]) -> str:
    networks = list(dict.fromkeys(study["name"] for study in found))
    rows = [
        [
            name,
            f"{relation.value:+.2f}",
            *(f"{relation.each.get(network, 0.0):+.2f}" for network in networks),
            f"{relation.chance:.3f}",
        ]
        for name, relation in relations(found).items()
    ]
    heads = ["of a tensor", "Spearman over tensors with the AUC of the probe at the end"]
    return markdown([*heads, *networks, "by chance"], rows)


def _in_time(found: Sequence[Cell]) -> str:
    rows = []
    for study in found:
        row = [f"{study['name']}, seed {study['seed']}"]
        for key in _KEYS:
            values = over_checkpoints(study, key)
            row.append(f"{np.median(values):+.2f} ({min(values):+.2f} to {max(values):+.2f})")
        rows.append(row)
    heads = [f"{label} with the AUC of the probe, over checkpoints" for label in _KEYS.values()]
    return markdown(["training", *(f"{head}: median tensor (range)" for head in heads)], rows)


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
            f"{strongest(last[name]):.2f} ({most})",
        ])
    heads = [f"{label}: {part}" for label in _KEYS.values() for part in ("path", "CV", "MCR")]
    ends = ["without classes", "the probe", "onnxprobe's strongest statistic"]
    return markdown(["tensor", *heads, *(f"AUC at the end: {end}" for end in ends)], rows)
