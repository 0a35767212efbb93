from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.inputs import Geometry, find_geometry
from onnxprobe.inputs.dimensions import Dim
from onnxprobe.inputs.preprocessing import Layout

GREY = (28, 28, 1)
COLOUR = (28, 28, 3)


@pytest.mark.parametrize(
    ("dims", "layout", "picture", "expected"),
    [
        ((3, 8, 9), "auto", None, Geometry(3, 8, 9, "NCHW", 3)),
        ((1, 28, 28), "auto", None, Geometry(1, 28, 28, "NCHW", 3)),
        ((8, 9, 3), "auto", None, Geometry(3, 8, 9, "NHWC", 3)),
        ((4, 31, 47), "auto", None, Geometry(4, 31, 47, "NCHW", 3)),
        ((3, 30, 4), "auto", None, Geometry(3, 30, 4, "NCHW", 3)),
        ((4, 30, 3), "auto", None, Geometry(3, 4, 30, "NHWC", 3)),
        ((3, "h", "w"), "auto", None, Geometry(3, None, None, "NCHW", 3)),
        (("h", "w", 3), "auto", None, Geometry(3, None, None, "NHWC", 3)),
        ((28, 28), "auto", None, Geometry(1, 28, 28, "NHW", 2)),
        ((1, 1, 3, 8, 8), "auto", None, Geometry(3, 8, 8, "NCHW", 5)),
        ((32, 56, 56), "auto", None, None),
        (("c", "h", "w"), "auto", None, None),
        (("c", "h", "w"), "NCHW", None, Geometry(None, None, None, "NCHW", 3)),
        (("h", "w", "c"), "NHWC", None, Geometry(None, None, None, "NHWC", 3)),
        ((3, 8, 3), "NHWC", None, Geometry(3, 3, 8, "NHWC", 3)),
        ((3, 2, 2), "auto", None, None),
        ((3, 2, 2), "NCHW", None, Geometry(3, 2, 2, "NCHW", 3)),
        ((8, 9, 3), "NCHW", None, None),
        ((2, 3, 8, 8), "auto", None, None),
        ((28, 28), "NCHW", None, None),
        ((2, 128), "auto", None, None),
        ((), "auto", None, None),
        ((1, 1, 5), "auto", None, None),
        ((784,), "auto", None, None),
        ((784,), "auto", GREY, Geometry(1, 28, 28, "flat", 1)),
        ((784,), "auto", COLOUR, Geometry(1, 28, 28, "flat", 1)),
        ((2352,), "auto", GREY, Geometry(3, 28, 28, "flat", 1)),
        ((3136,), "auto", (28, 28, 4), Geometry(4, 28, 28, "flat", 1)),
        ((784, 1), "auto", GREY, Geometry(1, 28, 28, "flat", 2, 0)),
        ((1, 784), "auto", GREY, Geometry(1, 28, 28, "flat", 2, 1)),
        ((784,), "auto", (32, 32, 3), None),
        ((784,), "flat", (32, 32, 3), Geometry(1, 28, 28, "flat", 1)),
        ((784,), "flat", None, Geometry(1, 28, 28, "flat", 1)),
        ((3072,), "flat", None, Geometry(3, 32, 32, "flat", 1)),
        ((785,), "flat", None, None),
        ((9,), "flat", None, None),
        (("d",), "flat", None, Geometry(None, None, None, "flat", 1)),
        (("d",), "auto", GREY, None),
        ((28, 28), "flat", None, None),
    ],
)
def test_pictures_axes_are_found(
    dims: tuple[Dim, ...],
    layout: Layout,
    picture: tuple[int, int, int] | None,
    expected: Geometry | None,
) -> None:
    """From sizes where they are plain, from the user's word where they are not."""
    assert find_geometry(dims, layout, picture) == expected


def test_pictures_decide_what_is_open() -> None:
    """And nothing else."""
    geometry = Geometry(3, None, 9, "NCHW", 3).fixed(5, 6, 1)
    assert (geometry.channels, geometry.height, geometry.width) == (3, 5, 9)


@pytest.mark.parametrize(
    ("geometry", "shape"),
    [
        (Geometry(3, 2, 4, "NCHW", 3), (3, 2, 4)),
        (Geometry(3, 2, 4, "NCHW", 5), (1, 1, 3, 2, 4)),
        (Geometry(3, 2, 4, "NHWC", 3), (2, 4, 3)),
        (Geometry(1, 2, 4, "NHW", 2), (2, 4)),
        (Geometry(3, 2, 4, "flat", 1), (24,)),
        (Geometry(3, 2, 4, "flat", 3, 1), (1, 24, 1)),
    ],
)
def test_planes_are_arranged_as_the_input_has_them(
    geometry: Geometry, shape: tuple[int, ...]
) -> None:
    """The shape and the order of the numbers agree with the layout."""
    channels = geometry.channels or 0
    planes = np.arange(2 * channels * 8).reshape(2, channels, 2, 4)
    arranged = geometry.arrange(planes)
    assert geometry.shape == shape
    assert arranged.shape == (2, *shape)
    expected = planes.transpose(0, 2, 3, 1) if geometry.layout == "NHWC" else planes
    np.testing.assert_array_equal(arranged.ravel(), expected.ravel())


def test_a_channel_axis_makes_pictures_certain() -> None:
    """Any matrix could be a grey picture."""
    assert Geometry(1, 8, 8, "NHWC", 3).is_certain
    assert not Geometry(1, 8, 8, "NHW", 2).is_certain
    assert not Geometry(1, 8, 8, "flat", 1).is_certain
