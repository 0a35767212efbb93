"""A verdict as JUnit XML, which every CI system reads."""

from __future__ import annotations

import io

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from onnxprobe.policy import Judgement, RuleResult, Verdict
from onnxprobe.record import Report
from onnxprobe.report.text import printable, shortened
from onnxprobe.report.verdict import finding_text

__all__ = ["MAX_CASES", "render_junit"]

# Test cases of a rule; CI systems grind to a halt at many more.
MAX_CASES = 1000
_NAME, _SENTENCE = 200, 1000


def render_junit(judgement: Judgement, report: Report) -> bytes:
    """Render a verdict as JUnit XML.

    Args:
        judgement: The verdict.
        report: What was judged.

    Returns:
        UTF-8: a suite per rule, and in it a case per tensor: a failure if it fails, an error if it
        is inconclusive, skipped with the reason if it is a warning. Further tensors are counted in
        one last case.
    """
    document = JUnitXml(_text(judgement.policy.name))
    for rule in judgement.rules:
        document.add_testsuite(_suite(rule, report))
    if not judgement.complete:
        suite = TestSuite("analysis")
        case = TestCase("the analysis is complete", "onnxprobe")
        case.result = [Error(_text("; ".join(judgement.notes)), "incomplete")]
        suite.add_testcase(case)
        document.add_testsuite(suite)
    buffer = io.BytesIO()
    document.write(buffer, pretty=True)
    return buffer.getvalue()


def _suite(rule: RuleResult, report: Report) -> TestSuite:
    suite = TestSuite(_text(rule.name))
    model = _text(report.model.name)
    by_tensor: dict[str, list[str]] = {}
    verdicts: dict[str, Verdict] = {}
    for finding in rule.findings:
        by_tensor.setdefault(finding.tensor, []).append(finding_text(finding, _NAME))
        # The worst comes first.
        verdicts.setdefault(finding.tensor, finding.verdict)
    ordered = [*by_tensor, *(name for name in rule.tensors if name not in by_tensor)]
    cases = []
    for name in ordered[:MAX_CASES]:
        case = TestCase(_text(name), model)
        said = _text("; ".join(by_tensor.get(name, [])), _SENTENCE)
        verdict = verdicts.get(name)
        if verdict == "fail":
            case.result = [Failure(said, "fail")]
        elif verdict == "inconclusive":
            case.result = [Error(said, "inconclusive")]
        elif verdict == "warn":
            case.result = [Skipped(said, "warn")]
        cases.append(case)
    if len(ordered) > MAX_CASES:
        case = TestCase(f"{len(ordered) - MAX_CASES} further tensors, none worse", model)
        case.result = [Skipped("left out", "omitted")]
        cases.append(case)
    if not ordered:
        case = TestCase("no tensor of the model", model)
        case.result = [Skipped("not applicable", "not applicable")]
        cases.append(case)
    # One by one, all would be counted again each time.
    suite.add_testcases(cases)
    return suite


def _text(text: str, width: int = _NAME) -> str:
    # XML has no letter for these two, be they escaped or not.
    safe = printable(text).replace("\ufffe", "\\ufffe").replace("\uffff", "\\uffff")
    return shortened(safe, width)
