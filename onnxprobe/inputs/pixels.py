"""Pictures in memory: their channels, their size, and their way into an input."""

from __future__ import annotations

import numpy as np
from PIL import Image

from onnxprobe.errors import DataError
from onnxprobe.inputs.conversion import convert
from onnxprobe.inputs.geometry import Geometry
from onnxprobe.inputs.preprocessing import PIXEL_SCALE, ImageOptions, Resize, normalise
from onnxprobe.shapes import axes
from onnxprobe.types import Array

__all__ = ["adapt", "fill", "resize"]

# ITU-R BT.601 luma, in 16-bit fixed point as Pillow has it.
_RED, _GREEN, _BLUE = 19595, 38470, 7471
_BLOCK_BYTES = 2**25
_LABEL = "the normalised picture"


def adapt(pixels: Array, geometry: Geometry, options: ImageOptions, of: str) -> Array:
    """Give pictures the channels and the size that an input takes.

    Grey becomes colour by repetition, colour becomes grey by its ITU-R BT.601 luma; transparency
    is dropped.

    Args:
        pixels: Shape (n, h, w, c), uint8 or floats, with c = 1 (grey), 3 (colour) or 4 (colour and
            transparency).
        geometry: Of the input, nothing open.
        options: Transposition, order of colours, and how to resize.
        of: The input, for the message.

    Returns:
        Shape (n, channels, height, width), of the same type.

    Raises:
        DataError: If the input takes four channels and the pictures have fewer.
    """
    if options.transpose:
        pixels = pixels.swapaxes(1, 2)
    pixels = _recolour(pixels, geometry.channels or 1, of)
    height, width = geometry.height or 1, geometry.width or 1
    if pixels.shape[1:3] != (height, width):
        pixels = resize(pixels, height, width, options.resize)
    if options.channels == "bgr" and pixels.shape[3] > 1:
        pixels = pixels[..., [2, 1, 0, 3][: pixels.shape[3]]]
    return np.moveaxis(pixels, 3, 1)


def fill(
    planes: Array,
    out: Array,
    geometry: Geometry,
    options: ImageOptions,
    of: str,
    scale: float = 1.0,
) -> None:
    """Normalise pictures into the rows of an input.

    Args:
        planes: Shape (n, c, h, w), as `adapt` gives them.
        out: Shape (n, *shape of one sample). Integers take pixels as they are.
        geometry: Of the input, nothing open.
        options: Scale, mean and deviation.
        of: The input, for the message.
        scale: The scale of floats if none was chosen; that of uint8 is 1/255.

    Raises:
        DataError: If means or deviations do not match the channels, or pixels the type of ``out``.
    """
    n, c, h, w = axes(planes, "n c h w", of="planes")
    if out.dtype.kind != "f":
        _fill_raw(planes, out, geometry, options, of)
        return
    if planes.dtype == np.uint8:
        # Each of the 256 pixel values is normalised once, in float64.
        values = np.broadcast_to(np.arange(256, dtype=np.uint8), (1, c, 256))
        table = convert(normalise(values, options, PIXEL_SCALE, of)[0], out.dtype, _LABEL, of)
        numbers = np.empty((n, c, h, w), out.dtype)
        for channel in range(c):
            numbers[:, channel] = table[channel][planes[:, channel]]
        out[...] = geometry.arrange(numbers)
        return
    block = max(1, _BLOCK_BYTES // (c * h * w * 8))
    for start in range(0, n, block):
        rows = slice(start, start + block)
        values = planes[rows].reshape(-1, c, h * w)
        part = convert(normalise(values, options, scale, of), out.dtype, _LABEL, of)
        out[rows] = geometry.arrange(part.reshape(-1, c, h, w))


def resize(pixels: Array, height: int, width: int, how: Resize) -> Array:
    """Change the size of pictures, bilinearly and without aliasing.

    Args:
        pixels: Shape (n, h, w, c), uint8 or floats.
        height: Rows wanted.
        width: Columns wanted.
        how: ``"stretch"``; or ``"crop"``, the largest part from the middle that has the right
            proportions.

    Returns:
        Shape (n, height, width, c), of the same type.
    """
    n, h, w, c = axes(pixels, "n h w c", of="pixels")
    # The part that is kept; rounding must not push its edges out of the picture.
    across = min(w, h * width / height) if how == "crop" else w
    down = min(h, w * height / width) if how == "crop" else h
    left, top = (w - across) / 2, (h - down) / 2
    box = (left, top, min(w, left + across), min(h, top + down))
    resized = np.empty((n, height, width, c), pixels.dtype)
    whole = pixels.dtype == np.uint8
    for row in range(n):
        for channel in range(c):
            plane = np.ascontiguousarray(pixels[row, :, :, channel])
            image = Image.fromarray(plane if whole else plane.astype(np.float32))
            scaled = image.resize((width, height), Image.Resampling.BILINEAR, box)
            resized[row, :, :, channel] = np.asarray(scaled)
    return resized


def _recolour(pixels: Array, channels: int, of: str) -> Array:
    available = pixels.shape[3]
    if available == channels:
        return pixels
    if channels == 4:
        raise DataError(
            f"input {of!r} takes pictures of 4 channels, but those given have {available}; "
            "give arrays of its own shape"
        )
    if available == 1:
        return np.repeat(pixels, channels, axis=3)
    if channels == 3:
        return pixels[..., :3]
    whole = pixels.dtype == np.uint8
    red, green, blue = np.moveaxis(pixels[..., :3].astype(np.int32 if whole else np.float64), 3, 0)
    luma = red * _RED + green * _GREEN + blue * _BLUE
    grey = (luma + 2**15) >> 16 if whole else luma / 2**16
    result: Array = grey.astype(pixels.dtype)[..., None]
    return result


def _fill_raw(
    planes: Array, out: Array, geometry: Geometry, options: ImageOptions, of: str
) -> None:
    if not options.is_raw:
        raise DataError(
            f"input {of!r} takes {out.dtype} pixels as they are; "
            "leave out --scale, --mean and --std"
        )
    out[...] = geometry.arrange(convert(planes, out.dtype, _LABEL, of))
