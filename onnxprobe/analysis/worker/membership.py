"""Membership: statistics of tensors at members of the training set and at others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
from pydantic import BaseModel, ConfigDict

from onnxprobe.analysis.messages import Layout, MembershipAnswer, Part
from onnxprobe.analysis.worker.activations import Moments, measure_moments
from onnxprobe.analysis.worker.observing import ObservationRequest, observe_samples
from onnxprobe.analysis.worker.source import collect_inner, source_directions
from onnxprobe.analysis.worker.study import Study
from onnxprobe.jacobian import Observation
from onnxprobe.record import SeparationRecord, Statistic
from onnxprobe.risk import leverages, separation, tied
from onnxprobe.spectrum import effective_rank
from onnxprobe.types import Array, Floats

__all__ = ["TypicalityRequest", "separate_by_jacobians", "separate_by_typicality"]

_SOURCE_ROWS = 64
# Values in single precision, added up, are known no better.
_PRECISION = 1e-5


class TypicalityRequest(BaseModel):
    """Of which tensors activations are compared."""

    model_config = ConfigDict(extra="forbid")

    layouts: list[Layout]
    passes: list[list[Part]]
    rows: int


def separate_by_typicality(
    study: Study, request: TypicalityRequest, progress: Callable[[float], None]
) -> list[MembershipAnswer]:
    """Tell members from others by how far their activations stand out.

    Args:
        study: The opened model, its cohorts opened.
        request: Which tensors.
        progress: Told the tensor passes done.

    Returns:
        An answer per tensor; without a statistic where activations are not finite.
    """
    cohorts = study.cohorts
    assert cohorts is not None

    def answer(name: str, sums: Moments, _: Array | None) -> MembershipAnswer:
        found = []
        if sums.magnitudes.is_finite:
            values = tied(leverages(sums.gram), _PRECISION)
            found = [_separation("activation typicality", values, study.members, study)]
        return MembershipAnswer(name=name, separations=found)

    return list(
        measure_moments(
            cohorts, request.layouts, request.passes, request.rows, [], answer, progress
        ).values()
    )


@dataclass(frozen=True)
class _Sensitivity:
    """Of a Jacobian at one sample.

    Attributes:
        energy: ``‖J‖_F²``.
        rank: Effective rank.
        precision: How far rounding may have moved them, relative to each.
    """

    energy: float
    rank: float
    precision: float


def separate_by_jacobians(
    study: Study, request: ObservationRequest, progress: Callable[[float], None]
) -> list[MembershipAnswer]:
    """Tell members from others by the Jacobians at them.

    Args:
        study: The opened model, its cohorts opened.
        request: Which tensors, at which samples of the cohorts.
        progress: Told the tensor passes done, a pass over one sample counting 1.

    Returns:
        An answer per tensor; without statistics where a Jacobian is not finite.
    """
    cohorts = study.cohorts
    assert cohorts is not None
    if study.inner_layout is not None and cohorts.inner is None:
        cohorts.inner_layout = study.inner_layout
        cohorts.inner = collect_inner(cohorts, study.inner_layout, _SOURCE_ROWS)
    directions = source_directions(cohorts, request.directions)

    def reduce(_: str, observation: Observation) -> _Sensitivity | None:
        spectrum = observation.whole.spectrum(observation.floor, complete=directions.is_complete)
        if spectrum is None:
            return None
        if not spectrum.resolved_count:
            return _Sensitivity(0.0, 0.0, 0.0)
        # Every value may be off by the floor; a random direction holds its share of the energy.
        noise = spectrum.floor * math.sqrt(len(spectrum.values) / spectrum.energy)
        energy = spectrum.energy * directions.size / observation.whole.directions
        return _Sensitivity(energy, effective_rank(spectrum), 2 * noise)

    observed = observe_samples(cohorts, request, reduce, progress)
    members = sum(sample < study.members for sample in request.samples)
    answers = []
    for layout in request.layouts:
        found = [each for each in observed.results[layout.name] if each is not None]
        separations: list[SeparationRecord] = []
        # A Jacobian of which nothing is resolved at any sample tells nothing, and is no tie.
        if len(found) == len(request.samples) and any(each.energy > 0 for each in found):
            energies = np.array([each.energy for each in found])
            ranks = np.array([each.rank for each in found])
            precision = max(_PRECISION, median(each.precision for each in found))
            separations = [
                _separation("Jacobian energy", tied(energies, precision), members, study),
                _separation("Jacobian effective rank", tied(ranks, precision), members, study),
            ]
        answers.append(MembershipAnswer(name=layout.name, separations=separations))
    return answers


def _separation(
    statistic: Statistic, values: Floats, members: int, study: Study
) -> SeparationRecord:
    found = separation(values[:members], values[members:], seed=study.configuration.seed)
    return SeparationRecord(
        statistic=statistic,
        auc=found.auc,
        low=found.low,
        high=found.high,
        tpr_at_1_percent_fpr=found.tpr,
    )
