"""The cells: training, analysis and attack of one network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import onnxprobe
from scripts.evidence.attacks import Budget
from scripts.evidence.cells import Cell, Store, source_digest
from scripts.evidence.data import Images
from scripts.evidence.networks import Chain
from scripts.evidence.training import accuracy, export, fresh, train

__all__ = [
    "ESTIMATORS",
    "LEVELS",
    "ROUNDED",
    "Plan",
    "Subject",
    "analyse",
    "decided",
    "measures",
    "prepare",
]

LEVELS = (0.03, 0.1, 0.3)
#: A release without noise, but of eight bits.
ROUNDED = "int8"
#: Of degrees of freedom, beside the effective rank.
ESTIMATORS = ("participation_ratio", "energy_95", "two_nn")
_HERE = Path(__file__).parent
_PACKAGE = Path(onnxprobe.__file__).parent


@dataclass(frozen=True)
class Plan:
    """What is done to a network."""

    architecture: str
    data: str
    role: str
    epochs: int
    seed: int = 0
    samples: int = 4
    data_limit: int = 1000
    budget: Budget = field(default_factory=Budget)

    @property
    def name(self) -> str:
        """Data and architecture."""
        return f"{self.data}-{self.architecture}"


@dataclass(frozen=True)
class Subject:
    """A trained network, its file and its images."""

    plan: Plan
    images: Images
    network: Chain
    path: Path
    facts: Cell

    def is_rounded(self, depth: int) -> bool:
        """Say whether a step is one of the last two, which are handed out as embeddings."""
        return depth >= len(self.network.names) - 2


def prepare(plan: Plan, images: Images, store: Store) -> Subject:
    """Train and export a network, or load what is kept.

    Args:
        plan: What to train.
        images: What it learns from.
        store: Where the weights and the .onnx file are kept.

    Returns:
        The network.
    """
    decides = {
        "kind": "train",
        "architecture": plan.architecture,
        "epochs": plan.epochs,
        "seed": plan.seed,
        **decided(images, ("data", "networks", "training")),
    }
    weights, path = store.path(decides, ".pt"), store.path(decides, ".onnx")

    def compute() -> Cell:
        network = train(plan.architecture, images, epochs=plan.epochs, seed=plan.seed)
        torch.save(network.state_dict(), weights)
        export(network, images.train.shape[1:], path)
        return {
            "parameters": sum(value.numel() for value in network.parameters()),
            "accuracy_train": accuracy(network, images.train, images.train_labels),
            "accuracy": accuracy(network, images.held_out, images.held_out_labels),
        }

    facts = store.cell(decides, compute)
    network = fresh(plan.architecture, images)
    network.load_state_dict(torch.load(weights, weights_only=True))
    # Attacks descend to images alone.
    network.eval().requires_grad_(requires_grad=False)
    network.to(memory_format=torch.channels_last)
    return Subject(plan, images, network, path, facts)


def analyse(
    subject: Subject,
    store: Store,
    others: Images | None = None,
    *,
    blind: bool = False,
    **options: Any,  # noqa: ANN401 (the package's own, which it checks)
) -> Cell:
    """Measure a network with onnxprobe alone.

    Args:
        subject: The network.
        store: Keeps the cell.
        others: Whose attacker's part is the auditor's sample; the subject's own if not given.
        blind: Whether the package gets no data at all, and draws its own.
        options: Further options of `onnxprobe.analyze`.

    Returns:
        By tensor, what `measures` says.
    """
    images = others or subject.images
    plan = subject.plan
    # The auditor knows what the attacker knows, and none of the images that are attacked.
    every = max(1, len(images.attacker) // plan.data_limit)
    data = None if blind else images.attacker[::every][: plan.data_limit]
    settings: Cell = {"samples": plan.samples, "noise": [*LEVELS, ROUNDED], "seed": 0, **options}
    decides = {
        "kind": "analyse",
        "model": hashlib.sha256(subject.path.read_bytes()).hexdigest(),
        "settings": settings,
        "count": 0 if data is None else len(data),
        "package": source_digest(_PACKAGE.rglob("*.py")),
        **decided(images, ("data", "experiments")),
    }

    def compute() -> Cell:
        report = onnxprobe.analyze(
            subject.path, data, include=subject.network.names, threads=1, **settings
        )
        return {"tensors": {tensor.name: measures(tensor) for tensor in report.tensors}}

    return store.cell(decides, compute)


def measures(tensor: Any) -> Cell:  # noqa: ANN401 (a record of a report)
    """Return what of a report's tensor is held against attacks."""
    jacobian, dof = tensor.jacobian, tensor.dof
    releases = {release.noise: _release(release) for release in tensor.release}
    rounded = releases.pop(ROUNDED, None)
    return {
        "status": str(tensor.status),
        "size": int(np.prod(tensor.shape)),
        "rank": jacobian.rank.median if jacobian and jacobian.rank else None,
        "share": jacobian.share if jacobian else None,
        "effective_rank": jacobian.effective_rank.median
        if jacobian and jacobian.effective_rank
        else None,
        "dof": dof.value if dof else None,
        "dof_status": str(dof.status) if dof else None,
        "dof_share": dof.share if dof else None,
        "others": {key: getattr(dof, key) if dof else None for key in ESTIMATORS},
        "levels": list(releases.values()),
        **({ROUNDED: rounded} if rounded else {}),
    }


def _release(release: Any) -> Cell:  # noqa: ANN401 (a record of a report)
    share, median = release.recoverable, release.recoverable_median
    return {
        "s": release.s,
        "low": share.low if share else None,
        "high": share.high if share else None,
        "median": median.high if median else None,
        "attained": release.attained,
        "recoverable_dof": release.recoverable_dof.max if release.recoverable_dof else None,
        "bits": release.bits.max if release.bits else None,
        "dfil": release.dfil.max if release.dfil else None,
        "unbiased_mse": release.unbiased_mse,
        "van_trees_mse": release.van_trees_mse,
    }


def decided(images: Images, modules: Iterable[str]) -> Cell:
    """Say what every cell depends on.

    Args:
        images: The images.
        modules: Of these scripts, by name.

    Returns:
        As JSON can hold it.
    """
    # Images of other data sets do not depend on how photographs are cut.
    shown = ["photographs"] if images.name.startswith("photos") else []
    return {
        "images": images.digest,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "code": source_digest(_HERE / f"{name}.py" for name in [*modules, *shown]),
    }
