"""Training of a classifier, and its export as an .onnx file that puts out every step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scripts.evidence.data import Images
from scripts.evidence.networks import Chain, build

__all__ = ["accuracy", "export", "fresh", "learn", "outputs", "train"]

_BATCH, _RATE = 64, 3e-3


def fresh(architecture: str, images: Images, seed: int = 0) -> Chain:
    """Return an untrained network for these images."""
    torch.manual_seed(seed)
    channels, height, width = images.train.shape[1:]
    pixels = (float(images.train.mean()), float(images.train.std()))
    return build(architecture, (channels, height, width), images.classes, pixels)


def train(architecture: str, images: Images, *, epochs: int, seed: int) -> Chain:
    """Train a network from scratch, by Adam with a rate that falls to nothing.

    Args:
        architecture: One of `networks.ARCHITECTURES`.
        images: What it learns from.
        epochs: Passes over the training part.
        seed: Of weights and order.

    Returns:
        The network, in evaluation mode.
    """
    network = fresh(architecture, images, seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
    steps = epochs * (len(images.train) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, max(steps, 1))
    order = torch.Generator().manual_seed(seed)
    whole = len(images.train) // _BATCH * _BATCH
    for _ in range(epochs):
        shuffled = torch.randperm(len(images.train), generator=order)
        for batch in torch.split(shuffled[:whole], _BATCH):
            learn(network, optimiser, images.train[batch], images.train_labels[batch])
            schedule.step()
    return network.eval()


def learn(
    network: Chain,
    optimiser: torch.optim.Optimizer,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> None:
    """Take one step of training on one batch; the network is in training mode afterwards."""
    network.train()
    logits = network(torch.from_numpy(images))[-1]
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(labels))
    optimiser.zero_grad()
    torch.autograd.backward(loss)
    optimiser.step()


def accuracy(network: Chain, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the share of images that are classified correctly."""
    logits = outputs(network, images, len(network.names) - 1)
    return float(np.mean(logits.argmax(1) == labels))


def outputs(network: Chain, images: NDArray[np.float32], depth: int) -> NDArray[np.float32]:
    """Return what the step at ``depth`` puts out, for all images, batch by batch."""
    with torch.no_grad():
        parts = [network.upto(part, depth) for part in torch.split(torch.from_numpy(images), 256)]
    values: NDArray[np.float32] = torch.cat(parts).numpy()
    return values


def export(network: Chain, shape: tuple[int, ...], path: Path) -> None:
    """Write the network as an .onnx file whose outputs are its steps, by their names.

    Args:
        network: In evaluation mode.
        shape: Of one image.
        path: Of the file.
    """
    torch.onnx.export(
        network,
        (torch.zeros(2, *shape),),
        str(path),
        dynamo=False,
        opset_version=17,
        input_names=["image"],
        output_names=network.names,
        dynamic_axes={name: {0: "batch"} for name in ["image", *network.names]},
    )
