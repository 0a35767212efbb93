"""Where a model could be cut: what each cut sends, costs and gives away."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from math import prod

from pydantic import Field

from onnxprobe.policy.measures import MEASURES
from onnxprobe.policy.questions import Question
from onnxprobe.policy.selecting import released_together
from onnxprobe.record import Report, TensorRecord
from onnxprobe.record.base import Record

__all__ = ["Constraints", "Cut", "NodeCost", "Split", "rate_cuts"]

# Bits of an element, where it is not eight times the number in the type's name.
_BITS = {"bool": 8, "complex64": 64, "complex128": 128, "string": 0}


class Constraints(Record):
    """What a cut may cost and give away."""

    noise: str = Field(description="Release noise at which recoverability is compared.")
    max_recoverable: float | None = None
    max_bytes: int | None = None
    max_macs: int | None = Field(None, description="Multiply-adds before the cut.")


class NodeCost(Record):
    """What a node costs."""

    outputs: list[str]
    operator: str
    multiply_adds: int | None


class Cut(Record):
    """A minimal set of tensors that everything passes, as one release."""

    tensors: list[str]
    bytes: int | None = Field(description="Sent for one sample; null if a size is not known.")
    macs_before: int | None = Field(description="Null if a node before it cannot be counted.")
    macs_after: int | None
    dof_share: float | None = None
    rank_share: float | None = None
    recoverable_low: float | None = None
    recoverable_high: float | None = Field(
        None, description="The larger of what is predicted at most and what was attained."
    )
    van_trees_share: float | None = Field(
        None, description="Lower bound on any attacker's error, per prior variance."
    )
    reason: str = Field("", description="Why figures are missing or founded too weakly.")
    allowed: bool = Field(description="Whether it keeps the limits.")
    on_front: bool = Field(
        False, description="Whether no allowed cut is better in one respect and as good in others."
    )


class Split(Record):
    """The cuts of a model."""

    schema_version: str = "1.0"
    model: str
    constraints: Constraints
    cuts: list[Cut]
    more: bool = Field(description="Whether there are more cuts than were looked at.")
    uncounted: list[str] = Field(description="Operators whose multiply-adds were not counted.")


def rate_cuts(
    report: Report,
    cuts: Sequence[Sequence[str]],
    costs: Sequence[NodeCost],
    parents: Mapping[str, Sequence[str]],
    constraints: Constraints,
) -> list[Cut]:
    """Rate cuts by what they send, cost and give away.

    Args:
        report: Of the model; joint releases for cuts of several tensors.
        cuts: The cuts.
        costs: What each node costs.
        parents: By tensor, what it is computed from.
        constraints: What a cut may cost and give away.

    Returns:
        The cuts in order, those on the Pareto front marked: least bytes, least work before the cut,
        least that is recoverable.
    """
    records = {tensor.name: tensor for tensor in report.tensors}
    rated = []
    for tensors in cuts:
        needed = _needed(tensors, parents)
        before = [each for each in costs if needed.intersection(each.outputs)]
        after = [each for each in costs if not needed.intersection(each.outputs)]
        record: TensorRecord | str = "it was not analysed"
        if len(tensors) > 1:
            record = released_together(report, tensors)
        elif tensors[0] in records:
            record = records[tensors[0]]
        rated.append(_rate(report, tensors, record, records, constraints))
        rated[-1].macs_before, rated[-1].macs_after = _total(before), _total(after)
        rated[-1].allowed = _keeps(rated[-1], constraints)
    for cut in rated:
        cut.on_front = cut.allowed and not any(
            _is_better(other, cut) for other in rated if other.allowed
        )
    return rated


def _total(costs: Sequence[NodeCost]) -> int | None:
    counts = [each.multiply_adds for each in costs]
    return None if None in counts else sum(each for each in counts if each is not None)


def _needed(tensors: Sequence[str], parents: Mapping[str, Sequence[str]]) -> set[str]:
    """List the tensors that are computed up to a cut, the cut included."""
    seen, pending = set(tensors), [*tensors]
    while pending:
        for parent in parents.get(pending.pop(), ()):
            if parent not in seen:
                seen.add(parent)
                pending.append(parent)
    return seen


def _rate(
    report: Report,
    tensors: Sequence[str],
    record: TensorRecord | str,
    records: Mapping[str, TensorRecord],
    constraints: Constraints,
) -> Cut:
    cut = Cut(
        tensors=list(tensors),
        bytes=_bytes(tensors, records),
        macs_before=None,
        macs_after=None,
        allowed=False,
    )
    if isinstance(record, str):
        cut.reason = record
    else:
        found = {
            name: MEASURES[name].read(Question(report, record, constraints.noise))
            for name in ("dof_share", "rank_share", "recoverable_share", "van_trees_share")
        }
        cut.dof_share, cut.rank_share = found["dof_share"].low, found["rank_share"].low
        share = found["recoverable_share"]
        cut.recoverable_low, cut.recoverable_high = share.low, share.high
        # Where the prior is no more than assumed, no error is certain.
        cut.van_trees_share = found["van_trees_share"].low
        cut.reason = share.reason if share.high is None else ""
    return cut


def _keeps(cut: Cut, constraints: Constraints) -> bool:
    limits: Collection[tuple[float | None, float | None]] = (
        (cut.recoverable_high, constraints.max_recoverable),
        (cut.bytes, constraints.max_bytes),
        (cut.macs_before, constraints.max_macs),
    )
    # What is not known keeps no limit.
    return all(limit is None or (value is not None and value <= limit) for value, limit in limits)


def _is_better(one: Cut, other: Cut) -> bool:
    """Whether a cut is better in one respect and no worse in the others."""
    mine, theirs = _respects(one), _respects(other)
    return all(a <= b for a, b in zip(mine, theirs, strict=True)) and mine != theirs


def _respects(cut: Cut) -> tuple[float, float, float]:
    # What is not known is as bad as can be.
    share = 1.0 if cut.recoverable_high is None else cut.recoverable_high
    size, work = (
        math.inf if value is None else float(value) for value in (cut.bytes, cut.macs_before)
    )
    return size, work, share


def _bytes(tensors: Sequence[str], records: Mapping[str, TensorRecord]) -> int | None:
    bits = 0
    for name in tensors:
        record = records.get(name)
        width = _width(record.dtype or "") if record is not None else None
        if record is None or width is None:
            return None
        bits += prod(record.shape) * width
    return -(-bits // 8)


def _width(dtype: str) -> int | None:
    if dtype in _BITS:
        return _BITS[dtype] or None
    if dtype.startswith("float8"):
        return 8
    if dtype.startswith("float4"):
        return 4
    digits = "".join(letter for letter in dtype if letter.isdigit())
    return int(digits) if digits else None
