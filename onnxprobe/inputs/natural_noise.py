"""Noise with the power spectrum of photographs."""

from __future__ import annotations

import numpy as np

from onnxprobe.types import Floats

__all__ = ["CHANNEL_CORRELATION", "dct_power", "draw_natural_noise"]

CHANNEL_CORRELATION = 0.9


def draw_natural_noise(
    rows: int, channels: int, height: int, width: int, rng: np.random.Generator
) -> Floats:
    """Draw Gaussian fields with power 1/(1 + f_x² + f_y²) in the DCT basis.

    Args:
        rows: Fields to draw; drawing them in several calls gives the same ones.
        channels: Channels of each, pairwise correlated by 0.9.
        height: Rows of pixels.
        width: Columns.
        rng: Source of randomness.

    Returns:
        Shape (rows, channels, height, width), mean 0; the variance of a pixel, averaged over the
        field, is 1.

    Source:
        The 1/f² power spectrum of natural images: Field 1987, J. Opt. Soc. Am. A 4, 2379.

    Example:
        >>> draw_natural_noise(2, 3, 8, 8, np.random.default_rng(0)).shape
        (2, 3, 8, 8)
    """
    # One field that all channels share and one of their own: no matrix product, whose rounding
    # would depend on the number of threads.
    white = rng.standard_normal((rows, channels + (channels > 1), height, width))
    mixed = white
    if channels > 1:
        mixed = np.sqrt(1 - CHANNEL_CORRELATION) * white[:, 1:]
        mixed += np.sqrt(CHANNEL_CORRELATION) * white[:, :1]
    return _inverse_dct(_inverse_dct(mixed * np.sqrt(dct_power(height, width)), 2), 3)


def dct_power(height: int, width: int) -> Floats:
    """Compute the variance of each coefficient of the orthonormal DCT-II.

    Args:
        height: Rows of pixels.
        width: Columns.

    Returns:
        Shape (height, width), with mean 1, so that pixels have variance 1 on average.
    """
    rows, columns = np.arange(height), np.arange(width)
    power: Floats = 1 / (1.0 + rows[:, None] ** 2 + columns**2)
    power /= power.mean()
    return power


def _inverse_dct(coefficients: Floats, axis: int) -> Floats:
    # The orthonormal DCT-III through one Fourier transform of the same length (Makhoul 1980, IEEE
    # Trans. Acoust. Speech Signal Process. 28, 27): scipy has it too, but the command line imports
    # this room and is kept free of scipy.
    x = np.moveaxis(coefficients, axis, -1)
    n = x.shape[-1]
    k = np.arange(n // 2 + 1)
    backwards = np.concatenate([np.zeros_like(x[..., :1]), x[..., :0:-1]], axis=-1)
    spectrum = (x[..., : len(k)] - 1j * backwards[..., : len(k)]) * np.exp(0.5j * np.pi * k / n)
    spectrum *= np.sqrt(n / 2)
    spectrum[..., 0] *= np.sqrt(2)
    values = np.fft.irfft(spectrum, n)
    result = np.empty_like(x)
    result[..., ::2] = values[..., : (n + 1) // 2]
    result[..., 1::2] = values[..., : (n - 1) // 2 : -1] if n > 1 else 0
    return np.moveaxis(result, -1, axis)
