"""Priors: what an attacker knows about the input before seeing anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from onnxprobe.shapes import axes
from onnxprobe.types import Floats

__all__ = ["Prior", "PriorKind", "isotropic_prior", "join_priors"]

PriorKind: TypeAlias = Literal["data", "image", "isotropic"]

#: From the best founded to the worst.
_KINDS: tuple[PriorKind, ...] = ("data", "image", "isotropic")

#: A share this close to 1 is the whole: what is missing is rounding.
_WHOLE = 1 - 1e-9


@dataclass(frozen=True, eq=False)
class Prior:
    """A Gaussian over the flattened input, by its leading principal directions.

    Attributes:
        kind: Where it comes from.
        size: Elements of the flattened input, n.
        trace: Total variance, tr Σ.
        directions: Leading principal directions as orthonormal rows, shape (K, n), or ``None``
            where every orthonormal basis is one (isotropic).
        variances: Variance along each of them, shape (K,), descending; all n where there are no
            directions.
        outside: Upper bound of the variance along any unit vector orthogonal to the directions;
            ``None`` if it is no more than along the last of them.
    """

    kind: PriorKind
    size: int
    trace: float
    directions: Floats | NDArray[np.float32] | None
    variances: Floats
    outside: float | None = None

    def __post_init__(self) -> None:
        (k,) = axes(self.variances, "K", of="variances")
        if self.directions is None:
            axes(self.variances, "n", of="variances", n=self.size)
        else:
            axes(self.directions, "K n", of="directions", K=k, n=self.size)
        if not (math.isfinite(self.trace) and self.trace >= 0):
            raise ValueError(f"a total variance is finite and not negative, got {self.trace}")
        if not (np.isfinite(self.variances).all() and np.all(self.variances >= 0)):
            raise ValueError("variances must be finite and not negative")
        if self.outside is not None and not (math.isfinite(self.outside) and self.outside >= 0):
            raise ValueError(f"a variance is finite and not negative, got {self.outside} outside")
        if np.any(np.diff(self.variances) > 0):
            raise ValueError("variances must be descending, the leading directions first")
        if self.variances.sum() > self.trace * (1 + 1e-6):
            carried = float(self.variances.sum())
            raise ValueError(
                f"directions cannot carry {carried:.6g} of a total variance of {self.trace:.6g}"
            )

    @property
    def share(self) -> float:
        """Share of the total variance along the directions; 1 if there is no variance at all."""
        return min(1.0, float(self.variances.sum()) / self.trace) if self.trace > 0 else 1.0

    def is_spanned_by(self, count: int) -> bool:
        """Tell whether leading directions carry all of the variance, up to rounding.

        Args:
            count: Leading directions.

        Returns:
            True if nothing of the prior lies outside them.
        """
        return float(self.variances[:count].sum()) >= _WHOLE * self.trace

    def beyond(self, count: int) -> float:
        """Bound the variance along any direction orthogonal to the leading ones.

        Args:
            count: Leading directions.

        Returns:
            The next variance, or what lies outside of all of them if that may be more; no more than
            what is left of the total.
        """
        rest = max(0.0, self.trace - float(self.variances[:count].sum()))
        known = rest if self.outside is None else self.outside
        if self.outside is None and self.variances.size:
            known = float(self.variances[-1])  # they are the leading ones
        return min(rest, max(known, float(self.variances[count:].max(initial=0.0))))

    def leading(self, limit: int) -> Prior:
        """Keep only the strongest directions.

        Args:
            limit: Directions to keep at most.

        Returns:
            A prior with the same total variance; an isotropic one is returned as it is.
        """
        if self.directions is None or limit >= len(self.directions):
            return self
        return Prior(
            self.kind,
            self.size,
            self.trace,
            self.directions[:limit],
            self.variances[:limit],
            self.beyond(limit),
        )


def isotropic_prior(size: int, variance: float = 1.0) -> Prior:
    """Assume nothing but a scale: independent elements of equal variance.

    Args:
        size: Elements of the flattened input, n.
        variance: Variance of each.

    Returns:
        A prior without directions, because every orthonormal basis is principal.

    Example:
        >>> isotropic_prior(3, variance=2.0).trace
        6.0
    """
    return Prior("isotropic", size, size * variance, None, np.full(size, float(variance)))


def join_priors(priors: Sequence[Prior], limit: int) -> Prior:
    """Describe several independent inputs, flattened one after the other, by one prior.

    Args:
        priors: One per input, in order.
        limit: Directions to keep at most, the strongest over all inputs.

    Returns:
        The block-diagonal prior. Its kind is the worst founded among the inputs, since it can be
        trusted no further. It stays without directions if all inputs are isotropic with one
        variance.

    Raises:
        ValueError: If there is no input.

    Example:
        >>> joint = join_priors([isotropic_prior(1, 4.0), isotropic_prior(2, 9.0)], limit=2)
        >>> joint.directions.tolist(), joint.variances.tolist(), joint.trace
        ([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [9.0, 9.0], 22.0)
    """
    if not priors:
        raise ValueError("a joint prior needs at least one input, got none")
    if len(priors) == 1:
        return priors[0].leading(limit)
    size = sum(prior.size for prior in priors)
    variances = np.concatenate([prior.variances for prior in priors])
    if all(prior.directions is None for prior in priors) and np.ptp(variances) == 0:
        return isotropic_prior(size, float(variances[0]))
    strongest = np.argsort(-variances, kind="stable")[:limit]
    directions = np.zeros((len(strongest), size))
    column = row = 0
    outside = float(np.delete(variances, strongest).max(initial=0.0))
    for prior in priors:
        if prior.directions is not None:
            outside = max(outside, prior.beyond(len(prior.variances)))
        here = slice(column, column + prior.size)
        own = strongest - row
        mine = np.flatnonzero((own >= 0) & (own < len(prior.variances)))
        if prior.directions is None:
            directions[mine, column + own[mine]] = 1.0
        else:
            directions[mine, here] = prior.directions[own[mine]]
        column += prior.size
        row += len(prior.variances)
    kind = max((prior.kind for prior in priors), key=_KINDS.index)
    trace = math.fsum(prior.trace for prior in priors)
    return Prior(kind, size, trace, directions, variances[strongest], outside)
