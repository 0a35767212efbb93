"""The spectrum of a Jacobian in units of what the attacker does not know: of J·L, with Σ = L·Lᵀ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.spectrum.eigen import eigensystem, eigenvalues, rounding_floor
from onnxprobe.spectrum.gram import gram as gram_of
from onnxprobe.spectrum.prior import Prior
from onnxprobe.spectrum.spectrum import Spectrum
from onnxprobe.types import Array, Floats

__all__ = ["prior_spectrum", "prior_spectrum_of_factor"]

#: How much of a unit vector may be missing from directions that are said to span it.
_SPAN_SLACK = 1e-3


@dataclass(frozen=True, eq=False)
class _Frame:
    """The prior's directions as seen from the Jacobian's."""

    prior: Prior
    variances: Floats
    rotation: Floats | None
    outputs: int | None
    unseen: float | None

    @property
    def deviations(self) -> Floats:
        return np.sqrt(self.variances)

    @property
    def share(self) -> float:
        return float(self.variances.sum()) / self.prior.trace

    def spectrum(
        self, values: Floats, weights: Floats, error: float, blur: float
    ) -> Spectrum | None:
        floor = max(error, blur)
        if not math.isfinite(floor):
            return None  # the Jacobian is so large that its squares are not numbers
        return Spectrum.of(
            values,
            weights=weights,
            floor=floor,
            complete=self.prior.is_spanned_by(len(self.variances)),
            ceiling=self.ceiling,
            error=error if error < blur else None,
            hidden=self.hidden,
        )

    @property
    def hidden(self) -> float | None:
        # By interlacing, what an isotropic prior shows through some directions is there.
        if self.prior.directions is None or self.prior.is_spanned_by(len(self.variances)):
            return 0.0
        if self.unseen is None:
            return None
        return math.sqrt(self.prior.beyond(len(self.variances)) * self.unseen)

    @property
    def ceiling(self) -> float:
        # A map of m outputs lowers the prior covariance by a matrix of rank m or less that it
        # dominates, hence by no more than its m largest eigenvalues (Weyl).
        known = self.prior.variances
        if self.outputs is None or self.outputs > len(known):
            return 1.0
        # Several inputs under one prior may have left out more than the weakest that was kept.
        largest = np.maximum(known[: self.outputs], self.prior.beyond(len(known)))
        return min(1.0, float(largest.sum()) / self.prior.trace)


def prior_spectrum(
    gram: Floats,
    prior: Prior,
    *,
    prior_in_directions: Array | None = None,
    floor: float = 0.0,
    outputs: int | None = None,
    unseen: float | None = None,
) -> Spectrum | None:
    """Weigh a Jacobian, given by its Gram matrix through directions, by a prior.

    Let J (outputs × n) be seen through k orthonormal rows V by ``G = V JᵀJ Vᵀ``, and let the
    prior's leading directions P (K × n), with variances S², lie in the span of V: ``P = C·V``. Then
    ``S C G Cᵀ S`` is the Gram matrix of ``J·L`` for the factor ``L = Pᵀ·S``. Its eigenvalues are
    the squared values, output variance per direction of the *whitened* input. An eigenvector v
    stands for the input direction ``L·v``, and weighs ``‖L·v‖²/tr Σ = Σ_j S_j² v_j²/tr Σ``.

    An isotropic prior needs no rotation: the values are those of G times the standard deviation,
    and each direction weighs 1/n, whatever orthonormal directions were used.

    Args:
        gram: G, shape (k, k), in squared output units per input unit.
        prior: The prior; its leading directions if not all are used.
        prior_in_directions: C, shape (K, k): ``prior.directions @ V.T``, for coordinate directions
            ``prior.directions`` itself. ``None`` if the Jacobian's directions *are* the prior's
            first k.
        floor: Noise floor of the Jacobian, the norm of its error, in output units per input unit.
        outputs: Rows of J; a map of few outputs cannot reveal more than so many directions.
        unseen: Upper bound of ``Σ‖U·J·q‖²`` over orthonormal q orthogonal to the prior's
            directions, U projecting onto outputs that the prior's directions move
            (:func:`unseen_energies`), or of ``Σ‖J·q‖²``; ``None`` if there is none.

    Returns:
        Values in output units per prior standard deviation, with weights; ``None`` if G is not
        finite or the prior has no variance.

    Raises:
        ShapeError: If sizes disagree.
        ValueError: If the prior's directions do not lie in the span of the Jacobian's: values
            through a projection of them bound nothing.

    Source:
        The linear-Gaussian posterior; Spantini et al. 2015, "Optimal low-rank approximations of
        Bayesian linear inverse problems".

    Example:
        >>> prior = Prior("data", 2, 5.0, np.eye(2), np.array([4.0, 1.0]))
        >>> found = prior_spectrum(np.diag([1.0, 9.0]), prior)  # J = diag(1, 3)
        >>> found.values.tolist(), found.weights.tolist()
        ([3.0, 2.0], [0.2, 0.8])
    """
    (k, _) = axes(gram, "k k", of="gram")
    frame = _frame(prior, k, prior_in_directions, outputs, unseen)
    if frame is None or not np.isfinite(gram).all():
        return None
    reach = math.sqrt(float(frame.variances.max(initial=0.0)))
    if prior.directions is None:
        energies = eigenvalues(gram)
        if energies is None:
            return None
        blur = rounding_floor(float(energies.max(initial=0.0)), k)
        weights = np.full(k, 1 / prior.size)
        return frame.spectrum(reach * np.sqrt(energies), weights, reach * floor, reach * blur)
    deviations = frame.deviations
    with np.errstate(over="ignore", invalid="ignore"):  # the eigensolver's gate speaks
        inner = gram if frame.rotation is None else frame.rotation @ gram @ frame.rotation.T
        system = eigensystem(deviations[:, None] * inner * deviations)
    if system is None:
        return None
    largest = float(system.values.max(initial=0.0))
    if frame.rotation is not None:
        # Rotating leaves errors of the size of G, even where the rotated matrix is small.
        largest = _norm(gram) * reach**2
    blur = rounding_floor(largest, max(k, len(deviations)))
    weights = frame.variances @ np.square(system.vectors) / prior.trace
    return frame.spectrum(np.sqrt(system.values), weights, floor * reach, blur)


def prior_spectrum_of_factor(
    factor: Array,
    prior: Prior,
    *,
    prior_in_directions: Array | None = None,
    floor: float = 0.0,
    unseen: float | None = None,
) -> Spectrum | None:
    """Weigh a Jacobian, given by its tangents, by a prior.

    The same as :func:`prior_spectrum` of ``G = F Fᵀ``, on the smaller side: with fewer outputs m
    than directions K the eigensystem of the m×m matrix ``(S C F)ᵀ(S C F)`` gives values σ and left
    vectors u, and ``v = S C F·u/σ``. The rest of the spanned variance is given to the strongest
    direction that is not resolved.

    Args:
        factor: F, shape (k, m): tangent ``J·v_i`` in row i.
        prior: The prior.
        prior_in_directions: C, shape (K, k), or ``None``, as in :func:`prior_spectrum`.
        floor: Noise floor of the Jacobian, in output units per input unit.
        unseen: As in :func:`prior_spectrum`.

    Returns:
        One value per direction of the prior, zeros included, so that the weights sum to the spanned
        share; ``None`` if F is not finite or the prior has no variance.

    Raises:
        ShapeError: If sizes disagree.
        ValueError: If the prior's directions do not lie in the span of the Jacobian's.

    Example:
        >>> prior = Prior("data", 2, 5.0, np.eye(2), np.array([4.0, 1.0]))
        >>> found = prior_spectrum_of_factor(np.array([[1.0], [0.0]]), prior)  # J = (1, 0)
        >>> found.values.tolist(), found.weights.round(12).tolist(), found.ceiling
        ([2.0, 0.0], [0.8, 0.2], 0.8)
    """
    k, m = axes(factor, "k m", of="factor")
    frame = _frame(prior, k, prior_in_directions, m, unseen)
    if frame is None or not np.isfinite(factor).all():
        return None
    tangents = np.asarray(factor, dtype=np.float64)
    reach = math.sqrt(float(frame.variances.max(initial=0.0)))
    with np.errstate(over="ignore", invalid="ignore"):  # the eigensolver's gate speaks
        if frame.rotation is not None:
            floor = max(floor, _rotation_error(tangents, frame.rotation))
            tangents = frame.rotation @ tangents
        scaled = frame.deviations[:, None] * tangents
    count = len(scaled)
    narrow = m < count
    system = eigensystem(gram_of(scaled.T if narrow else scaled))
    if system is None:
        return None
    blur = rounding_floor(float(system.values.max(initial=0.0)), min(m, count))
    lowest = max(floor * reach, blur)
    values = np.zeros(count)
    values[: len(system.values)] = np.sqrt(system.values)
    if prior.directions is None:
        weights = np.full(count, 1 / prior.size)
    elif narrow:
        left = system.vectors[:, : np.count_nonzero(values > lowest)]
        weights = _weights_from_left(frame, scaled, left)
    else:
        weights = frame.variances @ np.square(system.vectors) / prior.trace
    return frame.spectrum(values, weights, floor * reach, blur)


def _weights_from_left(frame: _Frame, scaled: Floats, left: Floats) -> Floats:
    resolved = left.shape[1]
    right = np.square(scaled @ left)
    weights = np.zeros(len(scaled))
    weights[:resolved] = frame.variances @ (right / right.sum(axis=0)) / frame.prior.trace
    # How the rest is shared cannot be seen. Given to the strongest, no bound becomes too small.
    weights[resolved] = max(0.0, frame.share - float(weights.sum()))
    return weights


def _frame(
    prior: Prior,
    k: int,
    prior_in_directions: Array | None,
    outputs: int | None,
    unseen: float | None,
) -> _Frame | None:
    # How prior and directions fit; None if the prior has no variance.
    if prior.directions is None:
        if prior_in_directions is not None:
            raise ValueError("an isotropic prior has no directions to rotate; leave them out")
        if k > prior.size:
            raise ValueError(f"{k} directions cannot be orthonormal in {prior.size} dimensions")
        used, rotation = prior.variances[:k], None
    elif prior_in_directions is None:
        if k > len(prior.variances):
            raise ValueError(
                f"{k} directions are not the prior's, which has {len(prior.variances)}; "
                "say how they relate by prior_in_directions"
            )
        used, rotation = prior.variances[:k], None
    else:
        (count, _) = axes(prior_in_directions, "K k", of="prior_in_directions", k=k)
        used = prior.variances[:count]
        axes(prior_in_directions, "K k", of="prior_in_directions", K=len(used))
        rotation = np.asarray(prior_in_directions, dtype=np.float64)
        missing = np.abs(1 - np.square(rotation).sum(axis=1)).max(initial=0.0)
        if not missing <= _SPAN_SLACK:
            raise ValueError(
                "the Jacobian's directions do not span the prior's: "
                f"up to {missing:.3g} of a unit direction is missing"
            )
    return _Frame(prior, used, rotation, outputs, unseen) if prior.trace > 0 else None


def _rotation_error(tangents: Floats, rotation: Floats) -> float:
    """Return the norm of the rounding errors of a product, per input unit."""
    growth = 4 * math.sqrt(max(rotation.shape))
    return growth * float(np.finfo(np.float64).eps) * _norm(tangents)


def _norm(matrix: Floats) -> float:
    """Return the Frobenius norm, without squares that overflow."""
    largest = float(np.abs(matrix).max(initial=0.0))
    return largest * float(np.linalg.norm(matrix / largest)) if largest > 0 else 0.0
