"""The self-check of every run: what the chain rule forbids is not reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnxprobe.analysis.conductor.dominators import immediate_dominators
from onnxprobe.analysis.conductor.findings import Findings
from onnxprobe.record import JacobianRecord, SelfCheckRecord

__all__ = ["check_ranks"]


@dataclass(frozen=True)
class _Bound:
    """The least that a tensor's dominators allow.

    Attributes:
        value: A count of directions.
        name: The dominator.
    """

    value: int
    name: str


class _Bounds:
    """What the dominators of a tensor allow, taken together."""

    def __init__(self) -> None:
        self.size: _Bound | None = None
        # By sample: values above rounding, and values above each tolerance.
        self.rank: dict[int, _Bound] = {}
        self.at_tolerance: dict[int, _Bound] = {}

    def with_dominator(self, name: str, size: int, jacobian: JacobianRecord | None) -> _Bounds:
        """Take one more dominator into account."""
        made = _Bounds()
        made.size = _least(self.size, _Bound(size, name))
        made.rank, made.at_tolerance = dict(self.rank), dict(self.at_tolerance)
        if jacobian is None or not jacobian.complete:
            return made
        for each in jacobian.samples:
            if each.rank_at_rounding is None or each.rank is None:
                continue
            at = each.sample
            made.rank[at] = _least(made.rank.get(at), _Bound(each.rank_at_rounding, name))
            made.at_tolerance[at] = _least(made.at_tolerance.get(at), _Bound(each.rank, name))
        return made


def _least(first: _Bound | None, second: _Bound) -> _Bound:
    return second if first is None or second.value < first.value else first


def check_ranks(findings: Findings) -> SelfCheckRecord | None:
    """Hold the ranks of an analysis against each other.

    Whatever reaches a tensor has passed its dominators: the tensor's rank exceeds neither the size
    of one, nor the rank of one whose spectrum is complete. A tensor that does, above its own noise
    floor, is failed: its floor is too low, or a derivative is wrong. At a relative tolerance a rank
    may grow, since gains bring up what was small; such a tensor is *rescaled*.

    Args:
        findings: Of an analysis; receives failures, and the status of tensors that are rescaled.

    Returns:
        What was checked; ``None`` without Jacobians.
    """
    if not findings.jacobians or findings.opening is None:
        return None
    entries = findings.entries
    smooth = {name for name, entry in entries.items() if entry.reach == "smooth"}
    sources = findings.opening.source_names
    parents = {
        name: [each for each in entries[name].parents if each in smooth or each in sources]
        for name in entries
        if name in smooth and name not in sources
    }
    dominators = immediate_dominators(parents, sources)
    bounds: dict[str, _Bounds] = {name: _Bounds() for name in sources}
    checked, failed, rescaled = 0, [], []
    for name, dominator in dominators.items():
        if name in sources:
            continue
        bounds[name] = _after(findings, bounds, dominator)
        jacobian = findings.jacobians.get(name)
        if jacobian is None:
            continue
        checked += 1
        record = jacobian.jacobian
        violation = next(_violations(record, bounds[name]), None)
        if violation is not None:
            findings.failed[name] = f"it fails the self-check: {violation}"
            failed.append(name)
        elif _grows(record, bounds[name]):
            rescaled.append(name)
            if record.status == "ok":
                record.status = "rescaled"
    return SelfCheckRecord(checked=checked, failed=failed, rescaled=rescaled)


def _after(findings: Findings, bounds: Mapping[str, _Bounds], dominator: str | None) -> _Bounds:
    """Return what holds for a tensor with this immediate dominator."""
    if dominator is None:
        return _Bounds()
    layout = findings.layouts.get(dominator)
    if layout is None:
        return bounds[dominator]
    stand_in = findings.groups.measured_as.get(dominator, dominator)
    answer = findings.jacobians.get(findings.groups.differentiated_as(stand_in))
    record = answer.jacobian if answer else None
    return bounds[dominator].with_dominator(dominator, layout.size, record)


def _violations(record: JacobianRecord, bounds: _Bounds) -> Iterator[str]:
    for each in record.samples:
        if each.resolved is None:
            continue
        told = f"at sample {each.sample} it has rank {each.resolved} above its noise floor"
        if bounds.size is not None and each.resolved > bounds.size.value:
            yield (
                f"{told}, but everything that reaches it passes {bounds.size.name!r} with "
                f"{bounds.size.value} elements"
            )
        known = bounds.rank.get(each.sample)
        if known is not None and each.resolved > known.value:
            yield (
                f"{told}, but everything that reaches it passes {known.name!r} of rank "
                f"{known.value}"
            )


def _grows(record: JacobianRecord, bounds: _Bounds) -> bool:
    if not record.complete:
        return False
    return any(
        each.rank is not None
        and each.sample in bounds.at_tolerance
        and each.rank > bounds.at_tolerance[each.sample].value
        for each in record.samples
    )
