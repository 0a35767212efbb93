"""Degrees of freedom: how many directions carry the energy of a spectrum.

Every estimator reads λ = σ² of the resolved values only, gives 0 for a spectrum without any, and
ignores scale. Through fewer directions than the space has they are not comparable.
"""

from __future__ import annotations

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.spectrum.spectrum import Spectrum
from onnxprobe.types import Floats

__all__ = ["effective_rank", "energy_rank", "participation_ratio", "stable_rank"]

#: A share of exactly 19 of 20 equal directions must not need a twentieth because of rounding.
_ROUNDING = 1e-12


def effective_rank(spectrum: Spectrum) -> float:
    """Count directions by the entropy of their energy.

    Computes ``exp(−Σ p ln p)`` with ``p = σ²/Σσ²``: ``k`` equal values give exactly ``k``.

    Args:
        spectrum: Singular values, shape (r,).

    Returns:
        Directions, between 1 and ``r``; 0 if none is resolved.

    Source:
        After Roy & Vetterli 2007 ("The effective rank"), who take p = σ/Σσ.

    Example:
        >>> round(effective_rank(Spectrum.of([2.0, 2.0, 2.0])), 12)
        3.0
    """
    energies = _energies(spectrum)
    if energies.size == 0:
        return 0.0
    p = energies / energies.sum()
    p = p[p > 0]  # a square may underflow; p ln p tends to 0
    return float(np.exp(-(p * np.log(p)).sum()))


def participation_ratio(spectrum: Spectrum) -> float:
    """Count the directions that carry the energy.

    Computes ``(Σσ²)²/Σσ⁴``: ``k`` equal values give exactly ``k``, one dominant value about 1.

    Args:
        spectrum: Singular values, shape (r,).

    Returns:
        Directions, between 1 and ``r``; 0 if none is resolved.

    Source:
        Gao et al. 2017, bioRxiv 214262.

    Example:
        >>> participation_ratio(Spectrum.of([2.0, 2.0, 2.0]))
        3.0
    """
    energies = _energies(spectrum)
    if energies.size == 0:
        return 0.0
    return float(energies.sum() ** 2 / np.square(energies).sum())


def stable_rank(spectrum: Spectrum) -> float:
    """Count directions in units of the strongest.

    Computes ``Σσ²/σ_1²``, which small perturbations cannot move much.

    Args:
        spectrum: Singular values, shape (r,).

    Returns:
        Directions, between 1 and ``r``; 0 if none is resolved.

    Source:
        Rudelson & Vershynin 2007.

    Example:
        >>> stable_rank(Spectrum.of([2.0, 1.0, 1.0]))
        1.5
    """
    return float(_energies(spectrum).sum())


def energy_rank(spectrum: Spectrum, share: float = 0.95) -> int:
    """Count the leading directions that together carry a share of the energy.

    Args:
        spectrum: Singular values, shape (r,).
        share: Share of Σσ² to carry, above 0 and at most 1.

    Returns:
        The smallest number of directions, between 1 and ``r``; 0 if none is resolved.

    Raises:
        ValueError: If the share is not in (0, 1].

    Source:
        Principal component analysis; Jolliffe 2002, §6.1.1.

    Example:
        >>> energy_rank(Spectrum.of([3.0, 1.0, 0.1]), 0.99)
        2
    """
    energies = _energies(spectrum)
    if not 0 < share <= 1:
        raise ValueError(f"a share of the energy lies above 0 and is at most 1, got {share}")
    if energies.size == 0:
        return 0
    carried = np.cumsum(energies)
    wanted = share * float(carried[-1]) * (1 - _ROUNDING)
    return int(np.searchsorted(carried, wanted, side="left")) + 1


def _energies(spectrum: Spectrum) -> Floats:
    """Return the resolved σ² relative to the largest, so that no scale overflows or vanishes."""
    axes(spectrum.values, "r", of="singular values")
    resolved = spectrum.resolved
    if resolved.size == 0:
        return resolved
    energies: Floats = np.square(resolved / resolved[0])
    return energies
