"""A verdict as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from onnxprobe.policy import Finding, Judgement, RuleResult, Verdict
from onnxprobe.record import Report
from onnxprobe.report.text import printable, shortened
from onnxprobe.report.verdict import finding_text
from onnxprobe.version import __version__

__all__ = ["MAX_RESULTS", "render_sarif"]

# GitHub reads no more results of a run, and shows no more places of a result.
MAX_RESULTS = 5000
_INCOMPLETE: dict[str, Any] = {
    "id": "incomplete",
    "name": "the analysis is complete",
    "shortDescription": {"text": "the analysis is complete"},
    "fullDescription": {"text": "What was not measured passes no rule."},
    "help": {"text": "What was not measured passes no rule."},
    "defaultConfiguration": {"level": "warning"},
}
MAX_PLACES = 100
_NAME, _SENTENCE = 200, 1000
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
# What is inconclusive has to be seen as well, which no level below this is.
_LEVELS: dict[Verdict, str] = {"fail": "error", "inconclusive": "warning", "warn": "warning"}
_ORDER: tuple[Verdict, ...] = ("fail", "inconclusive", "warn")


def render_sarif(judgement: Judgement, report: Report) -> bytes:
    """Render a verdict as SARIF.

    Args:
        judgement: The verdict.
        report: What was judged.

    Returns:
        UTF-8: one result per rule and group of tensors that share their measures, at most 5,000,
        the worst first; the rest is counted in a notification. Names are made printable.
    """
    groups = [
        (number, rule, group)
        for number, rule in enumerate(judgement.rules)
        for group in _groups(rule, report)
    ]
    groups.sort(key=lambda each: _ORDER.index(each[2][0].verdict))
    # One is for an analysis that is not complete.
    shown = groups[: MAX_RESULTS - 1]
    notes = [printable(note) for note in judgement.notes]
    if len(groups) > len(shown):
        notes.append(
            f"{len(groups) - len(shown)} further results are left out, none worse than those here"
        )
    location = _location(report)
    results = [_result(*each, location, judgement) for each in shown]
    rules = [_rule(number, rule) for number, rule in enumerate(judgement.rules)]
    if not judgement.complete:
        # Rules that pass have no results, and this must be seen.
        rules.append(_INCOMPLETE)
        results.append({
            "ruleId": _INCOMPLETE["id"],
            "ruleIndex": len(rules) - 1,
            "level": "warning",
            "message": {"text": "The analysis was not complete, so nothing passes."},
            "locations": [{"physicalLocation": location}],
            **({"baselineState": "new"} if judgement.baseline is not None else {}),
        })
    run = {
        "tool": {
            "driver": {
                "name": "onnxprobe",
                "version": __version__,
                "rules": rules,
            }
        },
        "artifacts": [
            {
                "location": {
                    "uri": location["artifactLocation"]["uri"]
                    if number == 0
                    else quote(printable(file.name))
                },
                "hashes": {"sha-256": file.sha256},
                "length": file.size_bytes,
            }
            for number, file in enumerate(judgement.files)
        ],
        "invocations": [
            {
                "executionSuccessful": judgement.complete,
                "exitCode": judgement.exit_code,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": shortened(note, _SENTENCE)}}
                    for note in notes
                ],
            }
        ],
        "results": results,
        "columnKind": "unicodeCodePoints",
        "properties": {
            "verdict": judgement.verdict,
            "policy": printable(judgement.policy.name),
            "policySha256": judgement.policy.sha256,
            "reportSha256": judgement.report,
        },
    }
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def _groups(rule: RuleResult, report: Report) -> Iterator[list[Finding]]:
    """Yield the findings of a rule, those of tensors that share their measures together."""
    origins = {each.name: each.shares_with or each.name for each in report.tensors}
    groups: dict[tuple[str, Verdict], list[Finding]] = {}
    for finding in rule.findings:
        key = (origins.get(finding.tensor, finding.tensor), finding.verdict)
        groups.setdefault(key, []).append(finding)
    yield from groups.values()


def _rule(number: int, rule: RuleResult) -> dict[str, Any]:
    name = shortened(printable(rule.name), _NAME)
    found: dict[str, Any] = {
        "id": _identifier(number),
        "name": name,
        "shortDescription": {"text": name},
        "defaultConfiguration": {"level": rule.severity},
        "properties": {"verdict": rule.verdict, "passed": rule.passed},
    }
    described = shortened(printable(rule.description or rule.name), _SENTENCE)
    found["fullDescription"] = {"text": described}
    found["help"] = {"text": described}
    return found


def _identifier(number: int) -> str:
    return f"rule-{number + 1}"


def _location(report: Report) -> dict[str, Any]:
    """Return where the model lies: as it was given, if that is below the current folder."""
    given = PurePath(report.run.paths.get("model", report.model.name))
    path = report.model.name if given.is_absolute() or ".." in given.parts else given.as_posix()
    return {
        "artifactLocation": {"uri": quote(printable(path))},
        # Code scanning shows nothing without a line.
        "region": {"startLine": 1},
    }


def _result(
    number: int,
    rule: RuleResult,
    group: Sequence[Finding],
    location: Mapping[str, Any],
    judgement: Judgement,
) -> dict[str, Any]:
    first = group[0]
    names = list(dict.fromkeys(finding.tensor for finding in group))
    others = f" (and {len(names) - 1} tensors that share its measures)" if len(names) > 1 else ""
    said = "; ".join(finding_text(each, _NAME) for each in group if each.tensor == first.tensor)
    rule_name = shortened(printable(rule.name), _NAME)
    result: dict[str, Any] = {
        "ruleId": _identifier(number),
        "ruleIndex": number,
        "level": _LEVELS[first.verdict],
        "message": {"text": shortened(f"{rule_name}: {said}{others}", _SENTENCE)},
        "locations": [
            {
                "physicalLocation": location,
                "logicalLocations": [
                    {
                        "name": shortened(printable(name), _NAME),
                        "fullyQualifiedName": shortened(f"graph/{printable(name)}", _NAME),
                        "kind": "object",
                    }
                    for name in names[:MAX_PLACES]
                ],
            }
        ],
        "partialFingerprints": {
            "ruleTensorVerdict/v1": _fingerprint(rule.name, first.tensor, first.verdict)
        },
        "properties": {"verdict": first.verdict, "tensors": len(names)},
    }
    if judgement.baseline is not None:
        # All results have a state, or none.
        is_known = all(each.known for each in group)
        result["baselineState"] = "unchanged" if is_known else "new"
    if first.waived is not None and all(each.waived is not None for each in group):
        reason = shortened(printable(first.waived), _SENTENCE)
        result["suppressions"] = [{"kind": "external", "justification": reason}]
    return result


def _fingerprint(*parts: str) -> str:
    content = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()[:32]
