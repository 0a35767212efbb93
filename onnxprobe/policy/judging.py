"""Holding a report against a policy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Set
from datetime import date
from typing import Literal

from onnxprobe.errors import PolicyError
from onnxprobe.policy.baseline import Baseline
from onnxprobe.policy.language import Bound, Rule, Waiver
from onnxprobe.policy.measures import MEASURES
from onnxprobe.policy.parsing import PolicyFile
from onnxprobe.policy.questions import Question, Reading
from onnxprobe.policy.selecting import Selection, matching, select_tensors
from onnxprobe.policy.verdict import (
    EXIT_CODES,
    Finding,
    Judgement,
    PolicyRecord,
    RuleResult,
    Verdict,
    worst,
)
from onnxprobe.policy.wording import PlacedError, shown
from onnxprobe.record import Report, TensorRecord

__all__ = ["judge", "report_digest"]


def judge(
    report: Report,
    file: PolicyFile,
    today: date,
    baseline: Report | None = None,
    *,
    measured: bool = False,
) -> Judgement:
    """Hold a report against a policy.

    Args:
        report: The report.
        file: The policy.
        today: Decides which waivers are over.
        baseline: An older report, measured in the same way; what broke a rule there, and no less,
            is a warning.
        measured: Whether the model was analysed for this, and not read of in a report.

    Returns:
        The verdict on every rule, and on all.

    Raises:
        PolicyError: If a rule that is not optional matches no tensor of the model, or its cut or
            release names one that the model has not.
    """
    policy = file.policy
    notes = [
        f"the waiver of {waiver.rule!r}{file.place('waiver', number)} ended on {waiver.expires}"
        for number, waiver in enumerate(policy.waivers)
        if waiver.expires < today
    ]
    current = [waiver for waiver in policy.waivers if waiver.expires >= today]
    used: set[int] = set()
    before = Baseline.of(baseline, report) if baseline else None
    if before is not None and before.excuse:
        notes.append(f"the baseline excuses nothing: {before.excuse}")
    if wrt := report.run.configuration.get("wrt"):
        notes.append(
            f"figures are with respect to {wrt!r}, as --wrt asked, and say nothing of what comes "
            "before it"
        )
    results = []
    for number, rule in enumerate(policy.rules):
        try:
            selection = select_tensors(report, rule)
        except PlacedError as error:
            raise PolicyError(file.sentence(error, "rule", number)) from error
        if not selection.is_empty:
            notes += [
                f"rule {rule.name!r} names {shown(name)}{file.place('rule', number, *place)}, "
                "which is no tensor of the model"
                for place, name in selection.unmatched.items()
            ]
        results.append(_judge_rule(report, rule, selection, current, used, before))
    notes += [
        f"the waiver of {waiver.rule!r}{file.place('waiver', number)} until {waiver.expires} was "
        "not needed"
        for number, waiver in enumerate(policy.waivers)
        if waiver.expires >= today and id(waiver) not in used
    ]
    is_complete = report.run.interrupted is None and not report.coverage.failed
    verdict = worst(*(result.verdict for result in results))
    if not is_complete:
        verdict = worst(verdict, "inconclusive")
        what = report.run.interrupted or f"{len(report.coverage.failed)} tensors failed"
        notes.append(f"the analysis was not complete: {what}")
    return Judgement(
        verdict=verdict,
        exit_code=EXIT_CODES[verdict],
        policy=PolicyRecord(name=policy.name, source=file.source, sha256=file.sha256),
        model=report.model.name,
        files=report.model.files,
        data=report.data.digest,
        report=report_digest(report),
        baseline=report_digest(baseline) if baseline else None,
        day=today,
        measured=measured,
        complete=is_complete,
        rules=results,
        notes=notes,
    )


def report_digest(report: Report) -> str:
    """Return a digest of what a report finds.

    Args:
        report: Any report.

    Returns:
        sha256 over its JSON without ``run``, keys sorted.
    """
    content = report.model_dump(mode="json", exclude={"run"})
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _judge_rule(
    report: Report,
    rule: Rule,
    selection: Selection,
    waivers: list[Waiver],
    used: set[int],
    before: Baseline | None,
) -> RuleResult:
    names = [tensor.name for tensor in selection.analysed]
    findings, passed = [], 0
    for tensor in selection.analysed:
        for finding in _judge_tensor(report, rule, tensor):
            if finding.verdict == "pass":
                passed += 1
                continue
            if before is not None:
                before.compare(finding, rule)
            findings.append(finding)
    for name, reason in selection.unknown.items():
        findings += _unknown(rule, name, reason)
    known = {*report.graph, *names, *selection.unknown}
    broken = dict.fromkeys(finding.tensor for finding in findings)
    waived = _waived(rule, waivers, used, known, broken)
    for finding in findings:
        _soften(finding, rule, waived.get(finding.tensor))
    if selection.is_empty:
        verdict: Verdict = "not applicable"
    else:
        verdict = worst("pass", *(finding.verdict for finding in findings))
    order = ("fail", "inconclusive", "warn")
    findings.sort(key=lambda finding: (order.index(finding.verdict), -_excess(finding)))
    return RuleResult(
        name=rule.name,
        description=rule.description,
        severity=rule.severity,
        verdict=verdict,
        tensors=[*names, *selection.unknown],
        findings=findings,
        passed=passed,
    )


def _bounds(rule: Rule) -> Iterator[tuple[str, Literal["max", "min"], Bound]]:
    """Yield what a rule bounds, from which side, and how."""
    sides: tuple[Literal["max", "min"], ...] = ("max", "min")
    for side in sides:
        bounds = rule.max if side == "max" else rule.min
        for measure, limits in bounds.limits.items() if bounds else ():
            for limit in limits:
                yield measure, side, limit


def _judge_tensor(report: Report, rule: Rule, tensor: TensorRecord) -> Iterator[Finding]:
    for measure, side, limit in _bounds(rule):
        question = Question(
            report, tensor, limit.noise or "", limit.tolerance or "", limit.target or "", side
        )
        reading = MEASURES[measure].read(question)
        finding = _finding(tensor.name, measure, side, limit, _held(reading, side, limit))
        finding.low, finding.high = reading.low, reading.high
        finding.label = reading.label or MEASURES[measure].label
        finding.reason = reading.reason if finding.verdict == "inconclusive" else ""
        yield finding


def _finding(
    tensor: str, measure: str, side: Literal["max", "min"], limit: Bound, verdict: Verdict
) -> Finding:
    return Finding(
        tensor=tensor,
        measure=measure,
        bound=side,
        limit=limit.value,
        noise=limit.noise,
        tolerance=limit.tolerance,
        target=limit.target,
        verdict=verdict,
    )


def _held(reading: Reading, side: Literal["max", "min"], limit: Bound) -> Verdict:
    """Compare an interval with a limit: one end alone can fail a rule, and the other pass it."""
    low, high = reading.low, reading.high
    if side == "max":
        if low is not None and low > limit.value:
            return "fail"
        return "pass" if high is not None and high <= limit.value else "inconclusive"
    if high is not None and high < limit.value:
        return "fail"
    return "pass" if low is not None and low >= limit.value else "inconclusive"


def _unknown(rule: Rule, name: str, reason: str) -> Iterator[Finding]:
    """Yield a finding for each bound of a tensor without figures."""
    for measure, side, limit in _bounds(rule):
        finding = _finding(name, measure, side, limit, "inconclusive")
        finding.reason = reason
        yield finding


def _waived(
    rule: Rule, waivers: list[Waiver], used: set[int], known: Set[str], names: Iterable[str]
) -> dict[str, str]:
    """Say why tensors of a rule are excepted; names of the model's are no globs."""
    waived: dict[str, str] = {}
    for waiver in waivers:
        if waiver.rule != rule.name:
            continue
        matched = None if waiver.tensors is None else matching(waiver.tensors, known)
        said = f"{waiver.reason} (until {waiver.expires})"
        for name in names:
            if matched is None or name in matched:
                used.add(id(waiver))
                waived[name] = said
    return waived


def _soften(finding: Finding, rule: Rule, waived: str | None) -> None:
    """Let warnings, waivers and the baseline make a warning of what is broken or unknown."""
    finding.waived = waived
    if rule.severity == "warning" or waived is not None or finding.known:
        finding.verdict = "warn"


def _excess(finding: Finding) -> float:
    """How far beyond its limit a measure is, for the order of a list."""
    value = finding.low if finding.bound == "max" else finding.high
    if value is None:
        return 0.0
    return value - finding.limit if finding.bound == "max" else finding.limit - value
