"""What a Jacobian does to lengths of directions: ``JᵀJ`` as seen through some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.spectrum import Spectrum, gram, gram_spectrum
from onnxprobe.types import Array, Floats

__all__ = ["Pullback", "mean_pullback"]


@dataclass(frozen=True)
class Pullback:
    """``V JᵀJ Vᵀ`` for orthonormal directions V (k, n), by its smaller description.

    Attributes:
        gram: The matrix itself, shape (k, k); ``None`` where the factor is smaller.
        factor: Derivatives ``V Jᵀ``, shape (k, m), where m < k.
    """

    gram: Floats | None = None
    factor: Floats | None = None

    def __post_init__(self) -> None:
        if self.gram is not None:
            axes(self.gram, "k k", of="gram")
        if self.factor is not None:
            axes(self.factor, "k m", of="factor")
        if (self.gram is None) == (self.factor is None):
            raise ValueError("a pullback is held as its Gram matrix or as a factor, not both")

    @property
    def directions(self) -> int:
        """How many directions it is seen through."""
        held = self.gram if self.gram is not None else self.factor
        assert held is not None
        return len(held)

    @property
    def is_finite(self) -> bool:
        """Whether every entry is finite."""
        held = self.gram if self.gram is not None else self.factor
        assert held is not None
        return bool(np.isfinite(held).all())

    def first(self, count: int) -> Pullback:
        """Keep the leading directions only.

        Args:
            count: How many.

        Returns:
            The pullback through them.
        """
        if self.gram is not None:
            return Pullback(gram=self.gram[:count, :count])
        assert self.factor is not None
        return Pullback(factor=self.factor[:count])

    def rotated(self, directions: Array) -> Pullback:
        """See the Jacobian through combinations of the directions.

        Args:
            directions: New directions in terms of the old ones, orthonormal rows, shape (K, k).

        Returns:
            The pullback through K directions.
        """
        axes(directions, "K k", of="directions", k=self.directions)
        if self.gram is not None:
            half = directions @ self.gram
            return Pullback(gram=half @ directions.T)
        assert self.factor is not None
        return Pullback(factor=directions @ self.factor)

    def spectrum(
        self, floor: float, *, complete: bool, bound: float | None = None
    ) -> Spectrum | None:
        """Compute the singular values of the Jacobian restricted to the directions.

        Args:
            floor: Noise floor of the Jacobian, in output units per input unit.
            complete: Whether the directions span the source.
            bound: Upper bound of the largest singular value of the whole Jacobian.

        Returns:
            At most min(k, m) values; ``None`` if an entry is not finite.
        """
        if self.gram is not None:
            return gram_spectrum(self.gram, floor=floor, complete=complete, bound=bound)
        assert self.factor is not None
        if not np.isfinite(self.factor).all():
            return None
        narrow = np.ascontiguousarray(self.factor.T)
        return gram_spectrum(gram(narrow), floor=floor, complete=complete, bound=bound)


def mean_pullback(pullbacks: Sequence[Pullback]) -> Pullback:
    """Average ``JᵀJ`` over samples.

    Args:
        pullbacks: One per sample, through the same directions.

    Returns:
        Their mean; a factor as long as the stacked factors stay narrow.
    """
    count = len(pullbacks)
    factors = [pullback.factor for pullback in pullbacks if pullback.factor is not None]
    if len(factors) == count:
        stacked = np.concatenate(factors, axis=1) / np.sqrt(count)
        return Pullback(factor=stacked) if stacked.shape[1] < len(stacked) else _filled(stacked)
    total = np.zeros((pullbacks[0].directions,) * 2)
    for pullback in pullbacks:
        held = pullback if pullback.gram is not None else _filled(pullback.factor)
        assert held.gram is not None
        total += held.gram
    return Pullback(gram=total / count)


def _filled(factor: Floats | None) -> Pullback:
    assert factor is not None
    return Pullback(gram=gram(factor))
