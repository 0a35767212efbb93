"""A generic check of a claimed Jacobian against central differences in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnxprobe.types import Floats

# Central differences of smooth float64 functions at this step are good to about 1e-9.
STEP = 1e-5
TOLERANCE = 1e-4


def check_jacobian(
    function: Callable[[Floats], Floats], at: Floats, claimed: Floats, directions: int = 8
) -> None:
    """Compare a Jacobian with differences along random directions.

    Raises AssertionError if some tangent is off by more than 1e-4 of its length.
    """
    rng = np.random.default_rng(0)
    for _ in range(directions):
        v = rng.normal(size=at.size)
        v /= np.linalg.norm(v)
        measured = (function(at + STEP * v) - function(at - STEP * v)) / (2 * STEP)
        gap = np.linalg.norm(measured - claimed @ v)
        assert gap <= TOLERANCE * np.linalg.norm(measured), f"off by {gap:.3g} along {v[:3]}…"
