"""Can the numbers be trusted? Bounds where they must hold, steps, samples, runs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.evidence.attacking import ATTACKS, attack, best_r2
from scripts.evidence.cells import Cell, Store
from scripts.evidence.data import Images, gaussian_twin
from scripts.evidence.experiments import (
    ESTIMATORS,
    LEVELS,
    Subject,
    analyse,
    decided,
    prepare,
)
from scripts.evidence.training import outputs

__all__ = ["bounds", "compared", "differences", "exact", "known_bounds", "runs", "sample_sizes"]

_STEPS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
_JACOBIANS = 64
_OTHERS = ("recoverable_dof", "bits", "dfil", "van_trees_mse")
_SIZES = (12, 25, 50, 100, 200, 400, 800, 1500)


def bounds(subject: Subject, store: Store) -> Cell:
    """Attack Gaussian images, for which the van Trees bound holds against everybody.

    Args:
        subject: A network trained on real images.
        store: Keeps the cells.

    Returns:
        Name, and by tensor and level the error of every attack, the bound that onnxprobe states,
        for whom the covariance is an estimate, and that of whoever drew the images.
    """
    twin = gaussian_twin(subject.images, seed=0)
    # The bound holds for the mean of JᵀJ over the prior: more samples than by default.
    many = replace(subject, plan=replace(subject.plan, samples=32))
    measured = analyse(many, store, twin)["tensors"]
    rows = []
    for depth, name in enumerate(subject.network.names):
        found = attack(subject, depth, store, twin)
        known = _known(subject, depth, twin, store)
        levels = zip(measured[name]["levels"], found["levels"], known, strict=True)
        for said, seen, true in levels:
            rows.append({
                "tensor": name,
                "s": said["s"],
                "bound": said["van_trees_mse"],
                "known": true,
                "attacks": {
                    kind: {key: seen[kind][key] for key in ("mse", "mse_error", "r2")}
                    # Pictures that nothing made better are those of another attack.
                    for kind in ATTACKS
                    if seen[kind].get("iterations") != 0
                },
            })
    return {"name": subject.plan.name, "rows": rows}


def _known(subject: Subject, depth: int, twin: Images, store: Store) -> list[float]:
    decides = {
        "kind": "bound",
        "model": hashlib.sha256(subject.path.read_bytes()).hexdigest(),
        "twin": twin.digest,
        "depth": depth,
        "count": _JACOBIANS,
        "levels": list(LEVELS),
        **decided(subject.images, ("data", "networks", "studies", "training")),
    }

    def compute() -> Cell:
        def release(image: torch.Tensor) -> torch.Tensor:
            return subject.network.upto(image[None], depth).flatten()

        rows = []
        for image in torch.from_numpy(twin.held_out[:_JACOBIANS]):
            jacobian = torch.func.jacrev(release)(image).detach()
            rows.append(jacobian.flatten(1).numpy().astype(np.float64))
        values = outputs(subject.network, twin.attacker, depth).astype(np.float64)
        noises = [s * float(np.sqrt(np.mean(values**2))) for s in LEVELS]
        flat = subject.images.attacker.reshape(len(subject.images.attacker), -1)
        covariance = np.cov(flat.T.astype(np.float64))
        return {"bounds": known_bounds(rows, covariance, noises)}

    found: list[float] = store.cell(decides, compute)["bounds"]
    return found


def known_bounds(
    jacobians: list[NDArray[np.float64]], covariance: NDArray[Any], noises: list[float]
) -> list[float]:
    """Return the van Trees bound for inputs of a known covariance, which may be singular.

    Computes ``tr((E[JᵀJ]/τ² + Σ⁻¹)⁻¹)/n`` as ``tr(L (I + Lᵀ E[JᵀJ] L/τ²)⁻¹ Lᵀ)/n``, Σ = L Lᵀ.

    Args:
        jacobians: At samples, shape (outputs, inputs) each.
        covariance: Of the inputs, shape (inputs, inputs).
        noises: Deviations τ, in units of the tensor.

    Returns:
        Mean squared error per input coordinate, for each τ.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0))
    energy = np.mean([(part @ root).T @ (part @ root) for part in jacobians], axis=0)
    inner = [np.linalg.inv(np.eye(len(root)) + energy / noise**2) for noise in noises]
    return [float(np.trace(root @ part @ root.T)) / len(root) for part in inner]


def differences(subject: Subject, store: Store) -> Cell:
    """Hold finite differences with several steps against exact derivatives.

    Args:
        subject: A network.
        store: Keeps the cells.

    Returns:
        By step, how far rank, effective rank and ρ are off over the tensors.
    """

    def analysed(**options: Any) -> Cell:  # noqa: ANN401 (the package's own)
        found: Cell = analyse(subject, store, **options)["tensors"]
        return found

    return {"name": subject.plan.name, "rows": compared(analysed)}


def compared(analysed: Callable[..., Cell]) -> list[Cell]:
    """Compare finite differences with exact derivatives, step by step.

    Args:
        analysed: Measures a network with options of `onnxprobe.analyze`; by tensor.

    Returns:
        By step, how far rank, effective rank and ρ are off at most over the tensors, and the
        median relative error of the others.
    """
    exact = analysed(jacobian="jvp")
    rows = []
    for step in ("auto", *_STEPS):
        seen = analysed(jacobian="fd", step=step)
        ranks, effective, shares = [], [], []
        others: dict[str, list[float]] = {key: [] for key in _OTHERS}
        for name, truth in exact.items():
            guess = seen.get(name, {"rank": None})
            if guess["rank"] is None or not guess["levels"]:
                continue
            ranks.append(abs(guess["rank"] - truth["rank"]))
            effective.append(abs(guess["effective_rank"] / truth["effective_rank"] - 1))
            pairs = zip(guess["levels"], truth["levels"], strict=True)
            for a, b in pairs:
                shares.append(a["high"] - b["high"])
                for key, errors in others.items():
                    if a[key] is not None and b[key]:
                        errors.append(abs(a[key] / b[key] - 1))
        if not ranks:
            continue
        rows.append({
            "step": step,
            "tensors": len(ranks),
            "wrong_ranks": int(np.count_nonzero(ranks)),
            "rank_error": float(max(ranks)),
            "effective_rank_error": float(max(effective)),
            "share_above": float(max(shares)),
            "share_below": float(-min(shares)),
            **{key: float(np.median(errors)) if errors else None for key, errors in others.items()},
        })
    return rows


def sample_sizes(subject: Subject, store: Store) -> Cell:
    """Measure with more and more samples.

    Args:
        subject: A network.
        store: Keeps the cells.

    Returns:
        By number of samples and tensor, estimates of DoF, and ρ and floor at the middle level.
    """
    rows = []
    for size in _SIZES:
        if size <= len(subject.images.attacker):
            fewer = replace(subject, plan=replace(subject.plan, data_limit=size))
            seen = analyse(fewer, store)["tensors"]
            rows.append({
                "samples": size,
                "tensors": {
                    name: {
                        "dof": said["dof"],
                        "dof_status": said["dof_status"],
                        **{key: said["others"][key] for key in ESTIMATORS},
                        **{key: said["levels"][1][key] for key in ("high", "attained")},
                    }
                    for name, said in seen.items()
                },
            })
    return {"name": subject.plan.name, "rows": rows}


def exact(subject: Subject, store: Store) -> int:
    """Return of how many tensors onnxprobe takes exact derivatives; of others it takes differences.

    Args:
        subject: A network.
        store: Keeps the cell.

    Returns:
        How many.
    """
    few = replace(subject, plan=replace(subject.plan, data_limit=8, samples=1))
    return len(analyse(few, store, jacobian="jvp")["tensors"])


def runs(subject: Subject, store: Store, seeds: int = 3) -> Cell:
    """Train, measure and attack again with other seeds.

    Args:
        subject: A network.
        store: Keeps the cells.
        seeds: How many runs, the subject's own among them.

    Returns:
        By tensor, the measures and the best R² of each run at the middle level.
    """
    rows: dict[str, list[Cell]] = {name: [] for name in subject.network.names}
    for seed in range(seeds):
        again = prepare(replace(subject.plan, seed=seed), subject.images, store)
        measured = analyse(again, store)["tensors"]
        for depth, name in enumerate(rows):
            # The same cells as those of the network itself.
            kinds = attack(again, depth, store, rounded=again.is_rounded(depth))["levels"][1]
            said = measured[name]
            rows[name].append({
                "rank": said["rank"],
                "dof": said["dof"],
                **{key: said["levels"][1][key] for key in ("high", "attained")},
                "attack": best_r2(kinds),
            })
    return {"name": subject.plan.name, "rows": rows}
