"""A verdict as an in-toto statement, unsigned, for a tool such as cosign to sign."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from onnxprobe.policy import Judgement, Verdict
from onnxprobe.record import Report
from onnxprobe.report.text import printable, shortened
from onnxprobe.version import __version__

__all__ = ["render_statement"]

# A predicate that verifiers know; what it has no word for is an extension field.
_PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
_RESULTS: dict[Verdict, str] = {
    "pass": "PASSED",
    "not applicable": "PASSED",
    "warn": "WARNED",
    # Not known to be met, which is as good as not met.
    "inconclusive": "FAILED",
    "fail": "FAILED",
}
_LISTS = {"PASSED": "passedTests", "WARNED": "warnedTests", "FAILED": "failedTests"}
_NAME = 200


def render_statement(judgement: Judgement, report: Report) -> bytes:
    """Render a verdict as an in-toto statement.

    Args:
        judgement: The verdict.
        report: What was judged.

    Returns:
        UTF-8: the subjects are the model's files, external data included; the predicate is a test
        result whose configuration binds policy, data and report by their digests.
    """
    subjects = [
        ResourceDescriptor(name=_text(file.name), digest={"sha256": file.sha256}).pb
        for file in judgement.files
    ]
    configuration = [
        _descriptor("policy", judgement.policy.sha256, judgement.policy.source),
        _descriptor("report", judgement.report, "without its run"),
    ]
    if judgement.data is not None:
        configuration.append(_descriptor("data", judgement.data, "names, types, shapes, values"))
    if report.data.labels_digest is not None:
        configuration.append(_descriptor("labels", report.data.labels_digest, "classes"))
    if judgement.baseline is not None:
        configuration.append(_descriptor("baseline", judgement.baseline, "without its run"))
    cohorts = report.membership
    if cohorts is not None and cohorts.members_digest and cohorts.non_members_digest:
        what = "names, types, shapes, values"
        configuration.append(_descriptor("members", cohorts.members_digest, what))
        configuration.append(_descriptor("non-members", cohorts.non_members_digest, what))
    lists: dict[str, list[str]] = {name: [] for name in _LISTS.values()}
    for rule in judgement.rules:
        lists[_LISTS[_RESULTS[rule.verdict]]].append(_text(rule.name))
    predicate: dict[str, Any] = {
        "result": _RESULTS[judgement.verdict],
        "configuration": configuration,
        **lists,
        "onnxprobe": {
            "version": __version__,
            "verdict": judgement.verdict,
            # Decides which waivers count.
            "day": judgement.day.isoformat(),
            "complete": judgement.complete,
            "measured": judgement.measured,
            "source": [_text(name) for name in report.source.names] if report.source else [],
            "syntheticData": report.data.synthetic,
        },
    }
    statement = Statement(subjects, _PREDICATE, predicate)
    statement.validate()
    return json.dumps(MessageToDict(statement.pb), indent=1, sort_keys=True).encode() + b"\n"


def _descriptor(name: str, sha256: str, what: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}, "annotations": {"of": _text(what)}}


def _text(text: str) -> str:
    return shortened(printable(text), _NAME)
