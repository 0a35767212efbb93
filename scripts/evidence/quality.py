"""How good reconstructions are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

__all__ = ["psnr", "quality", "r_squared", "reidentified", "ssim"]

Array = NDArray[Any]


def r_squared(truth: Array, guess: Array, mean: Array) -> float:
    """Return the share of variance about ``mean`` that a guess recovers, pooled over pixels."""
    return float(1 - np.sum((truth - guess) ** 2) / np.sum((truth - mean) ** 2))


def psnr(truth: Array, guess: Array) -> float:
    """Return the mean over images of the peak signal-to-noise ratio in dB, for a peak of 1."""
    error = np.mean((truth - guess) ** 2, axis=tuple(range(1, truth.ndim)))
    return float(np.mean(-10 * np.log10(np.maximum(error, 1e-12))))


def ssim(truth: Array, guess: Array) -> float:
    """Return the mean structural similarity, over windows of 7 × 7 pixels for a range of 1.

    Args:
        truth: Images, shape (samples, channels, height, width).
        guess: The same.

    Returns:
        1 for equal images.

    Source:
        Wang et al. 2004; uniform windows, at most as wide as the image.
    """
    side = min(7, truth.shape[2] - 1 + truth.shape[2] % 2)
    window = (1, 1, side, side)
    x, y = truth.astype(np.float64), guess.astype(np.float64)
    mean_x, mean_y = uniform_filter(x, window), uniform_filter(y, window)
    unbiased = side**2 / (side**2 - 1)
    var_x = unbiased * (uniform_filter(x * x, window) - mean_x**2)
    var_y = unbiased * (uniform_filter(y * y, window) - mean_y**2)
    both = unbiased * (uniform_filter(x * y, window) - mean_x * mean_y)
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_x * mean_y + c1) * (2 * both + c2)
    bottom = (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    edge = side // 2
    inner = (top / bottom)[:, :, edge : x.shape[2] - edge, edge : x.shape[3] - edge]
    return float(inner.mean())


def reidentified(guess: Array, gallery: Array, labels: Array, gallery_labels: Array) -> float:
    """Return the share of guesses whose nearest picture of a gallery has their label.

    Args:
        guess: Reconstructions, shape (samples, ...).
        gallery: Pictures, shape (pictures, ...).
        labels: What each guess should be found as.
        gallery_labels: What each picture is.

    Returns:
        Between 0 and 1.
    """
    pictures = gallery.reshape(len(gallery), -1)
    # The squared distance, less what is the same for every picture.
    distances = np.sum(pictures**2, 1) - 2 * (guess.reshape(len(guess), -1) @ pictures.T)
    return float(np.mean(gallery_labels[distances.argmin(1)] == labels))


def quality(truth: Array, guess: Array, mean: Array) -> dict[str, float]:
    """Return all measures of quality of reconstructions of images.

    Args:
        truth: Images, shape (samples, channels, height, width), in [0, 1].
        guess: The same.
        mean: The image that somebody guesses who sees nothing.

    Returns:
        ``r2``, ``mse``, ``mse_error`` (standard error over images), ``psnr``, ``ssim``, ``found``:
        the share of images whose reconstruction is nearer to them than to any other.
    """
    each = np.mean((truth - guess) ** 2, axis=(1, 2, 3))
    index = np.arange(len(truth))
    return {
        "r2": r_squared(truth, guess, mean),
        "mse": float(each.mean()),
        "mse_error": float(each.std(ddof=1) / np.sqrt(len(each))),
        "psnr": psnr(truth, guess),
        "ssim": ssim(truth, guess),
        "found": reidentified(guess, truth, index, index),
    }
