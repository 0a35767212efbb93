"""Numerical rank: how many singular values stand out of a tolerance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.spectrum.spectrum import Spectrum

__all__ = ["DEFAULT_TOLERANCE", "TOLERANCES", "Rank", "numerical_rank"]

#: Relative tolerances at which every rank is reported, so that it reads as an interval.
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)

#: The tolerance of the headline rank.
DEFAULT_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Rank:
    """A count of singular values, and what kind of knowledge it is.

    ===========  =============  ========================================================
    ``at_least``  ``certified``  the true rank at this tolerance is
    ===========  =============  ========================================================
    False        True           ``value``
    True         True           ``value`` or more
    True         False          unknown: no bound of σ_1 says what the tolerance is of
    ===========  =============  ========================================================

    Attributes:
        value: Singular values above the threshold.
        at_least: Whether there may be more than were counted.
        certified: Whether ``value`` is at least not too large.
    """

    value: int
    at_least: bool
    certified: bool


def numerical_rank(spectrum: Spectrum, tolerance: float = DEFAULT_TOLERANCE) -> Rank:
    """Count the singular values that are not small beside the largest.

    Computes ``#{σ_i > max(tolerance · σ_ref, floor)}``. ``σ_ref`` is σ_1 of a complete spectrum. Of
    an incomplete one σ_1 may have been missed, and a smaller reference counts *more* values; only
    an upper bound of the true σ_1 makes the count a lower bound of the rank (the values themselves
    never exceed the true ones, by Cauchy interlacing).

    Args:
        spectrum: Singular values, shape (r,).
        tolerance: Relative tolerance, between 0 and 1.

    Returns:
        The count; *at least* if the spectrum is incomplete, or its floor hides values that the
        tolerance asks for. A map of zeros without a floor has rank 0, exactly.

    Raises:
        ValueError: If the tolerance is not in [0, 1).

    Source:
        Golub & Van Loan, Matrix Computations, §5.4.

    Example:
        >>> numerical_rank(Spectrum.of([1.0, 0.1, 1e-5]))
        Rank(value=2, at_least=False, certified=True)
        >>> numerical_rank(Spectrum.of([1.0, 0.1, 1e-5], floor=0.01))
        Rank(value=2, at_least=True, certified=True)
    """
    axes(spectrum.values, "r", of="singular values")
    if not 0 <= tolerance < 1:
        raise ValueError(f"a relative tolerance lies between 0 and 1, got {tolerance}")
    certified = spectrum.complete or spectrum.bound is not None
    reference = spectrum.largest
    if not spectrum.complete and spectrum.bound is not None:
        # A bound at some confidence may fall below what was seen; what was seen is sure.
        reference = max(spectrum.bound, reference)
    threshold = max(tolerance * reference, spectrum.floor)
    hidden = spectrum.floor > tolerance * reference
    return Rank(
        value=int(np.count_nonzero(spectrum.values > threshold)),
        at_least=hidden or not spectrum.complete,
        certified=certified,
    )
