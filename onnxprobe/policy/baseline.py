"""What an older report excuses: bounds that were broken before, and no less."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnxprobe.policy.alignment import align
from onnxprobe.policy.language import Rule
from onnxprobe.policy.measures import MEASURES
from onnxprobe.policy.questions import Question, Reading
from onnxprobe.policy.selecting import released_together
from onnxprobe.policy.verdict import Finding
from onnxprobe.record import Report, TensorRecord

__all__ = ["Baseline", "differing_data", "differing_options"]

# A measure that moves by less between two analyses has not become worse.
_STEADY = 1e-3
# Options that figures depend on, beside the data.
_OPTIONS = (
    "directions",
    "samples",
    "tolerance",
    "prior",
    "jacobian",
    "straight_through",
    "step",
    "seed",
    "wrt",
)


@dataclass(frozen=True)
class Baseline:
    """An older report, of the model or of the version before.

    Attributes:
        report: The report.
        older: Its tensors, by name of the new report's.
        excuse: Why nothing in it excuses anything, if so.
    """

    report: Report
    older: Mapping[str, TensorRecord]
    excuse: str

    @classmethod
    def of(cls, older: Report, report: Report) -> Baseline:
        """Pair an older report with a new one.

        Args:
            older: The baseline.
            report: What is judged.

        Returns:
            The baseline; it excuses nothing if it was measured otherwise.
        """
        pairs = {pair.one.name: pair.other for pair in align(report, older)}
        told = [*differing_data(older, report), *differing_options(older, report)]
        return cls(older, pairs, "; ".join(told))

    def compare(self, finding: Finding, rule: Rule) -> None:
        """Find out whether what fails has failed before, and no less, and note it.

        Args:
            finding: At a tensor, or at a joint release.
            rule: What it is about.
        """
        older = self._older(rule, finding.tensor)
        if finding.verdict != "fail" or older is None or self.excuse:
            return
        question = Question(
            self.report,
            older,
            finding.noise or "",
            finding.tolerance or "",
            finding.target or "",
            finding.bound,
        )
        before = MEASURES[finding.measure].read(question)
        now = Reading(finding.low, finding.high)
        is_above = finding.bound == "max"
        certain = before.low if is_above else before.high
        if certain is None or (certain <= finding.limit if is_above else certain >= finding.limit):
            return
        finding.known = (
            _no_worse(now, before) if is_above else _no_worse(_turned(now), _turned(before))
        )
        if not finding.known:
            finding.reason = f"the baseline had {_said(before)}"

    def _older(self, rule: Rule, name: str) -> TensorRecord | None:
        """Find what the baseline says of a tensor, or of a joint release."""
        if rule.together is None:
            return self.older.get(name)
        found = released_together(self.report, rule.together)
        return None if isinstance(found, str) else found


def _no_worse(now: Reading, before: Reading) -> bool:
    """Whether neither end is higher; what is known less closely may be higher."""
    ends = ((now.low, before.low), (now.high, before.high))
    return all(
        then is None or (end is not None and end <= then + _STEADY * abs(then))
        for end, then in ends
    )


def _turned(reading: Reading) -> Reading:
    """Turn an interval around zero, so that lower is higher."""
    low, high = reading.low, reading.high
    return Reading(None if high is None else -high, None if low is None else -low)


def _said(reading: Reading) -> str:
    low, high = reading.low, reading.high
    if low is None or high is None:
        return f"at least {low:.4g}" if low is not None else f"at most {high:.4g}"
    return f"{low:.4g}" if f"{low:.4g}" == f"{high:.4g}" else f"{low:.4g} to {high:.4g}"


def differing_data(one: Report, other: Report) -> Iterator[str]:
    """Tell which samples of two reports are not the same.

    Args:
        one: A report.
        other: A later one.

    Yields:
        A sentence about the first, without a full stop, for each.
    """
    if one.data.digest != other.data.digest or one.data.synthetic != other.data.synthetic:
        yield "it had other samples"
    elif one.data.digest is None and not one.data.synthetic:
        yield "its samples are not known to be the same"
    if one.data.labels_digest != other.data.labels_digest:
        yield "it had other labels"
    if _cohorts(one) != _cohorts(other):
        yield "it had other members or non-members"


def _cohorts(report: Report) -> tuple[str | None, str | None] | None:
    cohorts = report.membership
    return None if cohorts is None else (cohorts.members_digest, cohorts.non_members_digest)


def differing_options(one: Report, other: Report) -> Iterator[str]:
    """Tell with which options two reports were not made alike, so that figures differ.

    Args:
        one: A report.
        other: A later one.

    Yields:
        A sentence without a full stop for each.
    """
    kinds = [report.prior.kind if report.prior else None for report in (one, other)]
    if kinds[0] != kinds[1]:
        yield f"the prior was {kinds[0]} and is {kinds[1]}"
    before, after = one.run.configuration, other.run.configuration
    for name in _OPTIONS:
        if before.get(name) != after.get(name):
            yield f"{name} was {before.get(name)} and is {after.get(name)}"
