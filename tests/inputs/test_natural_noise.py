from __future__ import annotations

import numpy as np
import pytest
import scipy.fft

from onnxprobe.inputs import CHANNEL_CORRELATION, dct_power, draw_natural_noise
from onnxprobe.inputs.natural_noise import _inverse_dct
from onnxprobe.spectrum import ImageLayout, image_prior


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8, 9, 28, 31, 224])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_transform_is_scipys(length: int, axis: int) -> None:
    """Orthonormal DCT-III, for lengths odd and even, to the rounding of float64."""
    x = np.random.default_rng(0).standard_normal((length, 3) if axis == 0 else (3, length))
    expected = scipy.fft.idct(x, axis=axis, norm="ortho")
    np.testing.assert_allclose(_inverse_dct(x, axis), expected, atol=1e-14)


def test_power_falls_with_the_square_of_frequency() -> None:
    """1/(1 + f_x² + f_y²) up to a factor that makes the mean 1."""
    power = dct_power(8, 16)
    assert power.shape == (8, 16)
    assert power.mean() == pytest.approx(1.0)
    assert power[0, 0] / power[3, 4] == pytest.approx(26.0)


def test_drawn_fields_have_the_power_that_is_promised() -> None:
    """Coefficient by coefficient, within the error of 20,000 draws (5 standard errors)."""
    fields = draw_natural_noise(20_000, 1, 4, 6, np.random.default_rng(0))
    coefficients = scipy.fft.dctn(fields, axes=(2, 3), norm="ortho")
    ratio = coefficients.var(axis=(0, 1)) / dct_power(4, 6)
    np.testing.assert_allclose(ratio, 1.0, atol=5 * np.sqrt(2 / 20_000))
    assert np.abs(coefficients.mean(axis=0)).max() < 5 * np.sqrt(dct_power(4, 6).max() / 20_000)


def test_channels_move_together() -> None:
    """Every pair correlates by 0.9, and each channel has variance 1."""
    fields = draw_natural_noise(5_000, 3, 8, 8, np.random.default_rng(0))
    pixels = fields.transpose(1, 0, 2, 3).reshape(3, -1)
    covariance = np.cov(pixels)
    expected = np.full((3, 3), CHANNEL_CORRELATION) + (1 - CHANNEL_CORRELATION) * np.eye(3)
    np.testing.assert_allclose(covariance, expected, atol=0.05)


@pytest.mark.parametrize("channels", [1, 3])
def test_drawn_pictures_have_the_covariance_of_the_prior_over_them(channels: int) -> None:
    """The room that draws and the room that assumes mean the same law."""
    draws, side = 40_000, 3
    fields = draw_natural_noise(draws, channels, side, side, np.random.default_rng(0))
    layout = ImageLayout(side, side, channels, "first")
    prior = image_prior(layout, [1.0] * channels, layout.size)
    assert prior.directions is not None
    assumed = (prior.directions.T * prior.variances) @ prior.directions
    drawn = np.cov(fields.reshape(draws, -1).T)
    np.testing.assert_allclose(drawn, assumed, atol=8 * assumed.max() / np.sqrt(draws))


def test_drawing_in_parts_gives_the_same_fields() -> None:
    """So that blocks may be of any size."""
    whole = draw_natural_noise(5, 3, 4, 4, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    parts = [draw_natural_noise(rows, 3, 4, 4, rng) for rows in (1, 3, 1)]
    np.testing.assert_array_equal(whole, np.concatenate(parts))
