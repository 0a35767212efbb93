"""Measures over training of a network that learns its images by heart, and who notices."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import onnxprobe
from scripts.evidence.cells import Cell, Store, source_digest
from scripts.evidence.data import Images
from scripts.evidence.experiments import Plan, decided
from scripts.evidence.networks import Chain
from scripts.evidence.training import accuracy, export, fresh, learn, outputs

__all__ = ["auc", "over_training", "probe_auc", "tensor_auc"]

_EPOCHS = (0, 1, 2, 4, 8, 16, 32, 64, 128)
_MEMBERS, _BATCH, _RATE = 400, 20, 1e-3
_FOLDS, _COMPONENTS = 4, 32
_CODE = ("data", "membership", "networks", "training")


def auc(members: NDArray[Any], others: NDArray[Any]) -> float:
    """Return the probability that a member has the lower value, ties counting half."""
    target = np.repeat([1, 0], [len(members), len(others)])
    return float(roc_auc_score(target, -np.concatenate([members, others])))


def tensor_auc(members: NDArray[Any], others: NDArray[Any], seed: int = 0) -> float:
    """Attack membership on one tensor by logistic regression that knows three in four of either.

    Features are the leading components and the distance from the mean, which overfitting moves.

    Args:
        members: The tensor at images of the training, shape (m, ...).
        others: At others, shape (n, ...).
        seed: Of the division.

    Returns:
        Area under the curve over all parts, each told by an attacker who learnt from the others.
    """
    values = np.concatenate([members, others]).reshape(len(members) + len(others), -1)
    target = np.repeat([1, 0], [len(members), len(others)])
    features = PCA(min(_COMPONENTS, *values.shape), random_state=seed).fit_transform(values)
    distance = np.linalg.norm(values - values.mean(axis=0), axis=1, keepdims=True)
    attacker = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    parts = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_predict(
        attacker, np.hstack([features, distance]), target, cv=parts, method="decision_function"
    )
    return auc(-scores[target == 1], -scores[target == 0])


def probe_auc(
    members: NDArray[Any],
    labels: NDArray[np.int64],
    others: NDArray[Any],
    other_labels: NDArray[np.int64],
    seed: int = 0,
) -> float:
    """Attack membership on one tensor by the loss of a probe that learnt from known members.

    Whoever knows of three in four members, and the class of every image, learns to tell classes
    from the tensor of those; images of which the class is told well are taken for members. The
    probe stands for the rest of the network, which the attacker need not have.

    Args:
        members: The tensor at images of the training, shape (m, ...).
        labels: Their classes, shape (m,).
        others: At others, shape (n, ...).
        other_labels: Their classes, shape (n,).
        seed: Of the division.

    Returns:
        Area under the curve over the members that no probe knew, and as many parts of the others.

    Source:
        After Yeom et al. 2018, who take the loss of the network itself.
    """
    known, unknown = (part.reshape(len(part), -1) for part in (members, others))
    inner, outer = np.zeros(len(known)), np.zeros(len(unknown))
    folds = KFold(_FOLDS, shuffle=True, random_state=seed)
    for (learnt, asked), (_, part) in zip(folds.split(known), folds.split(unknown), strict=True):
        probe = make_pipeline(
            StandardScaler(),
            PCA(min(_COMPONENTS, known.shape[1], len(learnt)), random_state=seed),
            LogisticRegression(max_iter=500),
        )
        probe.fit(known[learnt], labels[learnt])
        inner[asked] = _probe_losses(probe, known[asked], labels[asked])
        outer[part] = _probe_losses(probe, unknown[part], other_labels[part])
    return auc(inner, outer)


def over_training(plan: Plan, images: Images, store: Store) -> Cell:
    """Train on few images until they are known by heart, and measure on the way.

    Args:
        plan: Architecture and seed.
        images: Few of whose training part are learnt; those held out are no members.
        store: Keeps the cells.

    Returns:
        By checkpoint the accuracies, the AUC of a threshold on the loss, and by tensor DoF, rank,
        the AUC of attacks on it alone, and what onnxprobe says of membership; ``tracked``, CV and
        MCR of every tensor as `onnxprobe track` tells them.
    """
    decides = {
        "architecture": plan.architecture,
        "seed": plan.seed,
        "epochs": list(_EPOCHS),
        "samples": plan.samples,
        "package": source_digest(Path(onnxprobe.__file__).parent.rglob("*.py")),
        **decided(images, _CODE),
    }
    taught = {**decides, "kind": "overfit"}
    weights = store.path(taught, ".pt")
    store.cell(taught, lambda: _overfit(plan, images, weights))
    states = torch.load(weights, weights_only=True)
    checkpoints, reports = [], []
    for epoch in _EPOCHS:
        network = fresh(plan.architecture, images)
        network.load_state_dict(states[epoch])
        network.eval()
        each = {**decides, "kind": "checkpoint", "epoch": epoch}
        reports.append(store.path(each, ".report.json"))
        path = store.path(each, ".onnx")

        def compute(network: Chain = network, path: Path = path, epoch: int = epoch) -> Cell:
            return _checkpoint(plan, images, network, path, epoch)

        checkpoints.append(store.cell(each, compute))
    output = store.path({**decides, "kind": "tracked"}, ".json")
    _track(reports, output)
    series = json.loads(output.read_text())["series"]
    # In the order of the network, which a cell does not keep; what is not known is left out.
    tracked: Cell = {
        name: {}
        for name in fresh(plan.architecture, images).names
        if all(_is_known(point["tensors"].get(name)) for point in checkpoints)
    }
    for each in series:
        if each["tensor"] in tracked:
            tracked[each["tensor"]][each["measure"]] = {key: each[key] for key in ("cv", "mcr")}
    return {
        "name": plan.name,
        "seed": plan.seed,
        "members": min(_MEMBERS, len(images.train)),
        "others": len(images.held_out),
        "checkpoints": checkpoints,
        "tracked": tracked,
    }


def _overfit(plan: Plan, images: Images, weights: Path) -> Cell:
    members, labels = images.train[:_MEMBERS], images.train_labels[:_MEMBERS]
    network = fresh(plan.architecture, images, plan.seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    order = torch.Generator().manual_seed(plan.seed)
    states = {}
    for epoch in range(max(_EPOCHS) + 1):
        if epoch in _EPOCHS:
            states[epoch] = {key: value.clone() for key, value in network.state_dict().items()}
        for batch in torch.split(torch.randperm(len(members), generator=order), _BATCH):
            learn(network, optimiser, members[batch], labels[batch])
    torch.save(states, weights)
    return {"parameters": sum(value.numel() for value in network.parameters())}


def _checkpoint(plan: Plan, images: Images, network: Chain, path: Path, epoch: int) -> Cell:
    export(network, images.train.shape[1:], path)
    members = (images.train[:_MEMBERS], images.train_labels[:_MEMBERS])
    others = (images.held_out, images.held_out_labels)
    report = onnxprobe.analyze(
        path,
        members[0],
        include=network.names,
        samples=plan.samples,
        threads=1,
        seed=0,
        members=members[0],
        non_members=others[0],
    )
    path.with_suffix(".report.json").write_text(report.model_dump_json())
    tensors: Cell = {}
    for tensor in report.tensors:
        depth = network.names.index(tensor.name)
        inner, outer = (outputs(network, part[0], depth) for part in (members, others))
        tensors[tensor.name] = {
            "dof": tensor.dof.value if tensor.dof else None,
            "rank": tensor.jacobian.rank.median
            if tensor.jacobian and tensor.jacobian.rank
            else None,
            "auc": tensor_auc(inner, outer),
            "probe": probe_auc(inner, members[1], outer, others[1]),
            "told": {each.statistic: each.auc for each in tensor.membership},
        }
    return {
        "epoch": epoch,
        "accuracy_members": accuracy(network, *members),
        "accuracy_others": accuracy(network, *others),
        "auc": auc(_losses(network, *members), _losses(network, *others)),
        "tensors": tensors,
    }


def _is_known(tensor: Cell | None) -> bool:
    return bool(tensor and tensor["told"] and None not in (tensor["dof"], tensor["rank"]))


def _track(reports: list[Path], output: Path) -> None:
    """Run the command that an auditor would."""
    command = [sys.executable, "-m", "onnxprobe", "track", *map(str, reports), "--quiet"]
    subprocess.run([*command, "-o", str(output)], check=True)


def _losses(
    network: Chain, images: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    logits = torch.from_numpy(outputs(network, images, len(network.names) - 1))
    losses = nn.functional.cross_entropy(logits, torch.from_numpy(labels), reduction="none")
    return np.asarray(losses.numpy(), np.float64)


def _probe_losses(
    probe: Any,  # noqa: ANN401 (scikit-learn has no types)
    values: NDArray[Any],
    labels: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return cross-entropies; of a class that the probe never saw, the largest there is."""
    shares = np.full((len(values), int(labels.max()) + 1), 1e-6)
    known = [label for label in probe.classes_ if label < shares.shape[1]]
    shares[:, known] = probe.predict_proba(values)[:, : len(known)]
    return np.asarray(-np.log(np.maximum(shares[np.arange(len(labels)), labels], 1e-6)))
