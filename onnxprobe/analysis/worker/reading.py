"""From observed Jacobians to the figures of the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from onnxprobe.analysis.worker.activations import spectrum_record
from onnxprobe.jacobian import Directions, Observation, Pullback
from onnxprobe.record import JacobianRecord, JacobianSample, Levels, RankLevels, Status
from onnxprobe.risk import frobenius_interval, sigma_bound
from onnxprobe.spectrum import (
    TOLERANCES,
    Prior,
    Rank,
    Spectrum,
    effective_rank,
    energy_rank,
    gram,
    numerical_rank,
    participation_ratio,
    prior_spectrum,
    prior_spectrum_of_factor,
    stable_rank,
    unseen_energies,
)

__all__ = ["Reading", "jacobian_record", "levels", "read_observation", "weigh"]

# Of float32: below this share of the largest one, no singular value is known at all.
UNIT_ROUNDING = 2.0**-24
# How far the smallest counted singular value must stand above the floor for a rank to be resolved.
_RESOLVED_GAP = 10.0
_SPECTRAL_MEASURES = (
    "stable_rank",
    "effective_rank",
    "participation_ratio",
    "energy_95",
    "energy_99",
)


@dataclass(frozen=True)
class Reading:
    """The Jacobian of a tensor at one sample, reduced to what measures need.

    Attributes:
        spectrum: Singular values; ``None`` if the Jacobian is not finite.
        weighted: Singular values in units of the prior, with weights; ``None`` without a prior.
        pullback: Through the prior's directions, for the mean over samples.
        energy: ``‖J‖_F²``: lower end, estimate, upper end.
        resolved: Whether the rank is known although the directions do not span the source.
        is_flat: Whether no direction moved the tensor.
    """

    spectrum: Spectrum | None
    weighted: Spectrum | None
    pullback: Pullback | None
    energy: tuple[float, float, float] | None
    resolved: bool
    is_flat: bool


def read_observation(
    observation: Observation, directions: Directions, prior: Prior | None, outputs: int
) -> Reading:
    """Reduce what was observed at a point.

    Args:
        observation: The Jacobian through the directions.
        directions: The directions.
        prior: What is known of the source beforehand.
        outputs: Elements of the tensor.

    Returns:
        The reading.
    """
    main, floor = observation.pullback, observation.floor
    finite = observation.whole.is_finite and math.isfinite(floor)
    complete = directions.is_complete
    spectrum = None
    if finite:
        probed = observation.energies.size > 0
        bound = sigma_bound(observation.energies, directions.size) if probed else None
        spectrum = main.spectrum(floor, complete=complete, bound=bound)
    if spectrum is None:
        return Reading(None, None, None, None, resolved=False, is_flat=observation.is_flat)
    energy = (spectrum.energy,) * 3
    if not complete:
        estimate = frobenius_interval(observation.energies, directions.size)
        energy = (max(estimate.low, spectrum.energy), estimate.value, estimate.high)
    pullback = weighted = None
    if prior is not None:
        pullback = main
        if prior.directions is not None and directions.kind == "coordinates":
            pullback = main.rotated(prior.directions)
        unseen = _unseen(observation, directions)
        weighted = weigh(pullback, prior, spectrum.floor, outputs, unseen)
    resolved = _is_resolved(observation, directions, spectrum)
    return Reading(spectrum, weighted, pullback, energy, resolved, observation.is_flat)


def _unseen(observation: Observation, directions: Directions) -> float | None:
    """Bound what other directions add to the outputs that the prior's move, at 95 %."""
    if directions.kind != "principal components" or not observation.energies.size:
        return None
    squares = observation.whole.gram
    if squares is None:
        assert observation.whole.factor is not None
        squares = gram(observation.whole.factor)
    energies = unseen_energies(squares, directions.overlaps)
    return None if energies is None else frobenius_interval(energies, directions.size).high


def weigh(
    pullback: Pullback, prior: Prior, floor: float, outputs: int, unseen: float | None = None
) -> Spectrum | None:
    """Attach a prior to a pullback through the prior's directions.

    Args:
        pullback: Through the leading directions of the prior.
        prior: The prior.
        floor: Noise floor of the Jacobian, in output units per input unit.
        outputs: Rows of the Jacobian.
        unseen: Upper bound of what other directions add to the outputs that these move.

    Returns:
        Singular values in output units per prior standard deviation, with weights.
    """
    if pullback.gram is not None:
        return prior_spectrum(pullback.gram, prior, floor=floor, outputs=outputs, unseen=unseen)
    assert pullback.factor is not None
    return prior_spectrum_of_factor(pullback.factor, prior, floor=floor, unseen=unseen)


def _is_resolved(observation: Observation, directions: Directions, spectrum: Spectrum) -> bool:
    if directions.kind != "random" or directions.is_complete:
        return False
    rank = spectrum.resolved_count
    if rank == 0 or rank >= directions.count:
        return False
    if spectrum.values[rank - 1] < _RESOLVED_GAP * spectrum.floor:
        return False
    # The probes are no more than nearly orthogonal to the main directions, and taking them apart
    # amplifies noise: what they add must stand as far out as what was counted.
    further = observation.whole.spectrum(_RESOLVED_GAP * spectrum.floor, complete=False)
    return further is not None and further.resolved_count == rank


def levels(values: Sequence[float]) -> Levels | None:
    """Summarise a measure over samples.

    Args:
        values: One per sample.

    Returns:
        Least, median and largest; ``None`` without values.
    """
    if not values:
        return None
    return Levels(min=min(values), median=median(values), max=max(values))


def jacobian_record(
    readings: Sequence[Reading],
    samples: Sequence[int],
    directions: Directions,
    outputs: int,
    tolerances: Sequence[float],
) -> JacobianRecord:
    """Describe a tensor's Jacobians over the samples.

    Args:
        readings: One per sample.
        samples: Indices of the samples.
        directions: The directions.
        outputs: Elements of the tensor.
        tolerances: Of the headline rank, and any at which ranks are wanted beside those that every
            report has.

    Returns:
        The record, without what concerns the step.
    """
    tolerance = tolerances[0]
    spectra = [reading.spectrum for reading in readings if reading.spectrum is not None]
    resolved = bool(spectra) and all(reading.resolved for reading in readings)
    largest = min(outputs, directions.size)
    rank = _rank_levels(spectra, tolerance, largest, resolved=resolved)
    record = JacobianRecord(
        method="finite differences",
        inputs=directions.size,
        outputs=outputs,
        complete=directions.is_complete,
        directions=directions.count,
        status=_status(readings, rank),
        samples=[
            _sample(index, reading, tolerance, largest)
            for index, reading in zip(samples, readings, strict=True)
        ],
        resolved=resolved,
        not_comparable=[] if directions.is_complete else list(_SPECTRAL_MEASURES),
    )
    if not spectra:
        return record

    def over(measure: Callable[[Spectrum], float]) -> Levels | None:
        return levels([float(measure(spectrum)) for spectrum in spectra])

    # A spectrum without a value above its floor has no shape to speak of.
    resolved_spectra = [spectrum for spectrum in spectra if spectrum.resolved_count]

    def over_resolved(measure: Callable[[Spectrum], float]) -> Levels | None:
        found = [float(measure(spectrum)) for spectrum in resolved_spectra]
        return levels(found) if found else None

    record.rank = rank
    known = {f"{each:.0e}".replace("e-0", "e-"): each for each in TOLERANCES}
    # Exactly, since a policy looks for the very number.
    known |= {repr(each): each for each in tolerances if each not in TOLERANCES}
    record.rank_at = {
        name: _rank_levels(spectra, each, largest, resolved=resolved)
        for name, each in known.items()
    }
    record.share = rank.median / directions.size if directions.size else None
    record.stable_rank = over_resolved(stable_rank)
    record.effective_rank = over_resolved(effective_rank)
    record.participation_ratio = over_resolved(participation_ratio)
    record.energy_95 = over_resolved(lambda spectrum: energy_rank(spectrum, 0.95))
    record.energy_99 = over_resolved(lambda spectrum: energy_rank(spectrum, 0.99))
    record.noise_floor = over(lambda spectrum: spectrum.floor)
    return record


def _rank_levels(
    spectra: Sequence[Spectrum], tolerance: float, largest: int, *, resolved: bool
) -> RankLevels:
    ranks = [numerical_rank(spectrum, tolerance) for spectrum in spectra]
    if not ranks:
        return RankLevels(min=0, median=0.0, max=0, at_least=True)
    values = [rank.value for rank in ranks]
    return RankLevels(
        min=min(values),
        median=float(median(values)),
        max=max(values),
        at_least=any(
            _is_open(rank, spectrum, largest, resolved=resolved)
            for rank, spectrum in zip(ranks, spectra, strict=True)
        ),
    )


def _is_open(rank: Rank, spectrum: Spectrum, largest: int, *, resolved: bool) -> bool:
    """Tell whether the true rank may be larger than what was counted."""
    if rank.value >= largest:
        return False
    # A resolved spectrum holds every value above its floor; only a threshold below that is open.
    if resolved and rank.value == spectrum.resolved_count:
        return False
    return rank.at_least


def _status(readings: Sequence[Reading], rank: RankLevels) -> Status:
    if any(reading.spectrum is None for reading in readings):
        return "non-finite"
    return "at least" if rank.at_least else "ok"


def _sample(index: int, reading: Reading, tolerance: float, largest: int) -> JacobianSample:
    if reading.spectrum is None or reading.energy is None:
        return JacobianSample(sample=index, status="non-finite")
    rank = numerical_rank(reading.spectrum, tolerance)
    is_open = _is_open(rank, reading.spectrum, largest, resolved=reading.resolved)
    values = reading.spectrum.values
    return JacobianSample(
        sample=index,
        status="at least" if is_open else "ok",
        spectrum=spectrum_record(reading.spectrum),
        rank=rank.value,
        resolved=reading.spectrum.resolved_count,
        rank_at_rounding=int(np.count_nonzero(values > UNIT_ROUNDING * reading.spectrum.largest)),
        frobenius=[float(np.sqrt(each)) for each in reading.energy],
    )
