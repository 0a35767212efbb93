"""A folder of pictures: which files are some, and their pixels."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from onnxprobe.errors import DataError
from onnxprobe.inputs.files import open_file, title_of
from onnxprobe.inputs.wording import listed
from onnxprobe.types import Array

__all__ = ["ENDINGS", "PictureFolder", "open_pictures", "read_picture"]

# What Pillow may decode. TIFF, JPEG 2000, PSD and the like bring decoders that nobody here needs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM")
ENDINGS = frozenset({
    ".bmp",
    ".gif",
    ".jpeg",
    ".jpg",
    ".pbm",
    ".pgm",
    ".png",
    ".pnm",
    ".ppm",
    ".webp",
})
MAX_PIXELS = 2**26


@dataclass(frozen=True)
class PictureFolder:
    """The pictures of a folder, sorted by name.

    Attributes:
        path: The folder, or a single picture.
        files: The pictures.
        notes: What in the folder was left aside.
    """

    path: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What error messages call it."""
        return str(self.path)

    @property
    def title(self) -> str:
        """What reports call it."""
        return title_of(self.path)


def open_pictures(path: Path) -> PictureFolder:
    """List the pictures of a folder, without decoding any.

    Args:
        path: A folder, or a single picture.

    Returns:
        Its pictures; other files, hidden ones and folders within are left aside.

    Raises:
        DataError: If there is no such folder, or no picture in it.
    """
    if not path.is_dir():
        return PictureFolder(path, (path,))
    try:
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); expected a folder of pictures"
        ) from error
    files = tuple(entry for entry in entries if entry.suffix.lower() in ENDINGS)
    others = [entry.name for entry in entries if entry.suffix.lower() not in ENDINGS]
    if not files:
        beside = f", only {listed(others)}" if others else ""
        raise DataError(
            f"{path} holds no picture{beside}; expected files ending in "
            f"{', '.join(sorted(ENDINGS))}"
        )
    notes = (
        (f"{title_of(path)} also holds {listed(others)}, left aside as no picture",)
        if others
        else ()
    )
    return PictureFolder(path, files, notes)


def read_picture(path: Path) -> Array:
    """Decode a picture, turned as its camera says.

    Args:
        path: A file of one of `FORMATS`; of an animation the first frame is taken.

    Returns:
        Shape (h, w, c), uint8: grey (c = 1), colour (3), or colour and transparency (4). Samples of
        16 bits are cut to 8.

    Raises:
        DataError: If the file is unreadable, damaged, of another format, or too large.
    """
    with io.BufferedReader(open_file(path, "a picture")) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            return _decode(file)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise DataError(
                f"{path} has more than {MAX_PIXELS:,} pixels, which is refused as a decompression "
                "bomb; scale it down"
            ) from error
        except UnidentifiedImageError as error:
            raise DataError(
                f"{path} is no picture; expected {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
            ) from error
        except Exception as error:
            raise DataError(
                f"{path} cannot be decoded ({error}); replace it or take it out of the folder"
            ) from error


def _decode(file: IO[bytes]) -> Array:
    with Image.open(file, formats=FORMATS) as image:
        # Pillow's own limit lies higher, and it warns before it refuses.
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError
        return _pixels(ImageOps.exif_transpose(image))


def _pixels(image: Image.Image) -> Array:
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        return (np.clip(wide, 0, 2**16 - 1) >> 8).astype(np.uint8)[..., None]
    if image.mode in {"1", "L", "LA", "La"}:
        return np.array(image.convert("L"))[..., None]
    transparent = image.mode in {"RGBA", "RGBa", "PA"} or "transparency" in image.info
    return np.array(image.convert("RGBA" if transparent else "RGB"))
