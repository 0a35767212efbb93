"""How wrong a differenced Jacobian is: the floor below which its singular values mean nothing."""

from __future__ import annotations

import math

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.spectrum import eigenvalues
from onnxprobe.types import Floats

__all__ = ["SAFETY", "noise_floor"]

# The floor is itself an estimate, from the error along a few directions.
SAFETY = 2.0


def noise_floor(disagreement: Floats, outputs: int, directions: int) -> float:
    """Bound the spectral norm of a Jacobian's error, from its disagreement at two steps.

    With steps h and 2h, rounding noise of the function makes the two derivatives differ by 1.1
    times the error at h, truncation by 3 times, and kinks by about once: the disagreement stands
    for the error whichever prevails. It is known along a few directions and needed for all of
    them. Its part that looks like independent noise of standard deviation s has the norm
    ``s(√m + √k)`` for k directions; what sticks out above that is taken to be common to all
    directions, and grows with √k.

    Args:
        disagreement: Gram matrix of the differences between the derivatives at two steps, along p
            probed unit directions, shape (p, p).
        outputs: Elements m of the tensor.
        directions: How many directions k the Jacobian is seen through.

    Returns:
        The floor, in output units per input unit; infinite if the disagreement is not finite.

    Source:
        Norm of a Gaussian matrix: Vershynin 2012, Introduction to the non-asymptotic analysis of
        random matrices, Theorem 5.32. Steps: Moré & Wild 2012, Estimating derivatives of noisy
        simulations.
    """
    p, _ = axes(disagreement, "p p", of="disagreement")
    if not p or not outputs:
        return 0.0
    values = eigenvalues(disagreement)
    if values is None:
        return math.inf
    largest = float(values[0])
    variance = float(np.trace(disagreement)) / (p * outputs)
    known = variance * (math.sqrt(outputs) + math.sqrt(p)) ** 2
    needed = variance * (math.sqrt(outputs) + math.sqrt(directions)) ** 2
    common = max(largest - known, 0.0) * max(directions / p, 1.0)
    return SAFETY * math.sqrt(max(common + needed, largest))
