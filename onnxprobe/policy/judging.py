"""Holding a report against a policy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import date
from typing import Literal

from onnxprobe.errors import PolicyError
from onnxprobe.policy.alignment import align
from onnxprobe.policy.language import Bound, Rule, Waiver
from onnxprobe.policy.measures import MEASURES
from onnxprobe.policy.parsing import PolicyFile
from onnxprobe.policy.questions import Question, Reading
from onnxprobe.policy.selecting import Selection, matching, released_together, select_tensors
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

# A measure that moves by less between two analyses has not become worse.
_STEADY = 1e-3


def judge(
    report: Report, file: PolicyFile, today: date, baseline: Report | None = None
) -> Judgement:
    """Hold a report against a policy.

    Args:
        report: The report.
        file: The policy.
        today: Decides which waivers are over.
        baseline: An older report; what broke a rule there, and no less, is a warning.

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
    older = {pair.one.name: pair.other for pair in align(report, baseline)} if baseline else {}
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
        results.append(_judge_rule(report, rule, selection, current, used, baseline, older))
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
    baseline: Report | None,
    older: Mapping[str, TensorRecord],
) -> RuleResult:
    names = [tensor.name for tensor in selection.analysed]
    findings, passed = [], 0
    for tensor in selection.analysed:
        for finding in _judge_tensor(report, rule, tensor):
            if finding.verdict == "pass":
                passed += 1
                continue
            if baseline is not None:
                _compare(finding, baseline, _older(rule, tensor, baseline, older))
            findings.append(finding)
    findings += [_unknown(rule, name, reason) for name, reason in selection.unknown.items()]
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


def _judge_tensor(report: Report, rule: Rule, tensor: TensorRecord) -> Iterator[Finding]:
    sides: tuple[Literal["max", "min"], ...] = ("max", "min")
    for side in sides:
        bounds = rule.max if side == "max" else rule.min
        for measure, limits in bounds.limits.items() if bounds else ():
            for limit in limits:
                question = Question(
                    report,
                    tensor,
                    limit.noise or "",
                    limit.tolerance or "",
                    limit.target or "",
                    side,
                )
                reading = MEASURES[measure].read(question)
                verdict = _held(reading, side, limit)
                yield Finding(
                    tensor=tensor.name,
                    measure=measure,
                    bound=side,
                    limit=limit.value,
                    noise=limit.noise,
                    tolerance=limit.tolerance,
                    target=limit.target,
                    low=reading.low,
                    high=reading.high,
                    verdict=verdict,
                    label=reading.label or MEASURES[measure].label,
                    reason=reading.reason if verdict == "inconclusive" else "",
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


def _unknown(rule: Rule, name: str, reason: str) -> Finding:
    side: Literal["max", "min"] = "max" if rule.max else "min"
    bounds = rule.max or rule.min
    assert bounds is not None
    measure, limits = next(iter(bounds.limits.items()))
    return Finding(
        tensor=name,
        measure=measure,
        bound=side,
        limit=limits[0].value,
        noise=limits[0].noise,
        tolerance=limits[0].tolerance,
        verdict="inconclusive",
        reason=reason,
    )


def _older(
    rule: Rule, tensor: TensorRecord, baseline: Report, older: Mapping[str, TensorRecord]
) -> TensorRecord | None:
    """Find what the baseline says of a tensor, or of a joint release."""
    if rule.together is None:
        return older.get(tensor.name)
    found = released_together(baseline, rule.together)
    return None if isinstance(found, str) else found


def _compare(finding: Finding, baseline: Report, older: TensorRecord | None) -> None:
    """Find out whether what fails has failed before, and no less."""
    if finding.verdict != "fail" or older is None:
        return
    question = Question(
        baseline,
        older,
        finding.noise or "",
        finding.tolerance or "",
        finding.target or "",
        finding.bound,
    )
    before = MEASURES[finding.measure].read(question)
    limit = Bound(value=finding.limit)
    if _held(before, finding.bound, limit) != "fail":
        return
    then, now = (before.low, finding.low) if finding.bound == "max" else (before.high, finding.high)
    assert then is not None
    assert now is not None
    margin = _STEADY * abs(then)
    finding.known = now <= then + margin if finding.bound == "max" else now >= then - margin
    if not finding.known:
        finding.reason = f"the baseline had {then:.4g}"


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
