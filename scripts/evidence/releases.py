"""Releases of a summary: what measures say of them, and what attacks attained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from scripts.evidence.cells import Cell

__all__ = [
    "BOTH",
    "CHEAP",
    "DEPTH",
    "FLOOR",
    "IMAGES",
    "MEASURES",
    "OWN",
    "RHO",
    "Measure",
    "Networks",
    "attack",
    "attacks",
    "best",
    "held_against",
    "pooled",
    "scored",
    "shown_attack",
    "table",
    "unrated",
    "unshared",
    "with_rounded",
]

Array = NDArray[np.float64]
Networks = dict[str, Cell]
#: Takes a tensor and one of its levels.
Measure = Callable[[Cell, Cell], float]

RHO = "ρ, worst sample"
FLOOR = "attained floor"
#: What policies call the recoverable share.
BOTH = "max(ρ, floor)"
DEPTH = "depth (negative)"
#: What is called by a name is what the document says. What counts is also taken relative to the
#: input: otherwise releases of large images would be ranked above those of small ones.
MEASURES: dict[str, Measure] = {
    RHO: lambda _, level: level["high"],
    "ρ, median sample": lambda _, level: level["median"],
    FLOOR: lambda _, level: level["attained"],
    BOTH: lambda _, level: max(level["high"], level["attained"]),
    "ρ, isotropic prior": lambda _, level: level["isotropic"],
    "ρ, no data": lambda _, level: level["blind"],
    "recoverable DoF": lambda _, level: level["recoverable_dof"],
    "recoverable DoF per input": lambda tensor, level: level["recoverable_dof"] / tensor["inputs"],
    "dFIL": lambda _, level: level["dfil"],
    "rank share": lambda tensor, _: tensor["share"],
    "naive rank share": lambda tensor, _: tensor["naive_rank"],
    "activation DoF": lambda tensor, _: tensor["dof"],
    "activation DoF, share of the input's": lambda tensor, _: tensor["dof_share"],
    DEPTH: lambda tensor, _: -tensor["depth"],
    "tensor size": lambda tensor, _: tensor["size"],
    "tensor size per input": lambda tensor, _: tensor["size"] / tensor["inputs"],
}
#: What onnxprobe says beside ρ and the floor.
OWN = (
    "recoverable DoF per input",
    "dFIL",
    "rank share",
    "activation DoF, share of the input's",
)
#: What needs neither weights nor samples.
CHEAP = (DEPTH, "tensor size", "tensor size per input")
#: Data sets by what they show; the image prior is meant for photographs of anything.
IMAGES = {
    "photographs": ("cifar", "photos"),
    "faces": ("faces",),
    "single things on black": ("digits", "mnist", "fashion"),
}
# How the document calls attacks.
_SHOWN = {"gradient": "total variation"}


def shown_attack(kind: str) -> str:
    """Return the name of an attack in the document."""
    return _SHOWN.get(kind, kind)


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


def unshared(_: Cell, level: Cell) -> float:
    """Return the best R² of attacks that do not assume the Gaussian prior of ρ."""
    return attack(level, kinds=[kind for kind in attacks(level) if kind != "refined"])


def held_against(name: str) -> Measure:
    """Say against what a measure is held: the floor is a ridge regression, and meets the others."""
    return _not_ridge if name == FLOOR else best


def table(network: Cell, measure: Measure) -> Array:
    """Return a measure of a network, shape (tensors, levels)."""
    return np.array([
        [measure(tensor, level) for level in tensor["levels"]] for tensor in network["tensors"]
    ])


def pooled(networks: Networks, measure: Measure) -> Array:
    """Return a measure of all releases of networks, shape (releases,)."""
    return np.concatenate([table(value, measure).ravel() for value in networks.values()])


def with_rounded(networks: Networks) -> Networks:
    """Return the networks with releases that were rounded to int8 among the others."""
    return {
        name: {
            **network,
            "tensors": [
                {**tensor, "levels": [level]}
                for tensor in network["tensors"]
                for level in [*tensor["levels"], *([tensor["int8"]] if "int8" in tensor else [])]
            ],
        }
        for name, network in networks.items()
    }


def unrated(said: Cell | None) -> str | None:
    """Say why a tensor cannot be held against attacks, if so; the document leaves it out."""
    if said is None:
        return "onnxprobe did not measure it"
    keys = ("rank", "share", "dof", "dof_share")
    known = [said[key] for key in keys] + [
        level[key]
        for level in said["levels"]
        for key in ("high", "median", "attained", "recoverable_dof", "dfil")
    ]
    return f"onnxprobe gives not every figure: {said['status']}" if None in known else None


def _not_ridge(_: Cell, level: Cell) -> float:
    """Return the best R² of what begins with no ridge regression: the decoder."""
    return attack(level, kinds=("decoder",))
