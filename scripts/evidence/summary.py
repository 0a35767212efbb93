"""What a run found, small enough to be kept: the document is made of this and nothing else."""

from __future__ import annotations

import datetime as dt
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from scripts.evidence.attacking import ATTACKS
from scripts.evidence.cells import Cell
from scripts.evidence.experiments import ROUNDED, Subject
from scripts.evidence.releases import unrated

__all__ = ["network_summary", "provenance", "rounded"]

# Tensors whose curves are drawn.
_DRAWN = (4, 9)


def network_summary(subject: Subject, measured: Cell, attacked: list[Cell], beside: Cell) -> Cell:
    """Put measures and attacks of a network side by side.

    Args:
        subject: The network.
        measured: Measures by tensor.
        attacked: Attacks by depth.
        beside: By tensor, measures under other priors, and naive ones.

    Returns:
        As JSON can hold it.
    """
    inputs = int(np.prod(subject.images.train.shape[1:]))
    tensors = []
    for depth, (name, found) in enumerate(zip(subject.network.names, attacked, strict=True)):
        if unrated(measured.get(name)):
            continue
        said, other = measured[name], beside[name]
        levels = zip(said["levels"], found["levels"], strict=True)
        tensor: Cell = {
            "name": name,
            "depth": depth,
            "inputs": inputs,
            **{key: value for key, value in said.items() if key not in {"levels", ROUNDED}},
            "naive_rank": other["naive_rank"],
            "levels": [
                {
                    **predicted,
                    **{kind: other[kind][place] for kind in ("blind", "isotropic")},
                    **_attacked(seen, drawn=depth in _DRAWN),
                }
                for place, (predicted, seen) in enumerate(levels)
            ],
        }
        if ROUNDED in found:
            tensor[ROUNDED] = {**said[ROUNDED], **_attacked(found[ROUNDED], drawn=False)}
        tensors.append(tensor)
    return {
        "role": subject.plan.role,
        "data": subject.plan.data,
        "architecture": subject.plan.architecture,
        "seed": subject.plan.seed,
        "budget": asdict(subject.plan.budget),
        "inputs": list(subject.images.train.shape[1:]),
        "images": [
            len(part)
            for part in (subject.images.train, subject.images.attacker, subject.images.held_out)
        ],
        **{key: subject.facts[key] for key in ("accuracy", "accuracy_train", "parameters")},
        "tensors": tensors,
    }


def _attacked(level: Cell, *, drawn: bool) -> Cell:
    """Keep what attacks attained, and of a decoder's curve what tells whether it was done."""
    kinds = {key: dict(level[key]) for key in ATTACKS}
    curve = kinds["decoder"].pop("curve")
    r2 = curve["r2"]
    kinds["decoder"] |= {
        "rounds": len(r2),
        "stopped": curve["stopped"],
        "late_gain": max(r2) - max(r2[: max(1, len(r2) * 2 // 3)]),
        **({"curve": r2} if drawn else {}),
    }
    return kinds


def provenance(*, quick: bool, jobs: int, elapsed_s: float) -> Cell:
    """Return when, where and with what a run was made."""
    packages = ("onnxprobe", "torch", "numpy", "scipy", "scikit-learn", "onnx")
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores of {_processor()}, a thread per network",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "quick": quick,
        "jobs": jobs,
        "elapsed_s": round(elapsed_s),
    }


def _processor() -> str:
    """Return the processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def rounded(value: Any, digits: int = 4) -> Any:  # noqa: ANN401 (any JSON)
    """Round every number of a JSON value to significant digits."""
    if isinstance(value, float):
        return float(f"{value:.{digits}g}")
    if isinstance(value, dict):
        return {key: rounded(item, digits) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item, digits) for item in value]
    return value
