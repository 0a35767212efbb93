"""Real images, cut into what networks and attackers learn from and what is attacked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Images", "gaussian_twin", "load", "present"]

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
_HELD_OUT = 200
# Photographs are cut into squares of so many pixels, so far apart.
_SIDE, _STRIDE = 24, 12
_PER_PHOTO = 240


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
    """Cut photographs into squares; what is attacked lies to the right of what is learnt from.

    The class of a square is the photograph that it comes from.

    Returns:
        The squares.
    """
    paths = sorted(path for pattern in _PHOTOS for path in folder.glob(pattern))
    learnt, attacked = [], []
    for label, path in enumerate(paths):
        left, right = _squares(_reduced(path))
        rng = np.random.default_rng(label)
        learnt += [(square, label) for square in rng.permutation(left)[:_PER_PHOTO]]
        attacked += [(square, label) for square in rng.permutation(right)]
    rng = np.random.default_rng(0)
    parts = []
    for squares in (learnt, attacked):
        order = rng.permutation(len(squares))
        pixels = np.stack([squares[i][0] for i in order]).transpose(0, 3, 1, 2)
        parts.append((np.ascontiguousarray(pixels), np.array([squares[i][1] for i in order])))
    (known, known_labels), (held_out, held_out_labels) = parts
    return Images(
        "photos",
        known[:3000],
        known_labels[:3000],
        known,
        known_labels,
        held_out[:_HELD_OUT],
        held_out_labels[:_HELD_OUT],
    )


def _reduced(path: Path) -> Floats:
    """Read a photograph, and average blocks of pixels until its shorter side is about 150."""
    with Image.open(path) as picture:
        pixels = _unit(np.asarray(picture.convert("RGB")))
    block = max(1, min(pixels.shape[:2]) // 150)
    height, width = (side // block * block for side in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // block, block, width // block, block, 3)
    small: Floats = blocks.mean((1, 3)).astype(np.float32)
    return small


def _squares(picture: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return the squares of the left three quarters, and those of the rest, which share nothing."""
    border = picture.shape[1] * 3 // 4
    sides: tuple[list[Floats], list[Floats]] = ([], [])
    for top in range(0, picture.shape[0] - _SIDE + 1, _STRIDE):
        for left in range(0, picture.shape[1] - _SIDE + 1, _STRIDE):
            square = picture[top : top + _SIDE, left : left + _SIDE]
            if left + _SIDE <= border:
                sides[0].append(square)
            elif left >= border:
                sides[1].append(square)
    return sides


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
    "photos": "photos",
}
# Photographs in colour that show the world, and not through a microscope or a telescope.
_PHOTOS = (
    "face_photos/*.jpg",
    "ort_photos/*",
    *(f"photos/skimage_{name}.png" for name in ("astronaut", "chelsea", "coffee")),
    "photos/skimage_motorcycle_left.png",
    "photos/skimage_rocket.jpg",
)
_LOADERS: dict[str, Callable[[Path], Images]] = {
    "digits": _digits,
    "mnist": _mnist,
    "cifar": _cifar,
    "faces": _faces,
    "fashion": _fashion,
    "photos": _photos,
}
