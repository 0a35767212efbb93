"""The image prior: natural images are smooth, and their channels move together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from onnxprobe.shapes import axes
from onnxprobe.spectrum.eigen import Eigensystem, eigensystem
from onnxprobe.spectrum.prior import Prior
from onnxprobe.types import Floats

__all__ = ["ChannelAxis", "ImageLayout", "image_prior"]

ChannelAxis: TypeAlias = Literal["first", "last"] | None

#: Correlation between the colours of a pixel.
_CHANNEL_CORRELATION = 0.9


@dataclass(frozen=True)
class ImageLayout:
    """How the elements of an image are ordered in memory.

    Attributes:
        height: Rows.
        width: Columns.
        channels: Colours; 1 without a channel axis.
        channel_axis: Before the rows, after the columns, or ``None`` for a grey image without one.
    """

    height: int
    width: int
    channels: int = 1
    channel_axis: ChannelAxis = "first"

    def __post_init__(self) -> None:
        if min(self.height, self.width, self.channels) < 1:
            raise ValueError(f"an image has at least one row, column and channel, got {self}")
        if self.channel_axis is None and self.channels != 1:
            raise ValueError(f"{self.channels} channels need a channel axis, 'first' or 'last'")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image, in its own order."""
        if self.channel_axis is None:
            return (self.height, self.width)
        if self.channel_axis == "first":
            return (self.channels, self.height, self.width)
        return (self.height, self.width, self.channels)

    @property
    def size(self) -> int:
        """Elements of one image."""
        return self.height * self.width * self.channels


def image_prior(
    layout: ImageLayout, deviations: Sequence[float] | NDArray[np.floating], limit: int
) -> Prior:
    """Describe images nobody has seen by the statistics that natural images share.

    The covariance is ``M ⊗ T``: over channels ``M_cd = 0.9·s_c·s_d`` off its diagonal ``s_c²``;
    over pixels ``T = Φᵀ·diag(p)·Φ`` with Φ the orthonormal two-dimensional DCT-II and power
    ``p ∝ 1/(1 + f_x² + f_y²)`` over its indices f, normalised to a mean of 1. The variance of a
    pixel of channel c, averaged over the image, is then ``s_c²``. The principal directions are
    products of an eigenvector of M and a DCT mode.

    Args:
        layout: Order of the elements.
        deviations: Standard deviation of each channel, shape (C,).
        limit: Directions to keep at most, K.

    Returns:
        The K strongest directions, in the order of the flattened image.

    Raises:
        ShapeError: If there is not one deviation per channel.
        ValueError: If a deviation is negative or not finite.

    Source:
        Power falling as 1/f²: Field 1987; the channel correlation is this program's choice.

    Example:
        >>> prior = image_prior(ImageLayout(4, 4, channel_axis=None), [0.25], limit=1)
        >>> prior.directions.round(12).tolist()[0][:3], prior.trace  # the flat image leads
        ([0.25, 0.25, 0.25], 1.0)
    """
    colours = _colours(layout, deviations)
    variances = (colours.values[:, None, None] * _power(layout)).ravel()
    order = np.argsort(-variances, kind="stable")
    strongest, rest = order[:limit], order[limit:]
    channel, fy, fx = np.unravel_index(strongest, (layout.channels, layout.height, layout.width))
    pixels = _cosines(layout.height)[fy][:, :, None] * _cosines(layout.width)[fx][:, None, :]
    directions = _arrange(layout, pixels, colours.vectors.T[channel])
    trace = float(variances.sum())
    outside = float(variances[rest].max(initial=0.0))
    return Prior("image", layout.size, trace, directions, variances[strongest], outside)


def _power(layout: ImageLayout) -> Floats:
    """Return the variance of each DCT mode, shape (H, W), with mean 1."""
    fy, fx = np.ogrid[: layout.height, : layout.width]
    power = 1.0 / (1.0 + np.square(fx, dtype=np.float64) + np.square(fy, dtype=np.float64))
    normalised: Floats = power / power.mean()
    return normalised


def _colours(
    layout: ImageLayout, deviations: Sequence[float] | NDArray[np.floating]
) -> Eigensystem:
    # Principal colours: the eigensystem of the channel covariance M.
    s = np.asarray(deviations, dtype=np.float64)
    axes(s, "C", of="deviations", C=layout.channels)
    if not (np.isfinite(s).all() and np.all(s >= 0)):
        raise ValueError(f"deviations must be finite and not negative, got {s.tolist()}")
    correlation = np.full((len(s), len(s)), _CHANNEL_CORRELATION)
    np.fill_diagonal(correlation, 1.0)
    system = eigensystem(correlation * np.outer(s, s))
    assert system is not None, "finite deviations have a finite covariance"
    return system


def _cosines(length: int) -> Floats:
    """Return the orthonormal DCT-II: row f is the basis vector of frequency f."""
    basis: Floats = scipy.fft.dct(np.eye(length), type=2, norm="ortho", axis=0)
    return basis


def _arrange(layout: ImageLayout, pixels: Floats, colours: Floats) -> Floats:
    """Return products of images (K, H, W) and colours (K, C), flattened in the layout's order."""
    if layout.channel_axis == "last":
        rows = pixels[..., None] * colours[:, None, None, :]
    else:
        rows = colours[:, :, None, None] * pixels[:, None]
    return rows.reshape(len(pixels), layout.size)
