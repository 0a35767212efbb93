"""Decoders: networks trained to draw the image of a noisy tensor."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from scripts.evidence.attacks import Budget, split

__all__ = ["Curve", "decode"]

Floats = NDArray[np.float32]
#: Validation R² after each round, and whether it had stopped improving at the end.
Curve = dict[str, Any]
_BATCHES, _BATCH = 60, 64
# Validation has stopped improving if four rounds gained less than 0.001, and four more at a
# quarter of the rate, and four more at a quarter of that.
_PATIENCE, _GAIN, _CUTS = 4, 1e-3, 2


def decode(
    tensor: Floats,
    images: Floats,
    attacked: Sequence[Floats],
    noises: Sequence[float],
    budget: Budget,
    seed: int,
) -> tuple[list[Floats], list[Curve]]:
    """Reconstruct by a trained decoder: convolutions for maps, else a multilayer perceptron.

    Args:
        tensor: What the attacker's images give, shape (samples, ...), without noise.
        images: The attacker's images, shape (samples, channels, height, width).
        attacked: The noisy tensors of unknown images, for each level.
        noises: Deviation of the noise of each level, in units of the tensor, ascending.
        budget: What may be spent.
        seed: Of weights, order and noise.

    Returns:
        Reconstructions for each level, and how training went.
    """
    torch.manual_seed(seed)
    learn, check = split(min(len(tensor), budget.decoder_images))
    z, x = torch.from_numpy(tensor), torch.from_numpy(images)
    mean, unit = z[learn].mean(0), z[learn].std() + 1e-12
    image_mean, spread = x[learn].mean(0), x[learn].std()
    decoder = _decoder(tuple(z.shape[1:]), tuple(x.shape[1:])).to(memory_format=torch.channels_last)

    def guess(seen: Tensor) -> Tensor:
        image: Tensor = decoder((seen - mean) / unit) * spread + image_mean
        return image

    results, curves = [], []
    for level, (noise, unknown) in enumerate(zip(noises, attacked, strict=True)):
        noisy = z[check] + noise * torch.randn_like(z[check])
        scale = float(torch.mean((x[check] - image_mean) ** 2))

        def validate(noisy: Tensor = noisy, scale: float = scale) -> float:
            with torch.no_grad():
                parts = [guess(part) for part in torch.split(noisy, 256)]
            return 1 - float(torch.mean((torch.cat(parts) - x[check]) ** 2)) / scale

        curves.append(_improve(decoder, guess, z[learn], x[learn], noise, validate, level, budget))
        with torch.no_grad():
            parts = [guess(part) for part in torch.split(torch.from_numpy(unknown), 256)]
        results.append(torch.cat(parts).numpy())
    return results, curves


def _improve(
    decoder: nn.Module,
    guess: Callable[[Tensor], Tensor],
    z: Tensor,
    x: Tensor,
    noise: float,
    validate: Callable[[], float],
    level: int,
    budget: Budget,
) -> Curve:
    """Train until validation stops improving or the budget ends, and keep the best weights."""
    rate = 2e-3 if level == 0 else 1e-3
    optimiser = torch.optim.Adam(decoder.parameters(), lr=rate)
    curve: list[float] = []
    best: dict[str, Any] = {}
    mark, idle, cuts = -np.inf, 0, 0
    while len(curve) < budget.rounds[min(level, 1)] and cuts <= _CUTS:
        for _ in range(_BATCHES):
            batch = torch.randint(len(z), (_BATCH,))
            noisy = z[batch] + noise * torch.randn_like(z[batch])
            loss = torch.mean((guess(noisy) - x[batch]) ** 2)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        curve.append(validate())
        if curve[-1] == max(curve):
            best = copy.deepcopy(decoder.state_dict())
        mark, idle = (curve[-1], 0) if curve[-1] > mark + _GAIN else (mark, idle + 1)
        if idle == _PATIENCE:
            cuts, idle, mark, rate = cuts + 1, 0, max(curve), rate / 4
            decoder.load_state_dict(best)
            optimiser = torch.optim.Adam(decoder.parameters(), lr=rate)
    decoder.load_state_dict(best)
    return {"r2": curve, "stopped": cuts > _CUTS}


def _decoder(seen: tuple[int, ...], image: tuple[int, ...]) -> nn.Module:
    pixels = int(np.prod(image))
    if len(seen) != 3 or seen[1] < 4:
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(int(np.prod(seen)), 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, pixels),
            nn.Unflatten(1, image),
        )
    sides = [seen[1]]
    while sides[-1] < image[1]:
        sides.append(min(2 * sides[-1], image[1]))
    layers: list[nn.Module] = [nn.Conv2d(seen[0], 16, 3, padding=1), nn.ReLU()]
    for before, after in pairwise(sides):
        if after != before:
            layers.append(nn.Upsample(size=(after, after), mode="nearest"))
        layers += [nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(16, image[0], 5, padding=2))
