"""Pictures, in arrays or files, on their way into an input."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.inputs.arrays import ArraySource
from onnxprobe.inputs.conversion import Defects
from onnxprobe.inputs.fitting import PictureView
from onnxprobe.inputs.geometry import Geometry
from onnxprobe.inputs.pictures import PictureFolder, read_picture
from onnxprobe.inputs.pixels import adapt, fill
from onnxprobe.inputs.preprocessing import ImageOptions
from onnxprobe.inputs.slots import Slot
from onnxprobe.inputs.wording import setting
from onnxprobe.types import Array

__all__ = ["ArrayPictures", "FilePictures"]

_BLOCK_BYTES = 2**25


@dataclass(frozen=True)
class ArrayPictures:
    """Pictures in an array.

    Attributes:
        source: The array.
        view: How it holds pictures.
        geometry: Of the input, nothing open.
        options: How pictures become inputs.
        name: The input.
    """

    source: ArraySource
    view: PictureView
    geometry: Geometry
    options: ImageOptions
    name: str
    is_picture: bool = True

    @property
    def label(self) -> str:
        """What error messages call the data."""
        return self.source.label

    @property
    def title(self) -> str:
        """What reports call the data."""
        return self.source.title

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return self.view.count

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.geometry.shape

    def load(self, rows: Array, slot: Slot) -> tuple[Array, tuple[str, ...]]:
        """Read samples; see `Intake`.

        Args:
            rows: Rising indices of those wanted.
            slot: The input.

        Returns:
            The samples, and what was done to them.

        Raises:
            DataError: If values are not finite, or do not fit the input.
        """
        out = np.empty((len(rows), *slot.shape), slot.dtype)
        defects = Defects(self.label)
        view, single = self.view, self.view.is_single
        block = max(1, _BLOCK_BYTES // (8 * max(view.height * view.width * 4, slot.size)))
        done = 0
        for values in [self.source.read()] if single else self.source.blocks(rows, block):
            pixels = view.pixels(values)
            part = slice(done, done + len(pixels))
            defects.look(pixels, rows[part])
            planes = adapt(pixels, self.geometry, self.options, slot.name)
            fill(planes, out[part], self.geometry, self.options, slot.name)
            done = part.stop
        defects.refuse()
        sizes = {(view.height, view.width)}
        note = f"{self.title} is taken as one picture for input {self.name!r}"
        notes = (note,) if single else ()
        return out, notes + _resized(sizes, self.geometry, self.options, self.title)


@dataclass(frozen=True)
class FilePictures:
    """Pictures in files, of any sizes.

    Attributes:
        folder: The files.
        geometry: Of the input, nothing open: the first picture decided what was.
        options: How pictures become inputs.
        name: The input.
        open_keys: The dimensions that it decided; other sizes are refused if there are any.
    """

    folder: PictureFolder
    geometry: Geometry
    options: ImageOptions
    name: str
    open_keys: tuple[str, ...] = ()
    is_picture: bool = True

    @property
    def label(self) -> str:
        """What error messages call the data."""
        return self.folder.label

    @property
    def title(self) -> str:
        """What reports call the data."""
        return self.folder.title

    @property
    def count(self) -> int:
        """How many pictures there are."""
        return len(self.folder.files)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.geometry.shape

    def load(self, rows: Array, slot: Slot) -> tuple[Array, tuple[str, ...]]:
        """Decode samples; see `Intake`.

        Args:
            rows: Rising indices of those wanted.
            slot: The input.

        Returns:
            The samples, and what was done to them.

        Raises:
            DataError: If a picture cannot be decoded, or sizes differ where the input takes any.
        """
        out = np.empty((len(rows), *slot.shape), slot.dtype)
        sizes: set[tuple[int, int]] = set()
        for place, row in enumerate(rows):
            pixels = read_picture(self.folder.files[row])[None]
            sizes.add((pixels.shape[1], pixels.shape[2]))
            if self.open_keys and len(sizes) > 1:
                raise DataError(
                    f"{self.label} holds pictures of different sizes ({_span(sizes)}), and input "
                    f"{self.name!r} takes any; choose one size with "
                    f"{' '.join(map(setting, self.open_keys))}"
                )
            planes = adapt(pixels, self.geometry, self.options, slot.name)
            fill(planes, out[place : place + 1], self.geometry, self.options, slot.name)
        notes = _resized(sizes, self.geometry, self.options, self.title)
        return out, (*self.folder.notes, *notes)


def _resized(
    sizes: set[tuple[int, int]], geometry: Geometry, options: ImageOptions, title: str
) -> tuple[str, ...]:
    # Sizes are spelled as the files have them, before any transposition.
    height, width = geometry.height or 1, geometry.width or 1
    target = (width, height) if options.transpose else (height, width)
    others = sizes - {target}
    if not others:
        return ()
    done = "stretched" if options.resize == "stretch" else "scaled and cropped"
    return (f"pictures of {title} ({_span(others)}) {done} to {target[0]}×{target[1]}",)


def _span(sizes: Iterable[tuple[int, int]]) -> str:
    spelled = [f"{height}×{width}" for height, width in sorted(sizes)]
    return spelled[0] if len(spelled) == 1 else f"{spelled[0]} to {spelled[-1]}"
