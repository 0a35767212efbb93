"""Verdicts in the formats of machines, held against the formats' own definitions."""

from __future__ import annotations

import gzip
import json
import xml.etree.ElementTree as ET
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import ParseDict
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from junitparser import Error, Failure, JUnitXml, Skipped

import onnxprobe
from onnxprobe.errors import DataError
from onnxprobe.policy import Judgement, Policy, PolicyFile, judge, read_policy
from onnxprobe.record import Coverage, FileRecord, Omission, Report
from onnxprobe.report.sarif import MAX_RESULTS
from onnxprobe.report.verdict_formats import VERDICT_FORMATS, verdict_formats
from tests.reports import COHORTS, report, tensor
from tests.shared import ROOT, SHARED
from tests.trust.test_names import PAYLOADS

TODAY = date(2026, 6, 1)
SCHEMA = SHARED / "schemas" / "sarif-schema-2.1.0.json"
needs_schema = pytest.mark.skipif(
    not SCHEMA.exists(), reason="the official SARIF schema does not lie beside the checkout"
)

RULES: list[dict[str, Any]] = [
    {"name": "few directions", "role": "all", "max": {"rank": 62}},
    {
        "name": "little of the input",
        "description": "at noise 0.1",
        "role": "all",
        "max": {"recoverable_share": {"noise": 0.1, "value": 0.5}},
    },
    {"name": "few degrees", "role": "all", "max": {"dof": 1}, "severity": "warning"},
    {"name": "absent", "tensors": "none", "max": {"dof": 1}, "optional": True},
]


def _policy(name: str = "a policy", **changes: Any) -> PolicyFile:
    document: dict[str, Any] = {"name": name, "rule": RULES} | changes
    return PolicyFile(Policy.model_validate(document), "policy.toml", "ef" * 32)


def _judged(found: Report, **changes: Any) -> Judgement:
    return judge(found, _policy(**changes), TODAY)


def _hostile() -> tuple[Judgement, Report]:
    """Every kind of name, everywhere."""
    tensors = [tensor(name) for name in PAYLOADS.values()]
    made = report(*tensors)
    model = made.model.model_copy(
        update={
            "name": "<a>\x1b[2J\udcff\ufffe",
            "files": [
                FileRecord(name=n, sha256="ab" * 32, size_bytes=1) for n in PAYLOADS.values()
            ],
        }
    )
    skipped = [Omission(name="\udc80", reason="\x00\ufffe]]>")]
    coverage = Coverage(tensors=len(tensors) + 1, analysed=len(tensors), skipped=skipped, failed=[])
    made = made.model_copy(update={"model": model, "coverage": coverage})
    waiver = {"rule": "few degrees", "reason": "</script>\x07", "expires": date(2027, 1, 1)}
    return _judged(made, name="<p>\x1b\u202e", waiver=[waiver]), made


def _render(name: str, content: tuple[Judgement, Report]) -> bytes:
    return VERDICT_FORMATS[name][1](content)


def _cases() -> list[tuple[Judgement, Report]]:
    plain = report(tensor("a"), tensor("b", shares_with="a"))
    run = plain.run.model_copy(update={"interrupted": "the time is over"})
    cut = plain.model_copy(update={"run": run})
    return [(_judged(plain), plain), (_judged(cut), cut), _hostile()]


@needs_schema
def test_sarif_is_valid() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for content in _cases():
        jsonschema.validate(json.loads(_render("sarif", content)), schema)


def test_sarif_says_what_was_found() -> None:
    content = _cases()[0]
    (run,) = json.loads(_render("sarif", content))["runs"]
    assert [rule["name"] for rule in run["tool"]["driver"]["rules"]] == [
        rule["name"] for rule in RULES
    ]
    results = [(each["ruleId"], each["level"], each["properties"]) for each in run["results"]]
    assert results == [
        ("rule-1", "error", {"verdict": "fail", "tensors": 2}),
        *3 * [("rule-1", "warning", {"verdict": "inconclusive", "tensors": 1})],
        *3 * [("rule-2", "warning", {"verdict": "inconclusive", "tensors": 1})],
        ("rule-2", "warning", {"verdict": "inconclusive", "tensors": 2}),
        ("rule-3", "warning", {"verdict": "warn", "tensors": 2}),
        *3 * [("rule-3", "warning", {"verdict": "warn", "tensors": 1})],
    ]
    (place,) = run["results"][0]["locations"]
    assert [each["fullyQualifiedName"] for each in place["logicalLocations"]] == [
        "graph/a",
        "graph/b",
    ]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "model.onnx"
    assert run["invocations"][0]["executionSuccessful"]


def test_sarif_stays_within_the_limits_of_code_scanning() -> None:
    found = report(*(tensor(f"tensor {n}") for n in range(2 * MAX_RESULTS)))
    content = _render("sarif", (_judged(found), found))
    (run,) = json.loads(content)["runs"]
    assert len(run["results"]) <= MAX_RESULTS
    assert {each["level"] for each in run["results"]} == {"error"}
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert "further results are left out" in notes[-1]["message"]["text"]
    assert len(gzip.compress(content)) < 10 * 2**20


def test_junit_is_read_by_its_library() -> None:
    kinds: dict[str, type[Any]] = {"failures": Failure, "errors": Error, "skipped": Skipped}
    for content in _cases():
        rendered = _render("junit", content)
        ET.fromstring(rendered)
        document = JUnitXml.fromstring(rendered.decode())
        suites = [suite for suite in document if suite.name != "analysis"]
        assert len(suites) == len(RULES)
        for suite in suites:
            for counter, kind in kinds.items():
                count = sum(isinstance(case.result[0], kind) for case in suite if case.result)
                assert getattr(suite, counter) == count
    (judgement, found) = _cases()[0]
    document = JUnitXml.fromstring(_render("junit", (judgement, found)).decode())
    assert document.failures == 2
    assert document.tests >= 4


def test_a_statement_binds_the_verdict_to_its_digests() -> None:
    for content in _cases():
        judgement, _ = content
        document = json.loads(_render("in-toto", content))
        statement = Statement.copy_from_pb(ParseDict(document, statement_pb2.Statement()))
        statement.validate()
        digests = [each["digest"]["sha256"] for each in document["subject"]]
        assert digests == [each.sha256 for each in judgement.files]
        bound = {
            each["name"]: each["digest"]["sha256"]
            for each in document["predicate"]["configuration"]
        }
        assert bound == {
            "policy": judgement.policy.sha256, "report": judgement.report, "data": judgement.data,
        }  # fmt: skip
        assert document["predicate"]["result"] == "FAILED"


def test_a_statement_binds_members_and_others_too() -> None:
    judgement, found = _cases()[0]
    found = found.model_copy(update={"membership": COHORTS})
    document = json.loads(_render("in-toto", (judgement, found)))
    bound = {
        each["name"]: each["digest"]["sha256"] for each in document["predicate"]["configuration"]
    }
    assert (bound["members"], bound["non-members"]) == ("a" * 64, "b" * 64)


def test_a_bill_of_materials_is_valid() -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for content in _cases():
        rendered = _render("cyclonedx", content)
        assert validator.validate_str(rendered.decode()) is None
        (model,) = [
            each
            for each in json.loads(rendered)["components"]
            if each["type"] == "machine-learning-model"
        ]
        properties = {each["name"]: each["value"] for each in model["properties"]}
        assert properties["onnxprobe:verdict"] == content[0].verdict


def test_no_format_holds_what_a_terminal_or_a_reader_would_obey() -> None:
    content = _hostile()
    for name in ("sarif", "junit", "in-toto", "cyclonedx"):
        rendered = _render(name, content).decode()
        for letter in ("\x1b", "\x00", "\x07", "\u202e", "\u2066", "\udcff"):
            assert letter not in rendered
            escaped = json.dumps(letter)[1:-1]
            assert name == "junit" or escaped not in rendered.replace("\\\\", "")
        assert name != "junit" or "\ufffe" not in rendered


def _renamed(found: Report) -> Report:
    """The same report, its tensors and nodes under hostile names."""
    names = [f"{name}{turn or ''}" for turn in range(9) for name in PAYLOADS.values()]
    renamed = dict(zip((each.name for each in found.tensors), names, strict=False))
    assert len(renamed) == len(found.tensors)
    tensors = [
        each.model_copy(
            update={
                "name": renamed[each.name],
                "node": renamed[each.name],
                "shares_with": renamed.get(each.shares_with or ""),
            }
        )
        for each in found.tensors
    ]
    return found.model_copy(update={"tensors": tensors})


@pytest.mark.parametrize("model", sorted((ROOT / "models").glob("*.onnx")), ids=lambda p: p.stem)
def test_every_model_gives_valid_documents(model: Path) -> None:
    """As it is, and with tensors of hostile names."""
    original = onnxprobe.analyze(model, samples=1, directions=8, data_limit=16, device="cpu")
    for found in (original, _renamed(original)):
        for name in ("embedding-release", "split-inference"):
            _accept(judge(found, read_policy(name), TODAY), found)


def _accept(judgement: Judgement, found: Report) -> None:
    """Hold every document against its schema, or its reference library."""
    content = (judgement, found)
    if SCHEMA.exists():
        schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
        jsonschema.validate(json.loads(_render("sarif", content)), schema)
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(_render("cyclonedx", content).decode()) is None
    document = json.loads(_render("in-toto", content))
    Statement.copy_from_pb(ParseDict(document, statement_pb2.Statement())).validate()
    JUnitXml.fromstring(_render("junit", content).decode())
    Judgement.model_validate_json(_render("json", content))
    Report.model_validate_json(_render("report", content))


def test_the_same_verdict_gives_the_same_bytes() -> None:
    for name in VERDICT_FORMATS:
        assert _render(name, _cases()[0]) == _render(name, _cases()[0])


def test_formats_are_chosen_by_ending_or_by_name() -> None:
    renderers = {name: renderer for name, (_, renderer) in VERDICT_FORMATS.items()}
    paths = [Path(f"out{ending.upper()}") for ending, _ in VERDICT_FORMATS.values()]
    assert verdict_formats(paths, []) == list(renderers.values())
    assert verdict_formats([Path("a.txt"), Path("a.xml")], ["sarif"]) == [
        renderers["sarif"],
        renderers["junit"],
    ]
    assert verdict_formats([Path("a"), Path("b")], ["junit", "json"]) == [
        renderers["junit"],
        renderers["json"],
    ]
    assert verdict_formats([Path("a.json")], ["sarif"]) == [renderers["sarif"]]
    assert verdict_formats([Path("a.sarif.json")], []) == [renderers["sarif"]]
    with pytest.raises(DataError, match=r"CycloneDX is written as JSON; use \.cdx\.json"):
        verdict_formats([Path("a.cdx.xml")], [])
    with pytest.raises(DataError, match=r"the ending of a.html tells no format: use .heatmap.json"):
        verdict_formats([Path("a.html")], [])
    with pytest.raises(DataError, match="there is no format 'pdf'"):
        verdict_formats([Path("a.json")], ["pdf"])
    with pytest.raises(DataError, match="2 --format were given for 3 -o"):
        verdict_formats([Path("a"), Path("b"), Path("c")], ["json", "json"])
