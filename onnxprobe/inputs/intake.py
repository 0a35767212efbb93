"""How one source of data fills one input."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.inputs.arrays import ArraySource
from onnxprobe.inputs.fitting import fit_shape, view_pictures
from onnxprobe.inputs.geometry import Geometry, find_geometry
from onnxprobe.inputs.number_intake import NumberIntake
from onnxprobe.inputs.picture_intake import ArrayPictures, FilePictures
from onnxprobe.inputs.pictures import MAX_PIXELS, PictureFolder, read_picture
from onnxprobe.inputs.preprocessing import ImageOptions
from onnxprobe.inputs.slots import OpenSlot, Slot
from onnxprobe.inputs.wording import spelled
from onnxprobe.types import Array

__all__ = ["Intake", "Source", "plan_intake"]

Source: TypeAlias = ArraySource | PictureFolder


class Intake(Protocol):
    """Samples that fit an input, not yet read."""

    @property
    def label(self) -> str:
        """What error messages call the data."""
        ...

    @property
    def title(self) -> str:
        """What reports call the data."""
        ...

    @property
    def count(self) -> int:
        """How many samples there are."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        ...

    @property
    def is_picture(self) -> bool:
        """Whether the samples are pictures."""
        ...

    def load(self, rows: Array, slot: Slot) -> tuple[Array, tuple[str, ...]]:
        """Read samples.

        Args:
            rows: Rising indices of those wanted.
            slot: The input.

        Returns:
            Shape (rows, *shape of the slot), in its type; and what was done to them.
        """
        ...


def plan_intake(source: Source, slot: OpenSlot, options: ImageOptions) -> Intake:
    """Find out how data fills an input.

    Pictures in a folder, arrays of uint8, and other arrays where image options are given are taken
    as pictures, if the input is shaped like one; everything else as the numbers it holds.

    Args:
        source: The data.
        slot: The input, whose open dimensions the data may fix.
        options: How pictures become inputs.

    Returns:
        The plan.

    Raises:
        DataError: If the data does not fit the input.
    """
    geometry = None if slot.dims is None else find_geometry(slot.dims, options.layout)
    if isinstance(source, PictureFolder):
        return _plan_folder(source, slot, options, geometry)
    if 0 in source.shape:
        raise DataError(
            f"{source.label} has shape {spelled(source.shape)}, which holds no sample; "
            "expected at least one"
        )
    if pictures := _plan_pictures(source, slot, options, geometry):
        return pictures
    fit = fit_shape(source.shape, slot)
    if fit is None:
        expected = "at least one axis" if slot.dims is None else spelled(slot.dims, "samples")
        hint = ""
        if geometry and geometry.is_certain and view_pictures(source.shape, slot.dims, geometry):
            hint = (
                f", or --layout {geometry.layout} if these are pictures to be fitted to the input"
            )
        raise DataError(
            f"{source.label} has shape {spelled(source.shape)}, but input {slot.name!r} takes "
            f"{expected}; give an array of that shape{hint}"
        )
    return NumberIntake(source, fit, options, slot.name)


def _plan_pictures(
    source: ArraySource, slot: OpenSlot, options: ImageOptions, geometry: Geometry | None
) -> ArrayPictures | None:
    # Integer inputs take tokens and the like, unless a channel axis says otherwise.
    may_show = slot.dtype.kind == "f" or (
        slot.dtype.kind in "iu" and geometry is not None and geometry.is_certain
    )
    # Other numbers are pictures on the user's word, and matrices only on a word about their axes.
    is_matrix = geometry is not None and geometry.layout == "NHW"
    asked = options.is_geometric if is_matrix else not options.is_default
    is_meant = source.dtype == np.uint8 or (asked and source.dtype.kind != "U")
    view = view_pictures(source.shape, slot.dims, geometry) if may_show and is_meant else None
    if view is None or slot.dims is None or view.height * view.width > MAX_PIXELS:
        return None
    sides = (view.width, view.height) if options.transpose else (view.height, view.width)
    geometry = geometry or find_geometry(slot.dims, options.layout, (*sides, view.channels))
    if geometry is None:
        return None
    return ArrayPictures(source, view, geometry.fixed(*sides, view.channels), options, slot.name)


def _plan_folder(
    folder: PictureFolder, slot: OpenSlot, options: ImageOptions, geometry: Geometry | None
) -> FilePictures:
    if slot.dims is None or slot.dtype.kind not in "fiu":
        takes = "an undeclared shape" if slot.dims is None else slot.dtype
        raise DataError(
            f"{folder.label} holds pictures, but input {slot.name!r} takes "
            f"{'text' if slot.dtype.hasobject else takes}; give it an array"
        )
    first = read_picture(folder.files[0])
    height, width, available = first.shape
    sides = (width, height) if options.transpose else (height, width)
    picture = (*sides, min(available, 3))
    geometry = geometry or find_geometry(slot.dims, options.layout, picture)
    if geometry is None:
        raise DataError(
            f"{folder.label} holds pictures of {height}×{width}, but input {slot.name!r} takes "
            f"{spelled(slot.dims)}, which is not shaped like them; "
            "give it an array, or say where it has its channels with --layout"
        )
    is_open = geometry.height is None or geometry.width is None
    keys = tuple(dim for dim in slot.dims if isinstance(dim, str)) if is_open else ()
    return FilePictures(folder, geometry.fixed(*picture), options, slot.name, keys)
