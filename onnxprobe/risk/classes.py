"""How tightly the activations of a class lie together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxprobe.shapes import axes
from onnxprobe.types import Floats

__all__ = ["ClassRadius", "class_radius"]


@dataclass(frozen=True)
class ClassRadius:
    """The intra-class mean-squared radius of a tensor.

    Attributes:
        classes: Classes with at least two samples; the others say nothing.
        radius: Mean squared distance of their samples from the mean of their class, summed over
            elements, in units of the tensor squared.
        share: The same, relative to the mean squared distance of all of them from their common
            mean; ``None`` if there is none.
    """

    classes: int
    radius: float
    share: float | None


def class_radius(gram: Floats, labels: NDArray[Any]) -> ClassRadius | None:
    """Measure how far samples lie from the mean of their class.

    With ``R_c² = E[‖z − μ_c‖² | c]``, pooled over classes: what a reconstruction that knows no more
    than the class leaves of a tensor, and what an attacker could still tell inputs of a class by.
    Distances follow from inner products: ``‖z_i − μ_c‖² = G_ii − 2·mean_j G_ij + mean_jk G_jk``.

    Args:
        gram: Inner products of the samples, from any common origin, shape (N, N).
        labels: The class of each, shape (N,).

    Returns:
        The radius; ``None`` if no class has two samples.

    Raises:
        ValueError: If the matrix is not finite.

    Source:
        Liu & Zhu 2025, arXiv 2506.15412, which gives the radius by class.

    Example:
        >>> x = np.array([[0.0], [2.0], [10.0], [12.0]])
        >>> class_radius(x @ x.T, np.array([0, 0, 1, 1]))
        ClassRadius(classes=2, radius=1.0, share=0.038461538461538464)
    """
    count, _ = axes(gram, "N N", of="gram")
    axes(labels, "N", of="labels", N=count)
    if not np.isfinite(gram).all():
        raise ValueError("a Gram matrix must be finite")
    groups = [np.flatnonzero(labels == each) for each in np.unique(labels)]
    groups = [each for each in groups if len(each) > 1]
    if not groups:
        return None
    used = np.concatenate(groups)
    radius = sum(_scatter(gram, each) for each in groups) / len(used)
    whole = _scatter(gram, used) / len(used)
    return ClassRadius(len(groups), radius, radius / whole if whole > 0 else None)


def _scatter(gram: Floats, members: NDArray[np.intp]) -> float:
    """Sum squared distances of some samples from their mean."""
    block = gram[np.ix_(members, members)]
    return max(0.0, float(np.trace(block) - block.mean() * len(members)))
