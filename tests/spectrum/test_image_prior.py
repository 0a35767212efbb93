from __future__ import annotations

from itertools import product
from math import cos, pi, sqrt

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import ChannelAxis, ImageLayout, image_prior
from onnxprobe.types import Floats

LAYOUTS = [
    ImageLayout(3, 4, channel_axis=None),
    ImageLayout(4, 3, 1, "first"),
    ImageLayout(3, 4, 3, "first"),
    ImageLayout(3, 4, 3, "last"),
    ImageLayout(1, 1, 2, "last"),
    ImageLayout(5, 1, 2, "first"),
]


def _mode(frequency: int, position: int, length: int) -> float:
    scale = sqrt(1 / length) if frequency == 0 else sqrt(2 / length)
    return scale * cos(pi * (2 * position + 1) * frequency / (2 * length))


def _slow_covariance(layout: ImageLayout, deviations: list[float]) -> Floats:
    """Every pair of elements, by the definition."""
    h, w = layout.height, layout.width
    frequencies = list(product(range(h), range(w)))
    power = {(fy, fx): 1 / (1 + fy**2 + fx**2) for fy, fx in frequencies}
    mean = sum(power.values()) / (h * w)

    def place(index: int) -> tuple[int, int, int]:
        where = np.unravel_index(index, layout.shape)
        if layout.channel_axis is None:
            return 0, int(where[0]), int(where[1])
        c, y, x = where if layout.channel_axis == "first" else (where[2], where[0], where[1])
        return int(c), int(y), int(x)

    places = [place(i) for i in range(layout.size)]
    covariance = np.zeros((layout.size, layout.size))
    for i, (c1, y1, x1) in enumerate(places):
        for j, (c2, y2, x2) in enumerate(places):
            pixels = sum(
                power[fy, fx]
                / mean
                * (_mode(fy, y1, h) * _mode(fx, x1, w) * _mode(fy, y2, h) * _mode(fx, x2, w))
                for fy, fx in frequencies
            )
            colours = deviations[c1] * deviations[c2] * (1.0 if c1 == c2 else 0.9)
            covariance[i, j] = colours * pixels
    return covariance


def _deviations(layout: ImageLayout) -> list[float]:
    return [0.2, 0.3, 0.25][: layout.channels]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_all_directions_rebuild_the_covariance_element_by_element(layout: ImageLayout) -> None:
    prior = image_prior(layout, _deviations(layout), limit=layout.size)
    slow = _slow_covariance(layout, _deviations(layout))
    assert prior.directions is not None
    rebuilt = prior.directions.T * prior.variances @ prior.directions
    np.testing.assert_allclose(rebuilt, slow, atol=1e-14)
    identity = np.eye(layout.size)
    np.testing.assert_allclose(prior.directions @ prior.directions.T, identity, atol=1e-13)
    assert prior.trace == pytest.approx(np.trace(slow), rel=1e-12)
    assert prior.is_spanned_by(layout.size)
    assert prior.kind == "image"


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_leading_directions_are_the_strongest_eigenvectors(layout: ImageLayout) -> None:
    limit = max(1, layout.size // 3)
    prior = image_prior(layout, _deviations(layout), limit)
    slow = np.linalg.eigvalsh(_slow_covariance(layout, _deviations(layout)))[::-1]
    assert len(prior.variances) == limit
    np.testing.assert_allclose(prior.variances, slow[:limit], rtol=1e-10)
    assert prior.share == pytest.approx(slow[:limit].sum() / slow.sum(), rel=1e-10)


@pytest.mark.parametrize("axis", ["first", "last"])
def test_the_mean_variance_of_each_channel_is_its_own(axis: ChannelAxis) -> None:
    layout = ImageLayout(8, 6, 3, axis)
    deviations = [0.1, 0.2, 0.4]
    prior = image_prior(layout, deviations, limit=layout.size)
    assert prior.directions is not None
    variances = prior.variances @ np.square(prior.directions)
    pixels = tuple({0, 1, 2} - {0 if axis == "first" else 2})
    means = variances.reshape(layout.shape).mean(axis=pixels)
    np.testing.assert_allclose(means, np.square(deviations), rtol=1e-12)


def test_a_photograph_sized_prior_is_built_without_its_covariance() -> None:
    layout = ImageLayout(64, 48, 3, "last")
    prior = image_prior(layout, [0.25] * 3, limit=16)
    assert prior.directions is not None
    assert prior.directions.shape == (16, 64 * 48 * 3)
    np.testing.assert_allclose(prior.directions @ prior.directions.T, np.eye(16), atol=1e-13)
    assert 0.3 < prior.share < 1


def test_images_without_deviation_have_no_variance() -> None:
    layout = ImageLayout(3, 3, 2, "first")
    prior = image_prior(layout, [0.0, 0.0], limit=5)
    assert (prior.trace, prior.share) == (0.0, 1.0)


def test_a_channel_without_deviation_stays_still() -> None:
    layout = ImageLayout(3, 3, 2, "first")
    prior = image_prior(layout, [0.0, 0.5], layout.size)
    assert prior.directions is not None
    moving = prior.directions[prior.variances > 0].reshape(-1, 2, 9)
    assert len(moving) == 9
    np.testing.assert_allclose(moving[:, 0], 0.0, atol=1e-15)


def test_a_layout_that_is_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one row, column and channel"):
        ImageLayout(0, 3)
    with pytest.raises(ValueError, match="3 channels need a channel axis, 'first' or 'last'"):
        ImageLayout(4, 4, 3, None)


@pytest.mark.parametrize("wrong", [-0.1, np.nan, np.inf])
def test_a_deviation_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="deviations must be finite and not negative"):
        image_prior(ImageLayout(2, 2), [wrong], limit=4)


def test_every_channel_needs_a_deviation() -> None:
    with pytest.raises(ShapeError, match=r"deviations must have axes \(C\), C=3"):
        image_prior(ImageLayout(2, 2, 3), [0.25], limit=4)
