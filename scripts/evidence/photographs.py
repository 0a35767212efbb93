"""Photographs, cut into squares that share no pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["files", "squares"]

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
_SIDE, _SHORTER = 24, 200
# Photographs in colour that show the world, and not through a microscope or a telescope.
_PATTERNS = (
    "face_photos/*.jpg",
    "ort_photos/*",
    *(f"photos/skimage_{name}.png" for name in ("astronaut", "chelsea", "coffee")),
    "photos/skimage_motorcycle_left.png",
    "photos/skimage_rocket.jpg",
)


def files(folder: Path) -> list[Path]:
    """Return the photographs that are at hand."""
    return sorted(path for pattern in _PATTERNS for path in folder.glob(pattern))


def squares(folder: Path) -> tuple[Floats, Labels, Floats, Labels]:
    """Cut photographs; what is attacked lies to the right of what is learnt from.

    Args:
        folder: Where they lie.

    Returns:
        Squares of shape (samples, 3, 24, 24) in [0, 1] to learn from, with the number of the
        photograph of each; and those that are attacked. Both are shuffled.
    """
    sides: tuple[list[Floats], list[Floats]] = ([], [])
    labels: tuple[list[int], list[int]] = ([], [])
    for label, path in enumerate(files(folder)):
        for at, found in enumerate(_cut(_reduced(path))):
            sides[at].extend(found)
            labels[at].extend([label] * len(found))
    known, attacked = (_shuffled(*part) for part in zip(sides, labels, strict=True))
    return *known, *attacked


def _shuffled(found: list[Floats], owners: list[int]) -> tuple[Floats, Labels]:
    order = np.random.default_rng(0).permutation(len(found))
    pixels = np.stack(found)[order].transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels), np.array(owners, dtype=np.int64)[order]


def _reduced(path: Path) -> Floats:
    """Read a photograph, and average blocks of pixels until its shorter side is about 200."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")) / np.float32(255)
    block = max(1, round(min(pixels.shape[:2]) / _SHORTER))
    height, width = (side // block * block for side in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // block, block, width // block, block, 3)
    small: Floats = blocks.mean((1, 3)).astype(np.float32)
    return small


def _cut(picture: Floats) -> tuple[list[Floats], list[Floats]]:
    """Return the squares of the left three quarters, and those to the right of them."""
    border = picture.shape[1] * 3 // 4 // _SIDE * _SIDE
    sides: tuple[list[Floats], list[Floats]] = ([], [])
    for top in range(0, picture.shape[0] - _SIDE + 1, _SIDE):
        for left in range(0, picture.shape[1] - _SIDE + 1, _SIDE):
            square = picture[top : top + _SIDE, left : left + _SIDE]
            sides[left >= border].append(square)
    return sides
