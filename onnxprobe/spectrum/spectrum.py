"""The one currency of all measures: singular values, and what is known of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from onnxprobe.shapes import axes
from onnxprobe.types import Floats

__all__ = ["Spectrum"]

#: Shares are sums of many products; a sum of shares may exceed 1 by this much and still mean 1.
_SHARE_SLACK = 1e-6


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular values of a linear map, or standard deviations along principal directions.

    The arrays belong to the spectrum and cannot be written to. Use :meth:`of` to build one from
    values in any order.

    Attributes:
        values: Singular values, shape (r,), descending and not negative. For activations: square
            roots of the eigenvalues of their covariance.
        weights: Share of the prior's variance along each right singular direction, shape (r,);
            their sum is the share that the directions span, at most 1. ``None`` without a prior.
        floor: Noise floor in units of ``values``: a value at or below it is not resolved, its true
            size is only known to be about the floor or less.
        complete: False if the map was seen through fewer directions than its space has.
        bound: Where incomplete, an upper bound of the true largest singular value, if one is known.
        ceiling: Largest share of the prior's variance that a map of so few outputs can reveal at
            all, whatever its values; 1 where nothing better is known.
        error: Norm of the map's own error, where that is less than the floor: the floor is then
            what squaring in float64 left, by which *squares* are wrong, by ``floor²`` at most.
            ``None`` if the floor is that norm.
        hidden: Where incomplete, an upper bound of what unseen directions add to the outputs that
            seen ones move, as a standard deviation; 0 where nothing unseen can hide what was seen,
            ``None`` where no bound is known.
    """

    values: Floats
    weights: Floats | None = None
    floor: float = 0.0
    complete: bool = True
    bound: float | None = None
    ceiling: float = 1.0
    error: float | None = None
    hidden: float | None = None

    def __post_init__(self) -> None:
        (r,) = axes(self.values, "r", of="values")
        _require_magnitudes(self.values, "singular values")
        if np.any(np.diff(self.values) > 0):
            raise ValueError("singular values must be descending; Spectrum.of sorts them")
        if self.weights is not None:
            axes(self.weights, "r", of="weights", r=r)
            _require_magnitudes(self.weights, "weights")
            if (total := float(self.weights.sum())) > 1 + _SHARE_SLACK:
                raise ValueError(
                    f"weights are shares of one variance, but their sum is {total:.6g}"
                )
        for name in ("floor", "bound", "error", "hidden"):
            number = getattr(self, name)
            if number is not None and not (math.isfinite(number) and number >= 0):
                raise ValueError(f"the {name} must be finite and not negative, got {number}")
        if not 0 <= self.ceiling <= 1:
            raise ValueError(f"the ceiling is a share between 0 and 1, got {self.ceiling}")
        if self.error is not None and self.error > self.floor:
            raise ValueError(
                f"an error of its own lies below the floor, got {self.error} and {self.floor}"
            )

    @classmethod
    def of(
        cls,
        values: Sequence[float] | NDArray[np.floating],
        *,
        weights: Sequence[float] | NDArray[np.floating] | None = None,
        floor: float = 0.0,
        complete: bool = True,
        bound: float | None = None,
        ceiling: float = 1.0,
        error: float | None = None,
        hidden: float | None = None,
    ) -> Spectrum:
        """Copy, sort and check singular values.

        Args:
            values: Singular values, shape (r,), in any order.
            weights: Shares that belong to the values, shape (r,), in the same order.
            floor: Noise floor in units of the values.
            complete: Whether every direction of the space was seen.
            bound: Upper bound of the true largest singular value.
            ceiling: Largest share of the prior's variance that the map can reveal.
            error: Norm of the map's own error, where the floor is that of squaring.
            hidden: Upper bound of what unseen directions add where seen ones show.

        Returns:
            The spectrum, values descending; equal values keep their order.

        Raises:
            ShapeError: If the values, or values and weights together, are not one axis.
            ValueError: If a number is not finite, negative, or a sum of shares exceeds 1.

        Example:
            >>> Spectrum.of([1.0, 3.0, 2.0], floor=1.5).resolved.tolist()
            [3.0, 2.0]
        """
        sigma = np.asarray(values, dtype=np.float64)
        (r,) = axes(sigma, "r", of="values")
        order = np.argsort(-sigma, kind="stable")
        shares = None
        if weights is not None:
            shares = np.asarray(weights, dtype=np.float64)
            axes(shares, "r", of="weights", r=r)
            shares = _frozen(shares[order])
        return cls(_frozen(sigma[order]), shares, floor, complete, bound, ceiling, error, hidden)

    @property
    def resolved(self) -> Floats:
        """The values above the floor, descending."""
        return self.values[: self.resolved_count]

    @property
    def resolved_count(self) -> int:
        """How many values lie above the floor."""
        return int(np.count_nonzero(self.values > self.floor))

    @property
    def largest(self) -> float:
        """The largest value, 0 for an empty spectrum."""
        return float(self.values[0]) if self.values.size else 0.0

    @property
    def energy(self) -> float:
        """Σσ² over all values, resolved or not: the squared Frobenius norm of what was seen."""
        largest = self.largest
        if largest == 0.0:
            return 0.0
        # Relative squares neither overflow nor vanish; the product of Python floats cannot warn.
        return float(np.square(self.values / largest).sum()) * largest * largest

    def scaled(self, factor: float) -> Spectrum:
        """Multiply the map by a number: values and their bounds scale, shares do not.

        Args:
            factor: Any finite number; its sign does not matter.

        Returns:
            The spectrum of ``factor`` times the map.

        Raises:
            ValueError: If the factor, or a scaled value, is not finite.

        Example:
            >>> Spectrum.of([2.0, 1.0]).scaled(-3.0).values.tolist()
            [6.0, 3.0]
        """
        size = abs(float(factor))
        if not math.isfinite(size):
            raise ValueError(f"a spectrum is scaled by a finite number, got {factor}")
        with np.errstate(over="ignore"):  # the constructor refuses the infinities with a sentence
            values = _frozen(self.values * size)

        def times(number: float | None) -> float | None:
            return None if number is None else number * size

        return replace(
            self,
            values=values,
            floor=self.floor * size,
            bound=times(self.bound),
            error=times(self.error),
            hidden=times(self.hidden),
        )

    def decimated(self, limit: int) -> tuple[NDArray[np.int64], Floats]:
        """Choose a few values that show the whole curve, for reports.

        Args:
            limit: Values to keep at most, 2 or more.

        Returns:
            Indices, spaced evenly on a logarithmic scale from the first to the last, and the values
            there; everything if nothing need be left out.

        Raises:
            ValueError: If the limit is below 2.

        Example:
            >>> indices, values = Spectrum.of(np.arange(100.0)).decimated(4)
            >>> indices.tolist(), values.tolist()
            ([0, 4, 21, 99], [99.0, 95.0, 78.0, 0.0])
        """
        if limit < 2:
            raise ValueError(
                f"a curve keeps its first and its last value, but the limit is {limit}"
            )
        r = self.values.size
        if r <= limit:
            indices = np.arange(r, dtype=np.int64)
        else:
            # Rounding merges the first few positions; that only makes the answer shorter.
            indices = np.unique(np.rint(np.geomspace(1, r, limit)).astype(np.int64)) - 1
        return indices, self.values[indices]


def _frozen(array: Floats) -> Floats:
    array.setflags(write=False)
    return array


def _require_magnitudes(array: Floats, what: str) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        wrong = int(np.count_nonzero(~finite))
        raise ValueError(f"{what} must be finite, but {wrong} of {array.size} are not")
    if array.size and (least := float(array.min())) < 0:
        raise ValueError(f"{what} must not be negative, but the least is {least:.6g}")
