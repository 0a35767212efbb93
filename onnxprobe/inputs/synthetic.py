"""Samples drawn from the declared types, where the user gives none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from onnxprobe.inputs.geometry import Geometry, find_geometry
from onnxprobe.inputs.natural_noise import draw_natural_noise
from onnxprobe.inputs.pixels import fill
from onnxprobe.inputs.preprocessing import PIXEL_SCALE, ImageOptions, normalise
from onnxprobe.inputs.slots import Slot
from onnxprobe.inputs.wording import listed
from onnxprobe.types import Array, Floats

__all__ = ["FILLS", "Fill", "draw_samples", "picture_moments", "picture_slots"]

Fill: TypeAlias = Literal["drawn", "zeros", "ones"]
"""What integer inputs get; a model may refuse the first draw and take another."""
FILLS: tuple[Fill, ...] = ("drawn", "zeros", "ones")

PIXEL_MEAN = 127.5
PIXEL_DEVIATION = 63.75

_BLOCK_BYTES = 2**22


@dataclass(frozen=True)
class _Recipe:
    """How the samples of one input come about."""

    sentence: str
    draw: Literal["picture", "normal", "integers", "constant"]
    geometry: Geometry | None = None
    limit: int = 2
    constant: int | str = 0


def draw_samples(
    slots: Sequence[Slot],
    count: int,
    rng: np.random.Generator,
    options: ImageOptions,
    limits: Mapping[str, int],
    fill_with: Fill = "drawn",
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Draw samples for inputs of known shape.

    Float inputs shaped like pictures get natural noise, of mean 0.5 and deviation 0.25 of the pixel
    range, normalised as the user's pictures would be; other floats standard normal numbers;
    integers uniform ones below their limit; masks ones, booleans true, text the empty string.

    Args:
        slots: The inputs.
        count: Samples wanted.
        rng: Source of randomness. The first k samples of an input are the same for every count, and
            do not depend on the other inputs' shapes.
        options: How pictures become inputs.
        limits: By name of an integer input, what its numbers must stay below; 2 if unknown.
        fill_with: What integer inputs get.

    Returns:
        By name, shape (count, *shape); and a sentence about each kind of input. An input without a
        batch axis is drawn once and repeated, without a copy, beside others that have one: a batch
        can hold only one of it.
    """
    arrays: dict[str, Array] = {}
    drawn_as: dict[str, list[str]] = {}
    batches = any(slot.batch_axis is not None for slot in slots)
    for slot, stream in zip(slots, rng.spawn(len(slots)), strict=True):
        recipe = _recipe(slot, options, limits.get(slot.name, 2), fill_with)
        shared = batches and slot.batch_axis is None
        sentence = recipe.sentence + (", the same for all samples" if shared else "")
        drawn_as.setdefault(sentence, []).append(slot.name)
        array = _draw(slot, recipe, 1 if shared else count, stream, options)
        arrays[slot.name] = np.broadcast_to(array, (count, *slot.shape)) if shared else array
    notes = tuple(
        f"drawn for input{'s' if len(names) > 1 else ''} {listed(names)}: {sentence}"
        for sentence, names in drawn_as.items()
    )
    return arrays, notes


def picture_slots(slots: Sequence[Slot], options: ImageOptions) -> tuple[Slot, ...]:
    """Find the inputs that get pictures when samples are drawn.

    Args:
        slots: The inputs.
        options: What the user says of them.

    Returns:
        Float and uint8 inputs with a channel axis, or of the layout that the user names.
    """
    return tuple(slot for slot in slots if _geometry(slot, options) is not None)


def picture_moments(slot: Slot, options: ImageOptions) -> tuple[Geometry, Floats, Floats] | None:
    """Say what drawn pictures look like to the model, for a prior over them.

    Args:
        slot: The input.
        options: How pictures become inputs.

    Returns:
        Where the pictures' axes are, and mean and deviation of each channel in input units,
        shape (c,) each; ``None`` if the input gets no pictures.

    Example:
        >>> slot = Slot("x", np.dtype("float32"), (3, 8, 8), 0)
        >>> picture_moments(slot, ImageOptions(mean=(0.5,), std=(0.5,)))[1:]
        (array([0., 0., 0.]), array([0.5, 0.5, 0.5]))
    """
    geometry = _geometry(slot, options)
    if geometry is None:
        return None
    pixels = np.array([PIXEL_MEAN, PIXEL_MEAN + PIXEL_DEVIATION])
    both = np.tile(pixels, (1, geometry.channels or 1, 1))
    if slot.dtype.kind == "f":
        both = normalise(both, options, PIXEL_SCALE, slot.name)
    mean, above = both[0].T
    return geometry, mean, above - mean


def _geometry(slot: Slot, options: ImageOptions) -> Geometry | None:
    if slot.dtype.kind != "f" and slot.dtype != np.uint8:
        return None
    geometry = find_geometry(slot.shape, options.layout)
    return geometry if geometry and (geometry.is_certain or options.layout == "flat") else None


def _recipe(slot: Slot, options: ImageOptions, limit: int, fill_with: Fill) -> _Recipe:
    if slot.dtype.hasobject:
        return _Recipe("empty text", "constant", constant="")
    if slot.dtype.kind == "b":
        return _Recipe("true", "constant", constant=1)
    if "mask" in slot.name.lower():
        return _Recipe("ones, as a mask that hides nothing", "constant", constant=1)
    if geometry := _geometry(slot, options):
        sentence = (
            "noise with the power spectrum of photographs, mean 0.5 and deviation 0.25 of the "
            "pixel range"
        )
        return _Recipe(sentence, "picture", geometry=geometry)
    if slot.dtype.kind == "f" and slot.size == 1 and slot.batch_axis is None:
        return _Recipe("1, as a setting that changes nothing", "constant", constant=1)
    if slot.dtype.kind == "f":
        return _Recipe("standard normal numbers", "normal")
    if fill_with != "drawn":
        return _Recipe(fill_with, "constant", constant=int(fill_with == "ones"))
    limit = max(1, min(limit, int(np.iinfo(slot.dtype).max)))
    return _Recipe(f"uniform integers from 0 to {limit - 1}", "integers", limit=limit)


def _draw(
    slot: Slot, recipe: _Recipe, count: int, rng: np.random.Generator, options: ImageOptions
) -> Array:
    if recipe.draw == "constant":
        return np.full((count, *slot.shape), recipe.constant, slot.dtype)
    out = np.empty((count, *slot.shape), slot.dtype)
    block = max(1, _BLOCK_BYTES // (8 * slot.size))
    for start in range(0, count, block):
        part = out[start : start + block]
        if recipe.geometry:
            _fill_pictures(part, recipe.geometry, rng, options, slot.name)
        elif recipe.draw == "normal":
            part[...] = rng.standard_normal(part.shape)
        else:
            part[...] = rng.integers(recipe.limit, size=part.shape)
    return out


def _fill_pictures(
    out: Array, geometry: Geometry, rng: np.random.Generator, options: ImageOptions, of: str
) -> None:
    c, h, w = geometry.channels or 1, geometry.height or 1, geometry.width or 1
    pixels = PIXEL_MEAN + PIXEL_DEVIATION * draw_natural_noise(len(out), c, h, w, rng)
    if out.dtype == np.uint8:
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    fill(pixels, out, geometry, options, of, PIXEL_SCALE)
