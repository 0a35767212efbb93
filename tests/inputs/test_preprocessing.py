from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.errors import DataError
from onnxprobe.inputs import ImageOptions
from onnxprobe.inputs.preprocessing import PIXEL_SCALE, normalise


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"mean": ()}, "--mean is empty; expected one finite number, or one a channel"),
        (
            {"mean": (0.5, math.nan)},
            "--mean is 0.5,nan; expected one finite number, or one a channel",
        ),
        ({"std": (math.inf,)}, "--std is inf; expected one finite number, or one a channel"),
        ({"std": (0.5, 0.0, 0.5)}, "--std is 0.5,0,0.5; expected numbers above 0"),
        ({"scale": 0.0}, "--scale is 0; expected a number above 0"),
        ({"scale": math.inf}, "--scale is inf; expected a number above 0"),
        ({"layout": "CHW"}, "--layout is 'CHW'; expected one of auto, NCHW, NHWC, flat"),
        ({"channels": "grey"}, "--channels is 'grey'; expected one of rgb, bgr"),
        ({"resize": "pad"}, "--resize is 'pad'; expected one of stretch, crop"),
    ],
)
def test_options_that_mean_nothing_are_refused(chosen: dict[str, Any], message: str) -> None:
    """At once, before any data is read."""
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        ImageOptions(**chosen)


def test_options_know_whether_they_were_chosen() -> None:
    """Numbers and axes are chosen apart from each other."""
    assert ImageOptions().is_default
    assert ImageOptions().is_raw
    assert not ImageOptions().is_geometric
    assert not ImageOptions(resize="crop").is_default
    assert not ImageOptions(scale=1.0).is_raw
    assert ImageOptions(mean=(0.0, 0.0, 0.0), layout="NHWC").is_raw
    assert ImageOptions(mean=[0.0], std=[1.0]).is_default  # type: ignore[arg-type]
    for geometric in (
        ImageOptions(layout="flat"),
        ImageOptions(transpose=True),
        ImageOptions(channels="bgr"),
    ):
        assert geometric.is_geometric


@given(
    st.floats(1e-3, 10), st.tuples(*[st.floats(-5, 5)] * 3), st.tuples(*[st.floats(0.01, 5)] * 3)
)
def test_normalising_is_the_formula(
    scale: float, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """(value·scale − mean)/std, each channel with its own numbers, in float64."""
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 5)).astype(np.uint8)
    result = normalise(values, ImageOptions(scale, mean, std), PIXEL_SCALE, "x")
    for channel in range(3):
        expected = (values[:, channel].astype(float) * scale - mean[channel]) / std[channel]
        np.testing.assert_allclose(result[:, channel], expected, rtol=1e-12, atol=1e-12)


def test_the_default_scale_gives_way_to_a_chosen_one() -> None:
    """Pixels go to 0..1 unless the user says otherwise."""
    values = np.array([[[255]]], np.uint8)
    assert normalise(values, ImageOptions(), PIXEL_SCALE, "x").item() == 1.0
    assert normalise(values, ImageOptions(scale=1.0), PIXEL_SCALE, "x").item() == 255.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ImageOptions(mean=(0.1, 0.2, 0.3)),
            (
                "--mean gives 3 numbers, but input 'x' takes 1 channel; "
                "give one number, or one a channel"
            ),
        ),
        (
            ImageOptions(std=(0.1, 0.2)),
            (
                "--std gives 2 numbers, but input 'x' takes 1 channel; "
                "give one number, or one a channel"
            ),
        ),
    ],
)
def test_numbers_for_other_channels_are_refused(options: ImageOptions, message: str) -> None:
    """The input is named, with the channels it takes."""
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        normalise(np.zeros((2, 1, 4)), options, 1.0, "x")
