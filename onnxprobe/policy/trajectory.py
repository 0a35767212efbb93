"""How measures of tensors move over the checkpoints of a training."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Literal

from pydantic import Field

from onnxprobe.policy.alignment import align
from onnxprobe.policy.baseline import differing_data, differing_options
from onnxprobe.policy.measures import MEASURES
from onnxprobe.policy.questions import Question
from onnxprobe.record import Report
from onnxprobe.record.base import Record

__all__ = ["Series", "Trajectory", "follow"]

_MEASURES = ("dof", "rank")


class Series(Record):
    """One measure of a tensor, checkpoint by checkpoint."""

    tensor: str = Field(description="In the first checkpoint.")
    op_type: str
    measure: str
    values: list[float | None] = Field(description="What is known at least of it, per checkpoint.")
    at_least: list[bool] = Field(description="Whether it may be larger.")
    cv: float | None = Field(
        description="Coefficient of variation: standard deviation (population) over mean, of the "
        "known values; this project's definition."
    )
    mcr: float | None = Field(
        description="Maximum relative change: the largest |x[t+1] − x[t]|/|x[t]| of neighbouring "
        "known values; this project's definition."
    )


class Trajectory(Record):
    """How a model changed while it was trained."""

    schema_version: Literal["1.0"] = "1.0"
    checkpoints: list[str]
    series: list[Series]
    lost: list[str] = Field(description="Tensors that not every checkpoint has.")
    notes: list[str] = Field(description="Why figures may differ beside the training.")


def follow(reports: Sequence[Report]) -> Trajectory:
    """Follow the tensors of the first checkpoint through all others.

    Args:
        reports: One per checkpoint, in order; at least two.

    Returns:
        Degrees of freedom and rank of every tensor that all of them have, with their coefficient
        of variation and largest relative change.

    Raises:
        ValueError: If there are fewer than two.
    """
    if len(reports) < 2:
        raise ValueError(f"a trajectory takes two checkpoints or more, got {len(reports)}")
    first, *others = reports
    found = [{pair.one.name: pair.other for pair in align(first, other)} for other in others]
    series, lost = [], []
    for tensor in first.tensors:
        if not all(tensor.name in each for each in found):
            lost.append(tensor.name)
            continue
        records = [tensor, *(each[tensor.name] for each in found)]
        for measure in _MEASURES:
            readings = [
                # Nothing is decided here: what is known is followed as it is.
                MEASURES[measure].read(Question(report, record, is_judged=False))
                for report, record in zip(reports, records, strict=True)
            ]
            values = [reading.low for reading in readings]
            series.append(
                Series(
                    tensor=tensor.name,
                    op_type=tensor.op_type,
                    measure=measure,
                    values=values,
                    at_least=[
                        reading.low is not None and reading.high is None for reading in readings
                    ],
                    cv=_variation(values),
                    mcr=_largest_change(values),
                )
            )
    notes = [
        f"{report.model.name}: {note}"
        for report in others
        for note in (*differing_data(report, first), *differing_options(first, report))
    ]
    return Trajectory(
        checkpoints=[each.model.name for each in reports], series=series, lost=lost, notes=notes
    )


def _variation(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < 2 or fmean(known) == 0:
        return None
    return pstdev(known) / abs(fmean(known))


def _largest_change(values: Sequence[float | None]) -> float | None:
    changes = [
        abs(after - before) / abs(before)
        for before, after in pairwise(values)
        if before is not None and after is not None and before != 0
    ]
    return max(changes, default=None)
