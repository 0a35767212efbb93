"""One recipe that trains every PyTorch network here."""

from typing import TypeVar

import torch
from torch import Tensor, nn

BATCH = 64

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def train(
    network: NetworkT, inputs: Tensor, labels: Tensor, *, epochs: int, rate: float
) -> NetworkT:
    """Fit a network and return it in evaluation mode.

    Args:
        network: Freshly initialised.
        inputs: Training samples, shape (n, ...).
        labels: Their classes, shape (n,).
        epochs: Passes over the samples.
        rate: Highest learning rate, reached after 30 % of the steps.

    Returns:
        The same network.
    """
    steps = len(labels) // BATCH
    loss = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, total_steps=epochs * steps
    )
    network.train()
    for _ in range(epochs):
        # The last, smaller batch is dropped: batch normalisation dislikes it.
        for batch in torch.randperm(len(labels))[: steps * BATCH].reshape(steps, BATCH):
            optimizer.zero_grad()
            loss(network(inputs[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()
