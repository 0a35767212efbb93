"""Closed forms of what a linear map gives away, in sums that share nothing with the package."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Truth:
    """What is known by heart of a linear map and a prior, by noise in output units."""

    gains: list[float]  # σ²λ, per direction
    weights: list[float]
    trace: float

    def rho(self, noise: float) -> float:
        return math.fsum(
            w * g / (noise**2 + g) for w, g in zip(self.weights, self.gains, strict=True)
        )

    def dof(self, noise: float) -> float:
        return math.fsum(g / (noise**2 + g) for g in self.gains)

    def bits(self, noise: float) -> float:
        return math.fsum(math.log2(1 + g / noise**2) for g in self.gains) / 2

    def least_error(self, noise: float) -> float:
        shares = zip(self.weights, self.gains, strict=True)
        return (
            self.trace
            / len(self.gains)
            * math.fsum(w * noise**2 / (noise**2 + g) for w, g in shares)
        )

    def noise_for(self, target: float) -> float:
        """The least noise, by halving an interval of logarithms until it has no middle."""
        if math.fsum(w for w, g in zip(self.weights, self.gains, strict=True) if g) <= target:
            return 0.0
        low, high = -50.0, 50.0
        while low < (middle := (low + high) / 2) < high:
            low, high = (middle, high) if self.rho(math.exp(middle)) > target else (low, middle)
        return math.exp(high)
