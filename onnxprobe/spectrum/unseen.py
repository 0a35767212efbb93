"""What directions that were not looked at add to the outputs that others move."""

from __future__ import annotations

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.spectrum.eigen import eigensystem, rounding_floor
from onnxprobe.types import Floats

__all__ = ["unseen_energies"]


def unseen_energies(gram: Floats, overlaps: Floats) -> Floats | None:
    """Project what further directions do to a tensor onto the outputs that the main ones move.

    For orthonormal main directions V (k, n), a further unit vector q, and U an orthonormal basis of
    the outputs ``J·Vᵀ``, computes ``‖Uᵀ·J·(I − VᵀV)·q‖²``. For random q this estimates how much of
    the unseen part of the Jacobian falls where the seen part shows, which is all that can hide it.

    It needs inner products of tangents alone: with ``G = V·JᵀJ·Vᵀ = E·Λ·Eᵀ`` the projection is
    ``Λ^(-1/2)·Eᵀ·c``, ``c = V·JᵀJ·q − G·V·q``. Outputs that the main directions move by no more
    than rounding are left out of U.

    Args:
        gram: Inner products of the tangents of main and further directions, shape (t, t), the main
            ones first.
        overlaps: Inner products of further (rows) and main directions, shape (p, k), t = k + p.

    Returns:
        Squared output units per squared input unit, shape (p,); ``None`` if a number is not finite.

    Raises:
        ShapeError: If sizes disagree.

    Source:
        Projection onto the span of vectors by their Gram matrix.

    Example:
        >>> tangents = np.array([[2.0, 0.0], [3.0, 4.0]])  # of (1, 0) and (0, 1)
        >>> unseen_energies(tangents @ tangents.T, np.array([[0.0]])).round(12).tolist()
        [9.0]
    """
    p, k = axes(overlaps, "p k", of="overlaps")
    axes(gram, "t t", of="gram", t=k + p)
    if not (np.isfinite(gram).all() and np.isfinite(overlaps).all()):
        return None
    main = gram[:k, :k]
    system = eigensystem(main)
    if system is None:
        return None
    largest = float(system.values.max(initial=0.0))
    kept = system.values > rounding_floor(largest, k) ** 2
    along = system.vectors[:, kept].T @ (gram[:k, k:] - main @ overlaps.T)
    energies: Floats = np.sum(np.square(along) / system.values[kept, None], axis=0)
    return energies
