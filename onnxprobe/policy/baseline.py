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

__all__ = ["Baseline", "differing_options"]

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
        told = [*_differing_data(older, report), *differing_options(older, report)]
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
        before = _failing(MEASURES[finding.measure].read(question), finding)
        now = _failing(Reading(finding.low, finding.high), finding)
        if before is None or now is None:
            return
        margin = _STEADY * abs(before)
        is_below = finding.bound == "max"
        finding.known = now <= before + margin if is_below else now >= before - margin
        if not finding.known:
            finding.reason = f"the baseline had {before:.4g}"

    def _older(self, rule: Rule, name: str) -> TensorRecord | None:
        """Find what the baseline says of a tensor, or of a joint release."""
        if rule.together is None:
            return self.older.get(name)
        found = released_together(self.report, rule.together)
        return None if isinstance(found, str) else found


def _failing(reading: Reading, finding: Finding) -> float | None:
    """Return the end that breaks a limit; ``None`` if neither does."""
    if finding.bound == "max":
        end = reading.low
        return end if end is not None and end > finding.limit else None
    end = reading.high
    return end if end is not None and end < finding.limit else None


def _differing_data(one: Report, other: Report) -> Iterator[str]:
    if one.data.digest != other.data.digest or one.data.synthetic != other.data.synthetic:
        yield "it had other samples"
    elif one.data.digest is None and not one.data.synthetic:
        yield "its samples are not known to be the same"


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
