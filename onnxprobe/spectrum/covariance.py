"""Spectra of activations: how a tensor spreads over a data set."""

from __future__ import annotations

import math

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.spectrum.eigen import eigenvalues, rounding_floor
from onnxprobe.spectrum.gram import centred_gram, scatter
from onnxprobe.spectrum.magnitudes import Magnitudes
from onnxprobe.spectrum.spectrum import Spectrum
from onnxprobe.types import Array, Floats

__all__ = [
    "covariance_spectrum",
    "covariance_spectrum_from_gram",
    "dof_ceiling",
    "is_saturated",
]

_FLOAT32_EPSILON = float(np.finfo(np.float32).eps)


def covariance_spectrum(samples: Array, *, epsilon: float | None = None) -> Spectrum | None:
    """Compute the standard deviations of samples along their principal directions.

    The covariance is centred, with divisor n − 1, and is formed on its smaller side. The floor is
    what rounding of the samples could have made: the norm of the matrix of their rounding errors
    (:meth:`Magnitudes.rounding_norm`; ``(√n + √d)·ε·rms/√12`` where all entries are of one size)
    divided by ``√(n − 1)``. Errors of the computation that made the samples are not known here and
    come on top.

    Args:
        samples: Shape (n, d), one sample per row.
        epsilon: Machine epsilon of the type that the samples were *computed* in, if they have been
            converted since; by default that of their type, 0 for integers.

    Returns:
        Values of shape (min(n − 1, d),); ``None`` if a sample is not finite or too large to square.

    Source:
        Principal component analysis; the perturbation bound is Weyl's.

    Example:
        >>> samples = np.array([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
        >>> covariance_spectrum(samples).values.tolist()
        [2.0, 0.0]
    """
    n, d = axes(samples, "n d", of="samples")
    squares = centred_gram(samples) if n <= d else scatter(samples)
    epsilon = _epsilon(samples) if epsilon is None else epsilon
    return _spectrum(squares, Magnitudes.of(samples), epsilon)


def covariance_spectrum_from_gram(
    gram: Floats, magnitudes: Magnitudes, *, epsilon: float = _FLOAT32_EPSILON
) -> Spectrum | None:
    """Compute the spectrum of :func:`covariance_spectrum` from a centred Gram matrix.

    Args:
        gram: Centred Gram matrix of the samples, shape (n, n); a sum over groups of features.
        magnitudes: Magnitudes of the samples *before* centring, joined over the same groups.
        epsilon: Machine epsilon of the type that the samples were computed in.

    Returns:
        Values of shape (min(n − 1, d),); ``None`` if a sample is not finite or too large to square.

    Raises:
        ShapeError: If the number of samples differs.

    Example:
        >>> samples = np.array([[0.0, 1.0, 0.0], [2.0, 1.0, 0.0]])
        >>> found = covariance_spectrum_from_gram(centred_gram(samples), Magnitudes.of(samples))
        >>> found.values.round(12).tolist()
        [1.414213562373]
    """
    n, _ = axes(gram, "n n", of="gram")
    axes(magnitudes.samples, "n", of="magnitudes of the samples", n=n)
    return _spectrum(gram, magnitudes, epsilon)


def dof_ceiling(samples: int, features: int) -> int:
    """Say how many linear degrees of freedom centred samples can show at most.

    Args:
        samples: Samples, n.
        features: Elements of a sample, d.

    Returns:
        ``min(n − 1, d)``; the mean takes one sample.

    Example:
        >>> dof_ceiling(512, 4096)
        511
    """
    return max(0, min(samples - 1, features))


def is_saturated(value: float, samples: int) -> bool:
    """Tell whether a count of degrees of freedom says more about the samples than the tensor.

    Args:
        value: Degrees of freedom.
        samples: Samples it was estimated from, n.

    Returns:
        True above (n − 1)/2: more samples would likely have shown more.

    Example:
        >>> is_saturated(300.0, samples=512), is_saturated(200.0, samples=512)
        (True, False)
    """
    return value > (samples - 1) / 2


def _spectrum(squares: Floats, magnitudes: Magnitudes, epsilon: float) -> Spectrum | None:
    energies = eigenvalues(squares)
    if energies is None or not magnitudes.is_finite:
        return None
    n = magnitudes.samples.size
    r = dof_ceiling(n, magnitudes.features)
    if r == 0:
        return Spectrum.of([])
    squaring = rounding_floor(float(energies[0]), energies.size)
    floor = max(magnitudes.rounding_norm(epsilon), squaring) / math.sqrt(n - 1)
    return Spectrum.of(np.sqrt(energies[:r] / (n - 1)), floor=floor)


def _epsilon(samples: Array) -> float:
    is_rounded = np.issubdtype(samples.dtype, np.floating)
    return float(np.finfo(samples.dtype).eps) if is_rounded else 0.0
