"""Attacks that reconstruct images from a noisy tensor."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from torch import Tensor, nn

__all__ = ["Budget", "decode", "invert", "refine", "ridge", "split"]

Floats = NDArray[np.float32]
_BATCHES = 60


@dataclass(frozen=True)
class Budget:
    """What the attacker may spend.

    ``rounds``, of 60 batches of 64 images, is for the first noise level and for each further one,
    which begins with the weights of the one before; ``patience`` is how many rounds without a
    better validation error end it. Pictures are refined for as many iterations as are best for
    ``checked`` of the attacker's own, or not at all.
    """

    ridge_images: int = 2000
    decoder_images: int = 4000
    rounds: tuple[int, int] = (12, 6)
    patience: int = 3
    inverted: int = 4
    iterations: int = 150
    refined: tuple[int, ...] = (20, 50, 100)
    checked: int = 100


def split(count: int) -> tuple[slice, slice]:
    """Cut off the last tenth of the attacker's images for validation."""
    cut = count - count // 10
    return slice(0, cut), slice(cut, count)


def ridge(
    tensor: Floats, images: Floats, attacked: Sequence[Floats], noises: Sequence[float], limit: int
) -> list[Floats]:
    """Reconstruct by ridge regression whose penalty is the noise, times the best of five factors.

    Averaged over noise of deviation τ, least squares is ridge regression with penalty N τ².

    Args:
        tensor: What the attacker's images give, shape (samples, d), without noise.
        images: The attacker's images, shape (samples, ...).
        attacked: The noisy tensors of unknown images for each level, shape (unknown, d) each.
        noises: Deviation of the noise of each level, in units of the tensor.
        limit: Samples used where d is larger; then in dual form.

    Returns:
        Reconstructions, flat, for each level.
    """
    learn, check = split(len(tensor))
    z, x = tensor[learn], images[learn].reshape(len(tensor[learn]), -1)
    if z.shape[1] > limit:
        z, x = z[:limit], x[:limit]
    mean_z, mean_x = z.mean(0), x.mean(0)
    z, x = z - mean_z, x - mean_x
    dual = z.shape[1] > len(z)
    values, vectors = np.linalg.eigh(z @ z.T if dual else z.T @ z)
    # A reconstruction is features @ diag(1 / (values + penalty)) @ target.
    basis = z.T @ vectors if dual else vectors
    target = vectors.T @ x if dual else vectors.T @ (z.T @ x)
    truth = images[check].reshape(-1, x.shape[1])
    rng = np.random.default_rng(1)
    results = []
    for noise, unknown in zip(noises, attacked, strict=True):
        noisy = tensor[check] + np.float32(noise) * rng.standard_normal(
            tensor[check].shape, dtype=np.float32
        )
        seen, features = (noisy - mean_z) @ basis, (unknown - mean_z) @ basis
        best, best_error = features, np.inf
        for factor in (0.3, 1.0, 3.0, 10.0, 100.0):
            shrunk = target / (np.maximum(values, 0) + factor * len(z) * noise**2 + 1e-9)[:, None]
            error = float(np.mean((seen @ shrunk + mean_x - truth) ** 2))
            if error < best_error:
                best, best_error = features @ shrunk + mean_x, error
        results.append(best.astype(np.float32))
    return results


def decode(
    tensor: Floats,
    images: Floats,
    attacked: Sequence[Floats],
    noises: Sequence[float],
    budget: Budget,
    seed: int,
) -> tuple[list[Floats], list[list[float]]]:
    """Reconstruct by a trained decoder: convolutions for maps, else a multilayer perceptron.

    Args:
        tensor: What the attacker's images give, shape (samples, ...), without noise.
        images: The attacker's images, shape (samples, channels, height, width).
        attacked: The noisy tensors of unknown images, for each level.
        noises: Deviation of the noise of each level, in units of the tensor, ascending.
        budget: What may be spent.
        seed: Of weights, order and noise.

    Returns:
        Reconstructions for each level, and the validation R² after each round.
    """
    torch.manual_seed(seed)
    learn, check = split(min(len(tensor), budget.decoder_images))
    z, x = torch.from_numpy(tensor), torch.from_numpy(images)
    mean, unit = z[learn].mean(0), z[learn].std() + 1e-12
    image_mean, spread = x[learn].mean(0), x[learn].std()
    decoder = _decoder(tuple(z.shape[1:]), tuple(x.shape[1:]))

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


def invert(
    forward: Callable[[Tensor], Tensor],
    seen: Floats,
    start: Floats,
    noise: float,
    budget: Budget,
    variation: float = 1.0,
) -> Floats:
    """Reconstruct by gradient descent on the input, with a total-variation prior.

    Args:
        forward: From images to the tensor.
        seen: The noisy tensor, shape (samples, ...).
        start: The image to start from, shape (channels, height, width).
        noise: Deviation of the noise, in units of the tensor.
        budget: What may be spent.
        variation: Weight of the total variation.

    Returns:
        Reconstructions, shape (samples, channels, height, width).
    """
    target = torch.from_numpy(seen)
    image = torch.from_numpy(np.repeat(start[None], len(seen), 0)).requires_grad_()
    optimiser = torch.optim.Adam([image], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, budget.iterations)
    for _ in range(budget.iterations):
        misfit = torch.sum((forward(image) - target) ** 2) / (2 * noise**2)
        down = (image[:, :, 1:] - image[:, :, :-1]).abs().sum()
        across = (image[..., 1:] - image[..., :-1]).abs().sum()
        optimiser.zero_grad()
        torch.autograd.backward(misfit + variation * (down + across))
        optimiser.step()
        schedule.step()
    result: Floats = image.detach().clamp(0, 1).numpy()
    return result


def refine(
    forward: Callable[[Tensor], Tensor],
    seen: Floats,
    start: Floats,
    noise: float,
    known: Floats,
    iterations: Sequence[int],
) -> list[Floats]:
    """Descend from a first guess to the likeliest image under a Gaussian prior.

    Minimises ``‖f(x) - z‖²/(2 τ²) + ‖w‖²/2`` over w, where ``x = μ + L w`` and ``L Lᵀ`` is the
    covariance of the attacker's images, shrunk after Ledoit & Wolf: the mode of the posterior.

    Args:
        forward: From images to the tensor.
        seen: The noisy tensor, shape (samples, ...).
        start: First guesses, shape (samples, channels, height, width).
        noise: Deviation τ of the noise, in units of the tensor.
        known: The attacker's images, shape (count, channels, height, width).
        iterations: After how many to look, ascending.

    Returns:
        The guesses, flat, at the start and after each number of iterations.
    """
    flat = known.reshape(len(known), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(ledoit_wolf(flat)[0])
    deviations = np.sqrt(np.maximum(values, 1e-12))
    mean = torch.from_numpy(flat.mean(0)).float()
    root = torch.from_numpy(vectors * deviations).float()
    back = torch.from_numpy(vectors / deviations).float()
    target, first = torch.from_numpy(seen), torch.from_numpy(start).flatten(1)
    place = ((first - mean) @ back).requires_grad_()
    optimiser = torch.optim.Adam([place], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(iterations))
    found = [first.numpy()]
    for iteration in range(max(iterations)):
        optimiser.zero_grad()
        # In batches, so that what is held stays small.
        for part in torch.split(torch.arange(len(place)), 128):
            image = (mean + place[part] @ root.T).reshape(len(part), *start.shape[1:])
            misfit = torch.sum((forward(image) - target[part]) ** 2) / (2 * noise**2)
            torch.autograd.backward(misfit + torch.sum(place[part] ** 2) / 2)
        optimiser.step()
        schedule.step()
        if iteration + 1 in iterations:
            found.append((mean + place @ root.T).detach().numpy())
    return found


def _improve(
    decoder: nn.Module,
    guess: Callable[[Tensor], Tensor],
    z: Tensor,
    x: Tensor,
    noise: float,
    validate: Callable[[], float],
    level: int,
    budget: Budget,
) -> list[float]:
    """Train until validation stops improving or the budget ends, and keep the best weights."""
    optimiser = torch.optim.Adam(decoder.parameters(), lr=2e-3 if level == 0 else 1e-3)
    curve: list[float] = []
    best: dict[str, Any] = {}
    for _ in range(budget.rounds[min(level, 1)]):
        for _ in range(_BATCHES):
            batch = torch.randint(len(z), (64,))
            noisy = z[batch] + noise * torch.randn_like(z[batch])
            loss = torch.mean((guess(noisy) - x[batch]) ** 2)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
        curve.append(validate())
        if curve[-1] == max(curve):
            best = copy.deepcopy(decoder.state_dict())
        if len(curve) - int(np.argmax(curve)) > budget.patience:
            break
    decoder.load_state_dict(best)
    return curve


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
