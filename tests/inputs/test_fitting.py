from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.inputs.dimensions import Dim
from onnxprobe.inputs.fitting import Fit, PictureView, fit_shape, view_pictures
from onnxprobe.inputs.geometry import Geometry, find_geometry
from onnxprobe.inputs.slots import OpenSlot


def _slot(dims: tuple[Dim, ...] | None, axis: int | None = 0) -> OpenSlot:
    return OpenSlot("x", np.dtype("float32"), dims, axis)


@pytest.mark.parametrize(
    ("what", "shape", "dims", "axis", "fit"),
    [
        ("samples in front", (9, 3, 4), (3, 4), 0, Fit(9, 0, (3, 4))),
        ("open dimensions", (9, 3, 4), ("a", "b"), 0, Fit(9, 0, (3, 4))),
        ("scalars", (9,), (), 0, Fit(9, 0, ())),
        ("samples in front of a model that has them further in", (9, 2, 4), (2, 4), 1,
         Fit(9, 0, (2, 4))),
        ("samples where the model has them", (2, 9, 4), (2, 4), 1, Fit(9, 1, (2, 4))),
        ("two samples either way", (2, 2, 4), (2, 4), 1, Fit(2, 0, (2, 4))),
        ("other sizes where the model has samples", (3, 9, 4), (2, 4), 1, None),
        ("no room for an axis further in", (2,), (2, 4), 1, None),
        ("one sample", (3, 4), (3, 4), 0, Fit(1, None, (3, 4))),
        ("one sequence", (7,), ("seq",), 0, Fit(1, None, (7,))),
        ("one scalar", (), (), None, Fit(1, None, ())),
        ("a missing axis of size 1", (9, 28, 28), (1, 28, 28), 0, Fit(9, 0, (1, 28, 28))),
        ("an axis of size 1 too many", (9, 1, 50), (50,), 0, Fit(9, 0, (50,))),
        ("size 1 on the other side", (9, 1, 28, 28), (28, 28, 1), 0, Fit(9, 0, (28, 28, 1))),
        ("one of them open", (9, 5, 1), (1, "seq"), 0, Fit(9, 0, (1, 5))),
        ("one sample, an axis missing", (28, 28), (1, 28, 28), 0, Fit(1, None, (1, 28, 28))),
        ("a vector of scalars in a vector", (9,), (1,), 0, Fit(9, 0, (1,))),
        ("a scalar in a vector", (), (1,), None, Fit(1, None, (1,))),
        ("flat grey pictures", (9, 784), (1, 28, 28), 0, Fit(9, 0, (1, 28, 28))),
        ("grey pictures for a flat input", (9, 28, 28), (784,), 0, Fit(9, 0, (784,))),
        ("flat pictures in colour", (9, 3072), (3, 32, 32), 0, None),
        ("pictures in colour for a flat input", (9, 32, 32, 3), (3072,), 0, None),
        ("channels last for channels first", (9, 32, 32, 3), (3, 32, 32), 0, None),
        ("other counts", (9, 783), (784,), 0, None),
        ("flat for open dimensions", (9, 784), (2, "h", "w"), 0, None),
        ("an unknown rank", (9, 3, 4), None, 0, Fit(9, 0, (3, 4))),
        ("a scalar for an unknown rank", (), None, 0, None),
        ("a scalar for a vector", (), (784,), 0, None),
    ],
)  # fmt: skip
def test_samples_are_found_in_arrays(
    what: str,
    shape: tuple[int, ...],
    dims: tuple[Dim, ...] | None,
    axis: int | None,
    fit: Fit | None,
) -> None:
    """Wherever only one reading is sensible; else not."""
    assert fit_shape(shape, _slot(dims, axis)) == fit, what


@pytest.mark.parametrize(
    ("what", "shape", "dims", "view"),
    [
        ("grey", (9, 28, 30), (1, 28, 30), PictureView(9, 28, 30, 1)),
        ("channels last", (9, 8, 7, 3), (3, 8, 8), PictureView(9, 8, 7, 3, channel_axis=3)),
        ("with transparency", (9, 8, 7, 4), (3, 8, 8), PictureView(9, 8, 7, 4, channel_axis=3)),
        ("channels first", (9, 3, 8, 7), (8, 8, 3), PictureView(9, 8, 7, 3, channel_axis=1)),
        ("either, last in most files", (9, 3, 8, 4), (3, 16, 16),
         PictureView(9, 3, 8, 4, channel_axis=3)),
        ("either, but just so in the input", (9, 3, 8, 4), (3, 8, 4),
         PictureView(9, 8, 4, 3, channel_axis=1)),
        ("flat grey", (9, 784), (1, 28, 28), PictureView(9, 28, 28, 1)),
        ("one grey picture", (20, 30), (1, 28, 28), PictureView(1, 20, 30, 1, True)),
        ("one picture in colour", (20, 30, 3), (3, 28, 28),
         PictureView(1, 20, 30, 3, True, 3)),
        ("one picture just as the input has it", (3, 28, 28), (3, 28, 28),
         PictureView(1, 28, 28, 3, True, 1)),
        ("three grey pictures", (3, 30, 28), (3, 28, 28), PictureView(3, 30, 28, 1)),
        ("no channels anywhere", (9, 8, 8, 5), (3, 8, 8), None),
        ("a vector", (784,), (1, 28, 28), None),
        ("films", (9, 5, 8, 8, 3), (3, 8, 8), None),
        ("vectors for a vector", (9, 784), (784,), None),
        ("grey pictures for a vector", (9, 28, 28), (784,), PictureView(9, 28, 28, 1)),
        ("pictures for an unknown rank", (9, 28, 28), None, PictureView(9, 28, 28, 1)),
    ],
)  # fmt: skip
def test_pictures_are_seen_in_arrays(
    what: str,
    shape: tuple[int, ...],
    dims: tuple[Dim, ...] | None,
    view: PictureView | None,
) -> None:
    """Of every order of axes in use."""
    geometry = find_geometry(dims, "auto") if dims else None
    assert view_pictures(shape, dims, geometry) == view, what


@pytest.mark.parametrize(
    "shape", [(9, 4, 6), (9, 4, 6, 3), (9, 3, 4, 6), (9, 24), (4, 6), (4, 6, 3), (3, 4, 6)]
)
def test_pixels_come_in_one_order_of_axes(shape: tuple[int, ...]) -> None:
    """Samples, rows, columns, channels; the same pixel under each view."""
    channels = 3 if 3 in shape else 1
    dims = (channels, 4, 6)
    view = view_pictures(shape, dims, find_geometry(dims, "auto"))
    assert view is not None
    values = np.arange(np.prod(shape)).reshape(shape)
    pixels = view.pixels(values)
    count = 9 if 9 in shape else 1
    assert pixels.shape == (count, 4, 6, channels)
    first = 3 in {shape[0], shape[1]}
    expected = values.reshape((count, channels, 4, 6) if first else (count, 4, 6, channels))
    np.testing.assert_array_equal(pixels, np.moveaxis(expected, 1, 3) if first else expected)


def test_a_single_view_without_channels_is_none() -> None:
    """A matrix for an input that takes pictures of no such shape."""
    geometry = Geometry(3, 8, 8, "NCHW", 3)
    assert view_pictures((8, 8, 5, 5), (3, 8, 8), geometry) is None
