"""What a check says: a verdict per rule and tensor, and one for all, with its exit code."""

from __future__ import annotations

from datetime import date
from typing import Literal, TypeAlias

from pydantic import Field

from onnxprobe.policy.language import Severity
from onnxprobe.record import FileRecord, Label
from onnxprobe.record.base import Record

__all__ = ["EXIT_CODES", "Finding", "Judgement", "PolicyRecord", "RuleResult", "Verdict", "worst"]

Verdict: TypeAlias = Literal["pass", "warn", "fail", "inconclusive", "not applicable"]

EXIT_CODES: dict[Verdict, int] = {
    "pass": 0,
    "warn": 0,
    "not applicable": 0,
    "fail": 1,
    "inconclusive": 4,
}
_ORDER: tuple[Verdict, ...] = ("not applicable", "pass", "warn", "inconclusive", "fail")


def worst(*verdicts: Verdict) -> Verdict:
    """Choose the verdict that counts.

    Args:
        *verdicts: Any number.

    Returns:
        The worst; ``"not applicable"`` of none.

    Example:
        >>> worst("pass", "inconclusive", "warn")
        'inconclusive'
    """
    return max(verdicts, key=_ORDER.index, default="not applicable")


class Finding(Record):
    """One bound of one rule at one tensor."""

    tensor: str
    measure: str
    bound: Literal["max", "min"] = Field(description="Which side the limit is on.")
    limit: float
    noise: str | None = None
    tolerance: str | None = None
    target: str | None = None
    label: Label | None = Field(None, description="What the figure is that decides.")
    low: float | None = Field(None, description="The measure is no smaller.")
    high: float | None = Field(None, description="The measure is no larger.")
    verdict: Verdict
    reason: str = ""
    waived: str | None = Field(None, description="Why it is excepted.")
    known: bool = Field(False, description="Whether the baseline broke the rule no less.")


class RuleResult(Record):
    """What became of a rule."""

    name: str
    description: str
    severity: Severity
    verdict: Verdict
    tensors: list[str] = Field(description="The tensors that it was held against.")
    findings: list[Finding] = Field(description="Where it does not plainly hold, worst first.")
    passed: int = Field(description="Bounds that hold.")


class PolicyRecord(Record):
    """Which policy it was."""

    name: str
    source: str
    sha256: str


class Judgement(Record):
    """The outcome of a check."""

    schema_version: Literal["1.0"] = "1.0"
    verdict: Verdict
    exit_code: int
    policy: PolicyRecord
    model: str
    files: list[FileRecord] = Field(description="What was audited.")
    data: str | None = Field(description="Digest of the samples.")
    report: str = Field(description="sha256 of the report that was judged, without its `run`.")
    baseline: str | None = Field(
        None, description="sha256 of the report that excuses what it broke as well."
    )
    day: date = Field(description="On which waivers were looked at, in UTC.")
    measured: bool = Field(
        description="Whether the model was analysed for this verdict; else a report was believed."
    )
    complete: bool = Field(description="Whether the analysis was complete.")
    rules: list[RuleResult]
    notes: list[str] = Field(description="Waivers that are over or match nothing, and the like.")
