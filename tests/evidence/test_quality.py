"""Quality of reconstructions whose quality is known."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.evidence.quality import psnr, quality, r_squared, reidentified, ssim

IMAGES = np.random.default_rng(0).random((6, 1, 8, 8))


def test_a_perfect_guess_is_perfect_and_the_mean_recovers_nothing() -> None:
    mean = IMAGES.mean(0)
    assert r_squared(IMAGES, IMAGES, mean) == 1.0
    assert r_squared(IMAGES, np.broadcast_to(mean, IMAGES.shape), mean) == 0.0
    assert ssim(IMAGES, IMAGES) == pytest.approx(1)


def test_psnr_of_a_constant_error() -> None:
    """An error of 0.1 everywhere is 20 dB below a peak of 1."""
    assert psnr(IMAGES, IMAGES + 0.1) == pytest.approx(20)


def test_ssim_of_one_window_is_its_formula() -> None:
    """On 7 × 7 pixels there is one window, and the formula can be written out."""
    x, y = np.random.default_rng(1).random((2, 1, 1, 7, 7))
    var = np.cov(x.ravel(), y.ravel())
    c1, c2 = 1e-4, 9e-4
    expected = (2 * x.mean() * y.mean() + c1) * (2 * var[0, 1] + c2)
    expected /= (x.mean() ** 2 + y.mean() ** 2 + c1) * (var[0, 0] + var[1, 1] + c2)
    assert ssim(x, y) == pytest.approx(expected)


def test_the_nearest_picture_names_the_guess() -> None:
    """The slow twin looks at every distance."""
    rng = np.random.default_rng(2)
    guess = IMAGES + 0.3 * rng.standard_normal(IMAGES.shape)
    nearest = [np.argmin([np.sum((g - image) ** 2) for image in IMAGES]) for g in guess]
    index = np.arange(6)
    assert reidentified(guess, IMAGES, index, index) == np.mean(nearest == index)
    assert reidentified(IMAGES[::-1], IMAGES, index, index) == 0.0


def test_all_measures_of_a_guess() -> None:
    found = quality(IMAGES, IMAGES + 0.1, IMAGES.mean(0))
    assert found["mse"] == pytest.approx(0.01)
    assert found["mse_error"] == pytest.approx(0, abs=1e-12)
    assert found["found"] == 1.0
