"""Small classifiers as chains of ten named steps, each of which an auditor could release."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["ARCHITECTURES", "Chain", "build"]

Shape = tuple[int, int, int]
Steps = list[tuple[str, nn.Module]]


class Chain(nn.Module):
    """Steps in a row, each with a name, behind a fixed normalisation of the pixels."""

    def __init__(self, steps: Steps, mean: float, deviation: float) -> None:
        super().__init__()
        self.names = [name for name, _ in steps]
        self.steps = nn.ModuleList(step for _, step in steps)
        self.mean, self.deviation = mean, deviation

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what every step puts out; the last is the logits."""
        value = (image - self.mean) / self.deviation
        outputs = []
        for step in self.steps:
            value = step(value)
            outputs.append(value)
        return tuple(outputs)

    def upto(self, image: Tensor, depth: int) -> Tensor:
        """Return what the step at ``depth`` puts out, and compute none behind it."""
        value = (image - self.mean) / self.deviation
        for step in list(self.steps)[: depth + 1]:
            value = step(value)
        return value


class Residual(nn.Module):
    """A residual block of two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(channels, channels), nn.ReLU(), _conv(channels, channels))

    def forward(self, value: Tensor) -> Tensor:
        """Add the body's output to its input."""
        return torch.relu(value + self.body(value))


class Patches(nn.Module):
    """Patches of an image as tokens with a learnt position each."""

    def __init__(self, shape: Shape, patch: int, width: int) -> None:
        super().__init__()
        channels, height, across = shape
        self.project = nn.Conv2d(channels, width, patch, patch)
        count = (height // patch) * (across // patch)
        self.position = nn.Parameter(0.02 * torch.randn(1, count, width))

    def forward(self, image: Tensor) -> Tensor:
        """Return tokens of shape (samples, patches, width)."""
        tokens: Tensor = self.project(image).flatten(2).transpose(1, 2) + self.position
        return tokens


class Attention(nn.Module):
    """Self-attention with two heads, normalised before and added to its input."""

    def __init__(self, width: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens that have looked at each other."""
        parts = self.mix(self.norm(tokens)).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        weights = torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, -1)
        mixed: Tensor = self.out((weights @ value).transpose(1, 2).flatten(2))
        return tokens + mixed


class Feed(nn.Module):
    """The multilayer part of a transformer block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Add the body's output to its input."""
        changed: Tensor = self.body(tokens)
        return tokens + changed


class Mean(nn.Module):
    """The mean over tokens."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Return a vector for each sample."""
        return tokens.mean(1)


def build(architecture: str, shape: Shape, classes: int, pixels: tuple[float, float]) -> Chain:
    """Make a network with fresh weights from torch's global generator.

    Args:
        architecture: One of `ARCHITECTURES`.
        shape: Channels, height and width of an image.
        classes: Number of classes.
        pixels: Mean and standard deviation of the pixels.

    Returns:
        The network, in training mode.
    """
    return Chain(ARCHITECTURES[architecture](shape, classes), *pixels)


def _conv(inner: int, outer: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer))


def _mlp(shape: Shape, classes: int) -> Steps:
    inputs = shape[0] * shape[1] * shape[2]
    widths = [56, 48, 40, 32]
    steps: Steps = []
    for i, (inner, outer) in enumerate(zip([inputs, *widths], widths, strict=False), 1):
        linear: nn.Module = nn.Linear(inner, outer)
        steps.append((f"fc{i}", nn.Sequential(nn.Flatten(), linear) if i == 1 else linear))
        steps.append((f"relu{i}", nn.ReLU()))
    return [*steps, ("fc5", nn.Linear(32, 24)), ("logits", _head(24, classes))]


def _head(width: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Linear(width, classes))


def _cnn(shape: Shape, classes: int) -> Steps:
    side = shape[1] // 4
    return [
        ("conv1", _conv(shape[0], 8)),
        ("relu1", nn.ReLU()),
        ("pool1", nn.MaxPool2d(2)),
        ("conv2", _conv(8, 12)),
        ("relu2", nn.ReLU()),
        ("pool2", nn.MaxPool2d(2)),
        ("conv3", _conv(12, 16)),
        ("relu3", nn.ReLU()),
        ("fc1", nn.Sequential(nn.Flatten(), nn.Linear(16 * side * side, 32))),
        ("logits", _head(32, classes)),
    ]


def _resnet(shape: Shape, classes: int) -> Steps:
    return [
        ("stem", nn.Sequential(_conv(shape[0], 8), nn.ReLU())),
        ("block1", Residual(8)),
        ("block2", Residual(8)),
        ("down1", nn.Sequential(_conv(8, 16, 2), nn.ReLU())),
        ("block3", Residual(16)),
        ("block4", Residual(16)),
        ("down2", nn.Sequential(_conv(16, 24, 2), nn.ReLU())),
        ("block5", Residual(24)),
        ("pool", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())),
        ("logits", nn.Linear(24, classes)),
    ]


def _vgg(shape: Shape, classes: int) -> Steps:
    side = shape[1] // 4
    return [
        ("conv1", _conv(shape[0], 12)),
        ("relu1", nn.ReLU()),
        ("conv2", nn.Sequential(_conv(12, 12), nn.ReLU())),
        ("pool1", nn.MaxPool2d(2)),
        ("conv3", nn.Sequential(_conv(12, 20), nn.ReLU())),
        ("conv4", nn.Sequential(_conv(20, 20), nn.ReLU())),
        ("pool2", nn.MaxPool2d(2)),
        ("conv5", nn.Sequential(_conv(20, 24), nn.ReLU())),
        ("fc1", nn.Sequential(nn.Flatten(), nn.Linear(24 * side * side, 48))),
        ("logits", _head(48, classes)),
    ]


def _vit(shape: Shape, classes: int) -> Steps:
    width = 32
    patch = 2 if shape[1] < 16 else 4
    steps: Steps = [("patches", Patches(shape, patch, width))]
    for i in range(1, 4):
        steps += [(f"attention{i}", Attention(width)), (f"feed{i}", Feed(width))]
    return [
        *steps,
        ("norm", nn.LayerNorm(width)),
        ("mean", Mean()),
        ("logits", nn.Linear(width, classes)),
    ]


ARCHITECTURES: dict[str, Callable[[Shape, int], Steps]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "resnet": _resnet,
    "vgg": _vgg,
    "vit": _vit,
}
