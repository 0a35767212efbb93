"""Membership of an analysis: beside its figures, and never to blame for the loss of any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from onnxprobe.analysis.conductor.jacobians import FALLBACK_STEP
from onnxprobe.analysis.conductor.link import NONSENSE, check_names
from onnxprobe.analysis.conductor.plan import Chunk
from onnxprobe.analysis.conductor.stage import EXTRA_DIRECTIONS, Stage, stored_directions
from onnxprobe.analysis.messages import MembershipAnswer
from onnxprobe.errors import RunError
from onnxprobe.record import SeparationRecord, Statistic

__all__ = ["measure_membership", "membership_work"]

# Main directions; probes come with them where they do not span the source.
_DIRECTIONS = 32
_TYPICALITY: frozenset[Statistic] = frozenset({"activation typicality"})
_JACOBIAN: frozenset[Statistic] = frozenset({"Jacobian energy", "Jacobian effective rank"})

_Call = Callable[[Chunk], Any]


def membership_work(stage: Stage, measured: Sequence[str], smooth: Sequence[str]) -> float:
    """Foresee the work of `measure_membership`.

    Args:
        stage: What the parts of the analysis share; the model is surveyed.
        measured: Tensors whose activations are measured.
        smooth: Tensors whose Jacobians are.

    Returns:
        Rows, times tensors computed in them.
    """
    opening = stage.opening
    assert opening.cohorts is not None
    count = opening.cohorts.members + opening.cohorts.non_members
    stored = stored_directions(min(_DIRECTIONS, stage.findings.source_size))
    rows = 2 * stored * len(opening.cohort_samples)
    return count * sum(chunk.work for chunk in stage.chunks(measured, count)) + rows * sum(
        chunk.work for chunk in stage.chunks(smooth, stored)
    )


def measure_membership(stage: Stage, samples: Sequence[int]) -> None:
    """Measure how well statistics tell members from others, and note it in the findings.

    A tensor for which that fails keeps its other figures; why is an assumption of the report.

    Args:
        stage: What the parts of the analysis share; activations and Jacobians are measured.
        samples: At which samples of the cohorts Jacobians are taken.
    """
    findings, cohorts = stage.findings, stage.opening.cohorts
    assert cohorts is not None
    count = cohorts.members + cohorts.non_members
    stage.enter("comparing members with others")

    def typicality(chunk: Chunk) -> Any:  # noqa: ANN401 (validated by whoever asks)
        stage.weight = count
        return stage.link.call("typicality", stage.chunk_params(chunk))

    measured = [
        name
        for name in findings.groups.measured
        if name in findings.activations and not findings.activations[name].activations.non_finite
    ]
    _ask(stage, measured, count, typicality, _TYPICALITY)
    if findings.source is None:
        return
    directions = min(_DIRECTIONS, findings.source_size)
    stored = stored_directions(directions)
    cohorts.directions = min(findings.source_size, directions + EXTRA_DIRECTIONS)
    stage.enter("comparing Jacobians at members with those at others")
    for forward in (True, False):

        def jacobians(chunk: Chunk, *, forward: bool = forward) -> Any:  # noqa: ANN401
            stage.weight = 2 * stored
            return stage.link.call(
                "membership",
                stage.chunk_params(chunk)
                | {
                    "samples": list(samples),
                    "directions": directions,
                    "forward": forward,
                    "steps": [] if forward else [_step(stage)] * len(samples),
                    "relative": stage.configuration.step == "auto",
                    "optimise": False,
                    "shaken": False,
                },
            )

        method = "forward mode" if forward else "finite differences"
        names = [
            name
            for name, answer in findings.jacobians.items()
            if answer.jacobian.method == method and name not in findings.failed
        ]
        _ask(stage, names, stored, jacobians, _JACOBIAN)


def _step(stage: Stage) -> float:
    """Return the step of finite differences: as it was chosen at the samples of the data."""
    if stage.configuration.step != "auto":
        return stage.configuration.step
    steps = stage.findings.steps
    return median(steps) if steps else FALLBACK_STEP


def _ask(
    stage: Stage,
    names: Sequence[str],
    stored_rows: int,
    call: _Call,
    expected: frozenset[Statistic],
) -> None:
    """Ask for statistics of tensors; where that fails, for those of half of them."""
    findings = stage.findings
    pending = [list(names)]
    while pending:
        group = pending.pop(0)
        for chunk in stage.chunks(group, stored_rows):
            try:
                answers = [MembershipAnswer.model_validate(each) for each in call(chunk)]
            except RunError as error:
                if len(chunk.names) > 1:
                    middle = len(chunk.names) // 2
                    pending[:0] = [list(chunk.names[:middle]), list(chunk.names[middle:])]
                    continue
                findings.assumptions.append(
                    f"membership by {' and '.join(sorted(expected))} was not measured for "
                    f"{chunk.names[0]!r}: {error}"
                )
                continue
            check_names([each.name for each in answers], chunk.names)
            for answer in answers:
                _check(answer.separations, expected)
                findings.membership.setdefault(answer.name, []).extend(answer.separations)


def _check(separations: Sequence[SeparationRecord], expected: frozenset[Statistic]) -> None:
    """Refuse an answer about anything but what was asked."""
    given = [each.statistic for each in separations]
    known = set(given) <= expected and len(set(given)) == len(given)
    if not known or any(not each.low <= each.auc <= each.high for each in separations):
        raise RunError(NONSENSE)
