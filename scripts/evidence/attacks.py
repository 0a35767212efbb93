"""Attacks that reconstruct images from a noisy tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from torch import Tensor

__all__ = ["Budget", "Gaussian", "invert", "refine", "ridge", "split"]

Floats = NDArray[np.float32]
_PART = 128


@dataclass(frozen=True)
class Budget:
    """What the attacker may spend.

    ``rounds`` is how many a decoder may have for the first noise level and for each further one,
    which begins with the weights of the one before. ``stages`` are the iterations of refining,
    and ``inverted`` those under total variation, whose weights are ``variations`` times that of
    the likeliest image if differences of neighbours were Laplacian. How far an attack goes is
    decided on ``checked`` of the attacker's own images, from which no attack learns.
    """

    ridge_images: int = 2000
    decoder_images: int = 4000
    rounds: tuple[int, int] = (80, 60)
    stages: tuple[int, ...] = (30, 70, 150, 150)
    inverted: int = 150
    variations: tuple[float, ...] = (0.1, 0.3, 1.0)
    checked: int = 50


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


def invert(
    forward: Callable[[Tensor], Tensor],
    seen: Floats,
    start: Floats,
    noise: float,
    variation: float,
    iterations: int,
) -> Floats:
    """Descend to the likeliest image under a total-variation prior.

    Minimises ``‖f(x) - z‖²/(2 τ²) + λ TV(x)`` over x.

    Args:
        forward: From images to the tensor.
        seen: The noisy tensor, shape (samples, ...).
        start: First guesses, shape (samples, channels, height, width).
        noise: Deviation τ of the noise, in units of the tensor.
        variation: Weight λ of the total variation, the sum of absolute differences of neighbours.
        iterations: How many.

    Returns:
        Reconstructions, shape (samples, channels, height, width), in [0, 1].
    """
    target = torch.from_numpy(seen)
    image = torch.from_numpy(start.copy()).requires_grad_()
    optimiser = torch.optim.Adam([image], lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
    for _ in range(iterations):
        optimiser.zero_grad()
        for part in torch.split(torch.arange(len(image)), _PART):
            x = image[part]
            misfit = torch.sum((forward(x) - target[part]) ** 2) / (2 * noise**2)
            down = (x[:, :, 1:] - x[:, :, :-1]).abs().sum()
            across = (x[..., 1:] - x[..., :-1]).abs().sum()
            torch.autograd.backward(misfit + variation * (down + across))
        optimiser.step()
        schedule.step()
    result: Floats = image.detach().clamp(0, 1).numpy()
    return result


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian prior: images are ``mean + root @ w`` of standard normal w.

    ``back`` gives w of an image: ``w = (x - mean) @ back``.
    """

    mean: Tensor
    root: Tensor
    back: Tensor

    @classmethod
    def of(cls, known: Floats) -> Gaussian:
        """Take mean and covariance from images, shrunk after Ledoit & Wolf."""
        flat = known.reshape(len(known), -1).astype(np.float64)
        values, vectors = np.linalg.eigh(ledoit_wolf(flat)[0])
        deviations = np.sqrt(np.maximum(values, 1e-12))
        mean = torch.from_numpy(flat.mean(0)).float()
        root = torch.from_numpy(vectors * deviations).float()
        return cls(mean, root, torch.from_numpy(vectors / deviations).float())


def refine(
    forward: Callable[[Tensor], Tensor],
    seen: Floats,
    start: Floats,
    noise: float,
    prior: Gaussian,
    stages: Iterable[int],
) -> Iterator[Floats]:
    """Descend from a first guess to the likeliest image under a Gaussian prior, stage by stage.

    Minimises ``‖f(x) - z‖²/(2 τ²) + ‖w‖²/2`` over w, where ``x = μ + L w`` and ``L Lᵀ`` is the
    covariance of the prior: the mode of the posterior. The rate falls to nothing in every stage,
    and starts again in the next.

    Args:
        forward: From images to the tensor.
        seen: The noisy tensor, shape (samples, ...).
        start: First guesses, shape (samples, channels, height, width).
        noise: Deviation τ of the noise, in units of the tensor.
        prior: What is known of images.
        stages: Iterations of each.

    Yields:
        The guesses, flat, after each stage; whoever has enough asks for no more.
    """
    target, first = torch.from_numpy(seen), torch.from_numpy(start).flatten(1)
    place = ((first - prior.mean) @ prior.back).requires_grad_()
    for iterations in stages:
        optimiser = torch.optim.Adam([place], lr=0.1)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, iterations)
        for _ in range(iterations):
            optimiser.zero_grad()
            # In parts, so that what is held stays small.
            for part in torch.split(torch.arange(len(place)), _PART):
                w = place[part]
                image = (prior.mean + w @ prior.root.T).reshape(len(part), *start.shape[1:])
                misfit = torch.sum((forward(image) - target[part]) ** 2) / (2 * noise**2)
                torch.autograd.backward(misfit + torch.sum(w**2) / 2)
            optimiser.step()
            schedule.step()
        yield (prior.mean + place @ prior.root.T).detach().numpy()
