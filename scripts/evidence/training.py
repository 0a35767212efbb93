"""Training of a classifier, and its export as an .onnx file that puts out every step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from scripts.evidence.data import Images
from scripts.evidence.networks import Chain, build

__all__ = ["accuracy", "export", "fit", "outputs", "train"]

_BATCH = 64


def train(architecture: str, images: Images, *, epochs: int, seed: int) -> Chain:
    """Train a network from scratch.

    Args:
        architecture: One of `networks.ARCHITECTURES`.
        images: What it learns from.
        epochs: Passes over the training part.
        seed: Of weights and order.

    Returns:
        The network, in evaluation mode.
    """
    torch.manual_seed(seed)
    channels, height, width = images.train.shape[1:]
    pixels = (float(images.train.mean()), float(images.train.std()))
    network = build(architecture, (channels, height, width), images.classes, pixels)
    fit(network, images.train, images.train_labels, epochs=epochs, seed=seed)
    return network


def fit(
    network: Chain,
    images: NDArray[np.float32],
    labels: NDArray[np.int64],
    *,
    epochs: int,
    seed: int,
) -> None:
    """Train a network further, by Adam with a rate that falls to nothing.

    Args:
        network: Changed in place; in evaluation mode afterwards.
        images: Of shape (samples, channels, height, width).
        labels: Of shape (samples,).
        epochs: Passes over the images.
        seed: Of the order.
    """
    x, y = torch.from_numpy(images), torch.from_numpy(labels)
    order = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    steps = epochs * (len(x) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, max(steps, 1))
    network.train()
    for _ in range(epochs):
        shuffled = torch.randperm(len(x), generator=order)
        for start in range(0, len(x) - _BATCH + 1, _BATCH):
            batch = shuffled[start : start + _BATCH]
            loss = nn.functional.cross_entropy(network(x[batch])[-1], y[batch])
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
    network.eval()


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
