"""Where a model could be cut: what each cut sends, costs and gives away."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod

from pydantic import Field

from onnxprobe.policy.measures import MEASURES, Question
from onnxprobe.record import Report, TensorRecord
from onnxprobe.record.base import Record

__all__ = ["Constraints", "Cut", "Split", "rate_cuts"]

# Bits of an element, where it is not eight times the number in the type's name.
_BITS = {"bool": 8, "complex64": 64, "complex128": 128, "string": 0}


class Constraints(Record):
    """What a cut may cost and give away."""

    noise: str = Field(description="Release noise at which recoverability is compared.")
    max_recoverable: float | None = None
    max_bytes: int | None = None
    max_macs: int | None = Field(None, description="Multiply-adds before the cut.")


class Cut(Record):
    """A minimal set of tensors that everything passes, as one release."""

    tensors: list[str]
    bytes: int | None = Field(description="Sent for one sample; null if a size is not known.")
    macs_before: int
    macs_after: int
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
    costs: Mapping[str, int],
    parents: Mapping[str, Sequence[str]],
    constraints: Constraints,
) -> list[Cut]:
    """Rate cuts by what they send, cost and give away.

    Args:
        report: Of the model; joint releases for cuts of several tensors.
        cuts: The cuts.
        costs: Multiply-adds by the first output of a node.
        parents: By tensor, what it is computed from.
        constraints: What a cut may cost and give away.

    Returns:
        The cuts in order, those on the Pareto front marked: least bytes, least work before the cut,
        least that is recoverable.
    """
    records = {tensor.name: tensor for tensor in report.tensors}
    joint = {frozenset(each.tensors): each.record for each in report.together}
    total = sum(costs.values())
    rated = []
    for tensors in cuts:
        before = sum(costs.get(name, 0) for name in _needed(tensors, parents))
        record = records.get(tensors[0]) if len(tensors) == 1 else joint.get(frozenset(tensors))
        rated.append(_rate(report, tensors, record, records, (before, total - before), constraints))
    for cut in rated:
        cut.on_front = cut.allowed and not any(
            _is_better(other, cut) for other in rated if other.allowed
        )
    return rated


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
    record: TensorRecord | None,
    records: Mapping[str, TensorRecord],
    work: tuple[int, int],
    constraints: Constraints,
) -> Cut:
    cut = Cut(
        tensors=list(tensors),
        bytes=_bytes(tensors, records),
        macs_before=work[0],
        macs_after=work[1],
        allowed=False,
    )
    if record is None:
        cut.reason = "it was not analysed"
    else:
        found = {
            name: MEASURES[name].read(Question(report, record, constraints.noise))
            for name in ("dof_share", "rank_share", "recoverable_share", "van_trees_share")
        }
        cut.dof_share, cut.rank_share = found["dof_share"].low, found["rank_share"].low
        share = found["recoverable_share"]
        cut.recoverable_low, cut.recoverable_high = share.low, share.high
        cut.van_trees_share = found["van_trees_share"].high
        cut.reason = share.reason if share.high is None else ""
    cut.allowed = _keeps(cut, constraints)
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
    # What is not known for sure counts with what was seen, and what was not seen as everything.
    share = cut.recoverable_high if cut.recoverable_high is not None else cut.recoverable_low
    size = float("inf") if cut.bytes is None else float(cut.bytes)
    return size, float(cut.macs_before), 1.0 if share is None else share


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
