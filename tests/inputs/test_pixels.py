from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from onnxprobe.errors import DataError
from onnxprobe.inputs import Geometry, ImageOptions
from onnxprobe.inputs.pixels import adapt, fill, resize
from onnxprobe.inputs.preprocessing import Resize
from onnxprobe.types import Array

PLAIN = ImageOptions()


def _pixels(*shape: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_grey_becomes_colour_by_repetition() -> None:
    """Every channel holds the same picture."""
    pixels = _pixels(2, 4, 5, 1)
    planes = adapt(pixels, Geometry(3, 4, 5, "NCHW", 3), PLAIN, "x")
    for channel in range(3):
        np.testing.assert_array_equal(planes[:, channel], pixels[..., 0])


def test_colour_becomes_grey_as_pillow_does_it() -> None:
    """ITU-R BT.601 luma, rounded to the nearest."""
    pixels = _pixels(1, 40, 50, 3)
    grey = adapt(pixels, Geometry(1, 40, 50, "NCHW", 3), PLAIN, "x")
    expected = np.asarray(Image.fromarray(pixels[0]).convert("L"))
    np.testing.assert_array_equal(grey[0, 0], expected)


def test_floats_become_grey_without_rounding() -> None:
    """The same weights, which sum to 1 within their 16 bits."""
    pixels = np.array([[[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]])
    grey = adapt(pixels, Geometry(1, 1, 3, "NCHW", 3), PLAIN, "x")
    np.testing.assert_allclose(grey[0, 0, 0], [0.299, 0.587, 0.114], atol=1e-5)


def test_transparency_is_dropped() -> None:
    """Both on the way to colour and on the way to grey."""
    pixels = _pixels(1, 4, 5, 4)
    planes = adapt(pixels, Geometry(3, 4, 5, "NCHW", 3), PLAIN, "x")
    np.testing.assert_array_equal(planes[0], pixels[0, ..., :3].transpose(2, 0, 1))
    grey = adapt(pixels, Geometry(1, 4, 5, "NCHW", 3), PLAIN, "x")
    np.testing.assert_array_equal(
        grey, adapt(pixels[..., :3], Geometry(1, 4, 5, "NCHW", 3), PLAIN, "x")
    )


def test_four_channels_are_kept_where_four_are_taken() -> None:
    """And cannot be made of three."""
    pixels = _pixels(1, 4, 5, 4)
    geometry = Geometry(4, 4, 5, "NCHW", 3)
    assert adapt(pixels, geometry, PLAIN, "x").shape == (1, 4, 4, 5)
    message = (
        "input 'x' takes pictures of 4 channels, but those given have 3; "
        "give arrays of its own shape"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        adapt(pixels[..., :3], geometry, PLAIN, "x")


@pytest.mark.parametrize(("channels", "order"), [(3, [2, 1, 0]), (4, [2, 1, 0, 3]), (1, [0])])
def test_blue_first_turns_the_colours_round(channels: int, order: list[int]) -> None:
    """Grey and transparency stay."""
    pixels = _pixels(1, 4, 5, channels)
    geometry = Geometry(channels, 4, 5, "NCHW", 3)
    planes = adapt(pixels, geometry, ImageOptions(channels="bgr"), "x")
    np.testing.assert_array_equal(planes[0], pixels[0].transpose(2, 0, 1)[order])


def test_transposition_swaps_rows_and_columns_before_the_size() -> None:
    """A picture of 4×6 fills an input of 6×4 exactly."""
    pixels = _pixels(1, 4, 6, 1)
    planes = adapt(pixels, Geometry(1, 6, 4, "NCHW", 3), ImageOptions(transpose=True), "x")
    np.testing.assert_array_equal(planes[0, 0], pixels[0, ..., 0].T)


def test_stretching_is_pillows_bilinear_filter() -> None:
    """With its antialiasing where pictures shrink."""
    pixels = _pixels(2, 20, 30, 3)
    resized = resize(pixels, 7, 9, "stretch")
    for row in range(2):
        image = Image.fromarray(pixels[row]).resize((9, 7), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(resized[row], np.asarray(image))


def test_cropping_keeps_the_middle_and_the_proportions() -> None:
    """Cropping is scaling until the shorter side fits, then cutting on both sides."""
    pixels = _pixels(1, 10, 20, 1)
    scaled = resize(pixels, 5, 10, "stretch")[:, :, 2:8]
    np.testing.assert_array_equal(resize(pixels, 5, 6, "crop"), scaled)
    tall = np.swapaxes(pixels, 1, 2)
    np.testing.assert_array_equal(resize(tall, 6, 5, "crop"), np.swapaxes(scaled, 1, 2))


@settings(deadline=None)
@given(st.tuples(*[st.integers(1, 70)] * 4), st.sampled_from(["stretch", "crop"]))
def test_every_size_can_be_made_of_every_other(
    sizes: tuple[int, int, int, int], how: Resize
) -> None:
    """Edges of the part that is kept never leave the picture by rounding."""
    h, w, height, width = sizes
    resized = resize(np.full((1, h, w, 1), 77, np.uint8), height, width, how)
    assert resized.shape == (1, height, width, 1)
    assert (resized == 77).all()


def test_floats_are_resized_as_floats() -> None:
    """A ramp stays a ramp, beyond 0..255 too."""
    ramp = np.linspace(-1000, 1000, 64).reshape(1, 1, 64, 1).repeat(4, axis=1)
    resized = resize(ramp, 2, 16, "stretch")
    assert resized.dtype == np.float64
    inner = np.diff(resized[0, 0, 2:-2, 0])
    np.testing.assert_allclose(inner, inner[0], rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_pixels_are_normalised_in_float64_and_rounded_once(dtype: str) -> None:
    """The same number as the formula gives, in the input's own type."""
    options = ImageOptions(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    planes = _pixels(5, 3, 4, 6)
    out = np.empty((5, 4, 6, 3), dtype)
    fill(planes, out, Geometry(3, 4, 6, "NHWC", 3), options, "x")
    mean, std = (np.array(numbers)[:, None, None] for numbers in (options.mean, options.std))
    exact = (planes.astype(np.float64) * (1 / 255) - mean) / std
    np.testing.assert_array_equal(out, exact.transpose(0, 2, 3, 1).astype(dtype))


def test_floats_are_normalised_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """With scale 1 unless one is chosen, and the same result for every size of block."""
    planes = np.random.default_rng(0).standard_normal((7, 1, 3, 3))
    geometry = Geometry(1, 3, 3, "NCHW", 3)
    whole, blocks = np.empty((2, 7, 1, 3, 3), np.float32)
    fill(planes, whole, geometry, ImageOptions(mean=(1.0,)), "x")
    monkeypatch.setattr("onnxprobe.inputs.pixels._BLOCK_BYTES", 2 * 9 * 8)
    fill(planes, blocks, geometry, ImageOptions(mean=(1.0,)), "x")
    np.testing.assert_array_equal(whole, blocks)
    np.testing.assert_array_equal(whole, (planes - 1).astype(np.float32))


def test_integer_inputs_take_pixels_as_they_are() -> None:
    """In their own type, if it can hold 0 to 255."""
    planes = _pixels(2, 3, 4, 5)
    out = np.empty((2, 3, 4, 5), np.int32)
    fill(planes, out, Geometry(3, 4, 5, "NCHW", 3), PLAIN, "x")
    np.testing.assert_array_equal(out, planes)


def test_integer_inputs_are_not_normalised() -> None:
    """Rounding would destroy what the options promise."""
    message = "input 'x' takes uint8 pixels as they are; leave out --scale, --mean and --std"
    planes = _pixels(1, 1, 4, 4)
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        fill(planes, planes.copy(), Geometry(1, 4, 4, "NCHW", 3), ImageOptions(mean=(1.0,)), "x")


@pytest.mark.parametrize(
    ("planes", "dtype", "message"),
    [
        (
            np.full((1, 1, 4, 4), 200, np.uint8),
            "int8",
            (
                "the normalised picture holds 200, which input 'x' of type int8 cannot take; "
                "give values that fit int8"
            ),
        ),
        (
            np.full((1, 1, 4, 4), 1e6),
            "float16",
            (
                "the normalised picture holds 1000000.0, which input 'x' of type float16 cannot "
                "take; give values that fit float16"
            ),
        ),
    ],
)
def test_pixels_beyond_the_inputs_type_are_refused(planes: Array, dtype: str, message: str) -> None:
    """Rather than wrapped round or made infinite."""
    out = np.empty((1, 1, 4, 4), dtype)
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        fill(planes, out, Geometry(1, 4, 4, "NCHW", 3), PLAIN, "x")
