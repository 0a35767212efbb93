"""Real images, cut into what networks and attackers learn from and what is attacked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scripts.evidence.photographs import files, squares

__all__ = ["Images", "gaussian_twin", "load", "present"]

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
_HELD_OUT = 200
# With fewer photographs it would be another data set.
_PHOTOS = 23


@dataclass(frozen=True)
class Images:
    """Images of shape (samples, channels, height, width) in [0, 1], in three parts.

    The network learns from ``train``. The attacker learns from ``attacker``, which may hold the
    images of ``train``: that makes it stronger. Nobody learns from ``held_out``, which is attacked.
    """

    name: str
    train: Floats
    train_labels: Labels
    attacker: Floats
    attacker_labels: Labels
    held_out: Floats
    held_out_labels: Labels

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return int(self.train_labels.max()) + 1

    @property
    def digest(self) -> str:
        """SHA-256 over all images and labels."""
        digest = hashlib.sha256()
        for part in (self.train, self.attacker, self.held_out):
            digest.update(str(part.shape).encode() + part.tobytes())
        for labels in (self.train_labels, self.attacker_labels, self.held_out_labels):
            digest.update(labels.tobytes())
        return digest.hexdigest()


def load(name: str, folder: Path) -> Images:
    """Read a data set and cut it.

    Args:
        name: ``digits``, ``mnist``, ``cifar``, ``faces``, ``fashion`` or ``photos``.
        folder: Where the files of all but ``digits`` lie.

    Returns:
        The images, in an order that depends on nothing but the name.
    """
    return _LOADERS[name](folder)


def present(name: str, folder: Path) -> bool:
    """Say whether a data set is at hand."""
    if name == "photos":
        return len(files(folder)) >= _PHOTOS
    return name == "digits" or (folder / _FILES[name]).exists()


def gaussian_twin(images: Images, seed: int) -> Images:
    """Draw images from a Gaussian with the mean and covariance of the attacker's.

    They are not cut off at 0 and 1: then they would not be Gaussian.

    Args:
        images: Where mean and covariance come from.
        seed: Of the draw.

    Returns:
        Images of the same numbers and labels; the network's part stays as it is.
    """
    flat = images.attacker.reshape(len(images.attacker), -1).astype(np.float64)
    mean = flat.mean(0)
    _, singular, right = np.linalg.svd(flat - mean, full_matrices=False)
    root = (singular / np.sqrt(len(flat) - 1))[:, None] * right
    rng = np.random.default_rng(seed)

    def draw(like: Floats) -> Floats:
        drawn = mean + rng.standard_normal((len(like), len(root))) @ root
        shaped: Floats = drawn.reshape(like.shape).astype(np.float32)
        return shaped

    return Images(
        f"{images.name}-gaussian",
        images.train,
        images.train_labels,
        draw(images.attacker),
        images.attacker_labels,
        draw(images.held_out),
        images.held_out_labels,
    )


def _digits(_: Path) -> Images:
    from sklearn.datasets import load_digits

    source = load_digits()
    images = (source.images / 16.0).astype(np.float32)[:, None]
    return _cut("digits", images, source.target, train=800)


def _mnist(folder: Path) -> Images:
    with np.load(folder / _FILES["mnist"]) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    return _cut("mnist", _unit(images)[:, None], labels, train=4000)


def _cifar(folder: Path) -> Images:
    with np.load(folder / _FILES["cifar"]) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    # 32 × 32 pixels are averaged to 16 × 16: the attacks on all networks have to end some day.
    halved = _unit(images).reshape(-1, 16, 2, 16, 2, 3).mean((2, 4))
    pixels = np.ascontiguousarray(halved.transpose(0, 3, 1, 2), dtype=np.float32)
    return _cut("cifar", pixels, labels, train=4000)


def _faces(folder: Path) -> Images:
    with np.load(folder / _FILES["faces"]) as arrays:
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    # 112 × 92 is averaged over 4 × 3 pixels of the middle 112 × 84, to 28 × 28.
    small = _unit(images)[:, :, 4:88].reshape(-1, 28, 4, 28, 3).mean((2, 4)).astype(np.float32)
    labels = labels - labels.min()
    rank = np.array([np.sum(labels[:i] == label) for i, label in enumerate(labels)])
    train, attacker, held_out = rank < 6, rank < 8, rank >= 8
    pixels = small[:, None]
    return Images(
        "faces",
        pixels[train],
        labels[train],
        pixels[attacker],
        labels[attacker],
        pixels[held_out],
        labels[held_out],
    )


def _fashion(folder: Path) -> Images:
    with np.load(folder / _FILES["fashion"]) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    return _cut("fashion", _unit(images)[:, None], labels, train=500, held_out=150)


def _photos(folder: Path) -> Images:
    known, labels, attacked, attacked_labels = squares(folder)
    return Images(
        "photos",
        known[: len(known) * 3 // 4],
        labels[: len(known) * 3 // 4],
        known,
        labels,
        attacked[:_HELD_OUT],
        attacked_labels[:_HELD_OUT],
    )


def _unit(images: NDArray[np.uint8]) -> Floats:
    return (images / np.float32(255)).astype(np.float32)


def _cut(
    name: str, images: Floats, labels: Labels, *, train: int, held_out: int = _HELD_OUT
) -> Images:
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], labels[order].astype(np.int64)
    learnt = slice(0, len(images) - held_out)
    attacked = slice(len(images) - held_out, None)
    return Images(
        name,
        images[:train],
        labels[:train],
        images[learnt],
        labels[learnt],
        images[attacked],
        labels[attacked],
    )


_FILES = {
    "mnist": "mnist_test.npz",
    "cifar": "cifar10_test_jpeg.npz",
    "faces": "orl_faces.npz",
    "fashion": "fashion_mnist_sprite900.npz",
}
_LOADERS: dict[str, Callable[[Path], Images]] = {
    "digits": _digits,
    "mnist": _mnist,
    "cifar": _cifar,
    "faces": _faces,
    "fashion": _fashion,
    "photos": _photos,
}
