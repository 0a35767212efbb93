"""How large samples are: what their rounding errors are measured against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.types import Array, Floats

__all__ = ["Magnitudes"]

_BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True, eq=False)
class Magnitudes:
    """Sums of squares of samples, by sample and of the largest feature.

    Attributes:
        samples: ``Σ_j x_ij²`` of each sample, shape (n,).
        largest_feature: ``max_j Σ_i x_ij²``.
        features: Elements of a sample, d.
    """

    samples: Floats
    largest_feature: float
    features: int

    @classmethod
    def of(cls, samples: Array) -> Magnitudes:
        """Measure samples, block by block of features, in float64.

        Args:
            samples: Shape (n, d), real numbers of any type.

        Returns:
            Their sums of squares; not finite if an element is not, or its square overflows.

        Raises:
            ShapeError: If the samples are not a matrix.

        Example:
            >>> magnitudes = Magnitudes.of(np.array([[3.0, 4.0], [0.0, 5.0]]))
            >>> magnitudes.samples.tolist(), magnitudes.largest_feature, magnitudes.rms
            ([25.0, 25.0], 41.0, 3.5355339059327378)
        """
        n, d = axes(samples, "n d", of="samples")
        totals, largest = np.zeros(n), 0.0
        step = max(64, _BLOCK_BYTES // (8 * max(n, 1)))
        for i in range(0, d if n else 0, step):
            block = samples[:, i : i + step].astype(np.float64)
            with np.errstate(over="ignore"):  # what overflows is not finite, and says so
                np.square(block, out=block)
                totals += block.sum(axis=1)
                # Not max(): it would drop a NaN.
                largest = float(np.maximum(largest, block.sum(axis=0).max()))
        return cls(totals, largest, d)

    def joined(self, other: Magnitudes) -> Magnitudes:
        """Add the same samples' other features.

        Args:
            other: Magnitudes of a disjoint group of features, shape (n,) too.

        Returns:
            Magnitudes of both groups together.

        Raises:
            ShapeError: If the number of samples differs.
        """
        (n,) = axes(self.samples, "n", of="samples")
        axes(other.samples, "n", of="samples of the other features", n=n)
        largest = float(np.maximum(self.largest_feature, other.largest_feature))
        return Magnitudes(self.samples + other.samples, largest, self.features + other.features)

    @property
    def rms(self) -> float:
        """Root mean square of all elements; 0 without any."""
        count = self.samples.size * self.features
        return math.sqrt(float(self.samples.sum()) / count) if count else 0.0

    @property
    def is_finite(self) -> bool:
        """Whether no element was infinite, not a number, or too large to square."""
        return math.isfinite(self.largest_feature) and bool(np.isfinite(self.samples).all())

    def rounding_norm(self, epsilon: float) -> float:
        """Estimate the norm of the matrix of the samples' rounding errors, from above.

        An entry x is off by at most ``e = ε|x|/√12``, root mean square, where a unit in the last
        place is at most ``ε|x|`` and the error uniform. Independent errors of unequal size have a
        matrix norm of about the largest column norm plus the largest row norm, at most. Where all
        entries are of one size, that is ``(√n + √d)·ε·rms/√12``; features with large means raise
        it.

        Args:
            epsilon: Machine epsilon of the samples' type.

        Returns:
            In units of the samples.

        Source:
            Bandeira & van Handel 2016, Annals of Probability 44(4); Vershynin 2018, §4.4.
        """
        row = math.sqrt(float(self.samples.max(initial=0.0)))
        return epsilon / math.sqrt(12) * (row + math.sqrt(self.largest_feature))
