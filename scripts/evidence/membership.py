"""Measures over training of a network that learns its images by heart, and who notices."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from scripts.evidence.cells import Cell, Store
from scripts.evidence.data import Images
from scripts.evidence.experiments import Plan, Subject, analyse
from scripts.evidence.networks import Chain
from scripts.evidence.training import accuracy, export, fresh, learn, outputs

__all__ = ["auc", "over_training", "tensor_auc"]

EPOCHS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
_MEMBERS = 200


def auc(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the probability that a member has the lower value, ties counting half."""
    ranks = rankdata(np.concatenate([members, others]))[: len(members)]
    pairs = len(members) * len(others)
    return float(1 - (ranks.sum() - len(members) * (len(members) + 1) / 2) / pairs)


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
    features = PCA(min(32, *values.shape), random_state=seed).fit_transform(values)
    distance = np.linalg.norm(values - values.mean(axis=0), axis=1, keepdims=True)
    attacker = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    parts = StratifiedKFold(4, shuffle=True, random_state=seed)
    scores = cross_val_predict(
        attacker, np.hstack([features, distance]), target, cv=parts, method="decision_function"
    )
    return auc(-scores[target == 1], -scores[target == 0])


def over_training(plan: Plan, images: Images, store: Store) -> Cell:
    """Train on few images until they are known by heart, and measure on the way.

    Args:
        plan: Architecture and seed.
        images: Few of whose training part are learnt; those held out are no members.
        store: Keeps the cells.

    Returns:
        By checkpoint the accuracies, the AUC of a threshold on the loss, and by tensor DoF, rank
        and the AUC of an attack on it alone.
    """
    members, labels = images.train[:_MEMBERS], images.train_labels[:_MEMBERS]
    network = fresh(plan.architecture, images, plan.seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    order = torch.Generator().manual_seed(plan.seed)
    checkpoints = []
    for epoch in range(max(EPOCHS) + 1):
        if epoch in EPOCHS:
            network.eval()
            checkpoints.append(_checkpoint(plan, images, network, epoch, store))
        for batch in torch.split(torch.randperm(len(members), generator=order), 20):
            learn(network, optimiser, members[batch], labels[batch])
    return {"name": plan.name, "members": _MEMBERS, "checkpoints": checkpoints}


def _checkpoint(plan: Plan, images: Images, network: Chain, epoch: int, store: Store) -> Cell:
    decides = {
        "kind": "checkpoint",
        "architecture": plan.architecture,
        "seed": plan.seed,
        "epoch": epoch,
        "images": images.digest,
    }
    path = store.path(decides, ".onnx")
    export(network, images.train.shape[1:], path)
    measured = analyse(Subject(plan, images, network, path, {}), store)["tensors"]
    members = (images.train[:_MEMBERS], images.train_labels[:_MEMBERS])
    others = (images.held_out, images.held_out_labels)
    return {
        "epoch": epoch,
        "accuracy_members": accuracy(network, *members),
        "accuracy_others": accuracy(network, *others),
        "auc": auc(_losses(network, *members), _losses(network, *others)),
        "tensors": {
            name: {
                **{key: measured[name][key] for key in ("dof", "rank", "effective_rank")},
                "auc": tensor_auc(
                    outputs(network, members[0], depth), outputs(network, others[0], depth)
                ),
            }
            for depth, name in enumerate(network.names)
        },
    }


def _losses(
    network: Chain, images: NDArray[np.float32], labels: NDArray[np.int64]
) -> NDArray[np.float64]:
    logits = torch.from_numpy(outputs(network, images, len(network.names) - 1))
    losses = nn.functional.cross_entropy(logits, torch.from_numpy(labels), reduction="none")
    return np.asarray(losses.numpy(), np.float64)
