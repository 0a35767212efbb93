"""Crops of the photographs beside the checkout, made at run time and never kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.shared import SHARED

__all__ = ["SIDE", "photographs", "write_crops"]

SIDE = 224
_FOLDERS = ("photos", "face_photos", "ort_photos")


def photographs() -> list[Path]:
    """List the photographs, in one order; none where they are absent."""
    files = [each for name in _FOLDERS for each in (SHARED / "data" / name).glob("*.*")]
    return sorted(each for each in files if each.suffix in {".jpg", ".png"})


def write_crops(folder: Path, count: int, rng: np.random.Generator) -> list[int]:
    """Write square crops of random places and scales, as many of each photograph.

    Args:
        folder: Where to; names sort in the order of the crops.
        count: How many.
        rng: What chooses them.

    Returns:
        By crop, which photograph it is of.
    """
    files = photographs()
    owners = [int(each) for each in rng.permutation(np.arange(count) % len(files))]
    pictures: dict[int, Image.Image] = {}
    for index, owner in enumerate(owners):
        if owner not in pictures:
            with Image.open(files[owner]) as opened:
                pictures[owner] = opened.convert("RGB")
        picture = pictures[owner]
        shorter = min(picture.size)
        side = int(rng.integers(min(SIDE, shorter // 2), shorter + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        crop = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
        crop.save(folder / f"{index:04}.png")
    return owners
