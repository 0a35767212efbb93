"""Further measures and attacks: no data, naive ranks, unbiased attackers, few directions."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import onnxprobe
from scripts.evidence.cells import Cell, Store, source_digest
from scripts.evidence.experiments import LEVELS, Subject, analyse, decided, measures
from scripts.evidence.studies import compared
from scripts.evidence.training import outputs

__all__ = ["beside", "few_directions", "halves", "naive_ranks", "unbiased"]

_ROOT = Path(__file__).resolve().parents[2]
_HALVES = "digits_cnn_float16"
_STEP, _AT = 1e-3, 4
_DRAWS = 200
_DIRECTIONS = (4, 8, 16, 32)


def beside(subject: Subject, store: Store) -> Cell:
    """Measure a network under other priors, and by naive means.

    Args:
        subject: A network.
        store: Keeps the cells.

    Returns:
        By tensor: ``blind`` and ``isotropic``, ρ for each level without any data under the image
        prior, and under an isotropic one; ``naive_rank``, a share.
    """
    kinds = {
        "blind": analyse(subject, store, blind=True, images={"scale": 1 / 255}),
        "isotropic": analyse(subject, store, prior="isotropic"),
    }
    ranks = naive_ranks(subject, store)
    return {
        name: {
            "naive_rank": ranks[name],
            **{
                kind: [level["high"] for level in found["tensors"][name]["levels"]]
                for kind, found in kinds.items()
            },
        }
        for name in subject.network.names
        if all(name in found["tensors"] for found in kinds.values())
    }


def naive_ranks(subject: Subject, store: Store) -> dict[str, float]:
    """Rank tensors' Jacobians as one would without care: differences, and numpy's tolerance.

    Args:
        subject: A network.
        store: Keeps the cell.

    Returns:
        By tensor the rank per input, median over four images.
    """
    decides = {
        "kind": "naive",
        "model": hashlib.sha256(subject.path.read_bytes()).hexdigest(),
        "step": _STEP,
        **decided(subject.images, ("data", "networks", "further")),
    }

    def compute() -> Cell:
        ranks: dict[str, list[float]] = {name: [] for name in subject.network.names}
        for image in torch.from_numpy(subject.images.attacker[:_AT]):
            moves = _STEP * torch.eye(image.numel()).reshape(-1, *image.shape)
            with torch.no_grad():
                pairs = zip(
                    subject.network(image + moves), subject.network(image - moves), strict=True
                )
                for name, (above, below) in zip(ranks, pairs, strict=True):
                    jacobian = ((above - below) / (2 * _STEP)).flatten(1).numpy()
                    rank = int(np.linalg.matrix_rank(jacobian))
                    ranks[name].append(rank / image.numel())
        return {"ranks": {name: float(np.median(found)) for name, found in ranks.items()}}

    found: dict[str, float] = store.cell(decides, compute)["ranks"]
    return found


def unbiased(subject: Subject, store: Store) -> Cell:
    """Attack the first tensor, which is linear, by least squares: no attacker is less biased.

    Args:
        subject: A network whose first tensor is linear in the image and holds all of it.
        store: Keeps the cells.

    Returns:
        By level the error over noise, its standard error, and the bound that dFIL gives.
    """
    said = analyse(subject, store)["tensors"][subject.network.names[0]]
    decides = {
        "kind": "unbiased",
        "model": hashlib.sha256(subject.path.read_bytes()).hexdigest(),
        "bounds": [level["unbiased_mse"] for level in said["levels"]],
        **decided(subject.images, ("data", "networks", "training", "further")),
    }
    return store.cell(decides, lambda: _unbiased(subject, said))


def _unbiased(subject: Subject, said: Cell) -> Cell:
    name = subject.network.names[0]
    image = torch.from_numpy(subject.images.held_out[0])
    jacobian = torch.func.jacrev(lambda x: subject.network.upto(x[None], 0).flatten())(image)
    matrix = jacobian.detach().flatten(1).numpy().astype(np.float64)
    values = np.linalg.svd(matrix, compute_uv=False)
    clean = outputs(subject.network, subject.images.held_out[:2], 0).reshape(2, -1)
    step = (subject.images.held_out[1] - subject.images.held_out[0]).ravel()
    is_linear = np.allclose(clean[1] - clean[0], matrix @ step, atol=1e-3 * np.abs(clean).max())
    if not is_linear or values.size < image.numel() or values[-1] < 1e-4 * values[0]:
        return {"name": subject.plan.name, "tensor": name, "rows": []}
    inverse = np.linalg.pinv(matrix)
    known = outputs(subject.network, subject.images.attacker, 0).astype(np.float64)
    rms = float(np.sqrt(np.mean(known**2)))
    rng = np.random.default_rng(0)
    rows = []
    for s, level in zip(LEVELS, said["levels"], strict=True):
        noise = s * rms * rng.standard_normal((_DRAWS, len(matrix)))
        # Least squares is unbiased: its error is that of the noise alone.
        errors = np.mean((noise @ inverse.T) ** 2, axis=1)
        rows.append({
            "s": s,
            "error": float(errors.mean()),
            "standard_error": float(errors.std(ddof=1) / _DRAWS**0.5),
            "bound": level["unbiased_mse"],
        })
    return {"name": subject.plan.name, "tensor": name, "rows": rows}


def few_directions(subject: Subject, store: Store) -> Cell:
    """See Jacobians through few directions and through all.

    Args:
        subject: A network.
        store: Keeps the cells.

    Returns:
        By number of directions and prior, means over tensors, relative to all directions.
    """
    size = int(np.prod(subject.images.train.shape[1:]))
    rows = []
    for prior in ("data", "isotropic"):
        whole = analyse(subject, store, directions=size, prior=prior)["tensors"]
        for count in (*_DIRECTIONS, size):
            seen = analyse(subject, store, directions=count, prior=prior)["tensors"]
            rows.append({"prior": prior, "directions": count, **_tightness(seen, whole)})
    return {"name": subject.plan.name, "rows": rows}


def _tightness(seen: Cell, whole: Cell) -> Cell:
    at = 1
    ratios: dict[str, list[float]] = {"rank": [], "recoverable_dof": [], "bits": [], "dfil": []}
    ends: dict[str, list[float]] = {"low": [], "high": [], "truth": []}
    outside = 0
    for name, truth in whole.items():
        mine, full = seen[name], truth["levels"][at]
        level = mine["levels"][at]
        ratios["rank"].append(mine["rank"] / truth["rank"])
        for key in ("recoverable_dof", "bits", "dfil"):
            ratios[key].append(level[key] / full[key])
        for key in ("low", "high"):
            ends[key].append(level[key])
        ends["truth"].append(full["high"])
        outside += not level["low"] - 1e-3 <= full["high"] <= level["high"] + 1e-3
    means = {key: float(np.mean(values)) for key, values in (ratios | ends).items()}
    return {**means, "outside": outside, "tensors": len(whole)}


def halves(store: Store) -> Cell:
    """Hold finite differences against exact derivatives of a network that computes in float16.

    Args:
        store: Keeps the cells.

    Returns:
        As `studies.differences`.
    """
    path = _ROOT / "models" / f"{_HALVES}.onnx"
    with np.load(_ROOT / "models" / "digits.npz") as file:
        data: NDArray[np.float16] = (file["images"][:256, None] / 255).astype(np.float16)

    def analysed(**options: Any) -> Cell:  # noqa: ANN401 (the package's own)
        decides = {
            "kind": "halves",
            "model": hashlib.sha256(path.read_bytes()).hexdigest(),
            "images": hashlib.sha256(data.tobytes()).hexdigest(),
            "options": options,
            "package": source_digest(Path(onnxprobe.__file__).parent.rglob("*.py")),
            "code": source_digest(_ROOT / "scripts" / "evidence" / f"{name}.py"
                                  for name in ("experiments", "further")),
        }  # fmt: skip

        def compute() -> Cell:
            report = onnxprobe.analyze(path, data, threads=1, noise=LEVELS, **options)
            return {"tensors": {tensor.name: measures(tensor) for tensor in report.tensors}}

        found: Cell = store.cell(decides, compute)["tensors"]
        return found

    return {"name": _HALVES, "rows": compared(analysed)}
