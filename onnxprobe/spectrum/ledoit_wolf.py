"""Ledoit–Wolf shrinkage: how far to trust a covariance estimated from few samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.types import Floats

__all__ = ["Shrinkage", "ledoit_wolf"]


@dataclass(frozen=True)
class Shrinkage:
    """A covariance pulled towards a multiple of the identity: ``(1 − α)·S + α·μ·I``.

    Attributes:
        intensity: α, between 0 (keep S) and 1 (keep only its mean variance).
        target: μ, the mean variance of a feature, tr S/d, with divisor n − 1.
    """

    intensity: float
    target: float


def ledoit_wolf(squares: Floats, squared_norms: Floats, features: int) -> Shrinkage:
    """Find the shrinkage of the least expected squared error, without forming the covariance.

    With ``S = Σ x xᵀ/n`` of centred samples, ``δ² = ‖S − (tr S/d)·I‖²`` and the error of S
    ``β² = Σ‖x xᵀ − S‖²/n²``, the best intensity is estimated by ``min(β²/δ², 1)``. Both need only
    ``tr S = tr G/n``, ``‖S‖² = ‖G‖²/n²`` and ``Σ‖x xᵀ − S‖² = Σ‖x‖⁴ − n‖S‖²``, which the Gram
    matrix G of the samples has as well as their scatter matrix.

    Args:
        squares: Centred Gram matrix, shape (n, n), or scatter matrix, shape (d, d), of the samples.
        squared_norms: ``‖x‖²`` of each centred sample, shape (n,); the diagonal of the Gram matrix.
        features: Elements of a sample, d.

    Returns:
        Intensity and target. Samples without variance are not shrunk; samples whose covariance is
        already a multiple of the identity are shrunk to it.

    Raises:
        ValueError: If there are fewer than two samples.

    Source:
        Ledoit & Wolf 2004, Journal of Multivariate Analysis 88, 365–411.

    Example:
        >>> x = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
        >>> shrinkage = ledoit_wolf(x @ x.T, (x * x).sum(axis=1), features=2)
        >>> round(shrinkage.intensity, 6), round(shrinkage.target, 6)  # 17/18, 5/3
        (0.944444, 1.666667)
    """
    axes(squares, "r r", of="squares")
    (n,) = axes(squared_norms, "n", of="squared norms")
    if n < 2:
        raise ValueError(f"a covariance needs at least 2 samples, got {n}")
    trace = float(np.trace(squares))
    if trace == 0.0:
        return Shrinkage(intensity=0.0, target=0.0)
    target = trace / (n - 1) / features
    # In units of tr S, so that no fourth power overflows.
    energy = float(np.square(squares / trace).sum())
    spread = energy - 1 / features
    error = float(np.square(squared_norms / trace).sum()) - energy / n
    if error <= 0.0:
        return Shrinkage(intensity=0.0, target=target)
    intensity = 1.0 if error >= spread else error / spread
    return Shrinkage(intensity=intensity, target=target)
