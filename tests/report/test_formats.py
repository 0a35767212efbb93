from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from onnxprobe.errors import DataError
from onnxprobe.record import Report
from onnxprobe.report.formats import file_format, render_csv, render_json
from tests.reports import report, tensor


def test_json_is_read_again_as_the_same_report() -> None:
    original = report(tensor("a"), tensor("b"))
    assert Report.model_validate_json(render_json(original)) == original


def test_a_report_is_read_from_its_file(tmp_path: Path) -> None:
    original = report(tensor())
    path = tmp_path / "report.json"
    path.write_bytes(render_json(original))
    assert Report.read(path) == original


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"{}", "Field required at model"),
        (b"not JSON", "it is empty, or no JSON"),
        (render_json(report()).replace(b'"analysed": 0', b'"analysed": 1', 1), "are not all te"),
        (render_json(report()).replace(b'"1.0"', b'"9.0"', 1), "at schema_version"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        Report.read(path)


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read: No such file"):
        Report.read(tmp_path / "missing.json")


def test_json_has_the_stable_core() -> None:
    plain = json.loads(render_json(report(tensor())))
    (only,) = plain["tensors"]
    assert {"name", "op_type", "shape", "status", "dof", "jacobian"} <= set(only)
    assert {"value", "ceiling", "share"} <= set(only["dof"])
    assert {"method", "inputs", "complete", "rank", "rank_at", "share"} <= set(only["jacobian"])
    assert {"min", "median", "max"} <= set(only["jacobian"]["rank"])
    assert "1e-2" in only["jacobian"]["rank_at"]
    coverage = plain["coverage"]
    counts = [coverage["analysed"], len(coverage["skipped"]), len(coverage["failed"])]
    assert sum(counts) == coverage["tensors"]
    assert set(coverage["skipped"][0]) == {"name", "reason", "op_type", "constant"}


def test_json_of_hostile_names_is_ascii_and_survives() -> None:
    name = "a\ud800\u2028<script>\x1b"
    text = render_json(report(tensor(name)))
    assert text.isascii()
    assert json.loads(text)["tensors"][0]["name"] == name


def test_a_report_refuses_numbers_that_json_lacks() -> None:
    with pytest.raises(ValueError, match="finite number"):
        Report.model_validate(
            report(tensor()).model_dump()
            | {"run": {**report().run.model_dump(), "elapsed_s": float("nan")}}
        )


def test_csv_has_a_row_per_tensor_and_a_column_per_measure() -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(report(tensor("a"), tensor("b"))).decode())))
    assert [row["name"] for row in rows] == ["a", "b"]
    assert float(rows[0]["dof"]) == 21.34
    assert rows[0]["rank_min"] == "60"
    assert float(rows[0]["recoverable_high_at_0.1"]) == 0.62
    assert rows[0]["noise_for_0.05"] == "4.2"


def test_csv_of_no_tensors_is_a_header() -> None:
    assert render_csv(report()) == b"name\n"


@pytest.mark.parametrize("start", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)"])
def test_csv_hands_no_formula_to_a_spreadsheet(start: str) -> None:
    rows = list(csv.reader(io.StringIO(render_csv(report(tensor(start))).decode(), newline="")))
    assert rows[1][0] == f"'{start}"


@pytest.mark.parametrize("name", ["\t=x", "\r=x", "a\nb", "\x00"])
def test_csv_keeps_a_row_per_tensor_whatever_its_name(name: str) -> None:
    rows = list(csv.reader(io.StringIO(render_csv(report(tensor(name))).decode(), newline="")))
    assert len(rows) == 2
    assert rows[1][0].startswith(("\\x", "a\\x"))


def test_the_ending_decides_the_format(tmp_path: Path) -> None:
    assert file_format(tmp_path / "a.json") is render_json
    assert file_format(tmp_path / "a.CSV") is render_csv
    with pytest.raises(DataError, match=r"ends in '.html'; use .heatmap.json or .json or .csv"):
        file_format(Path("report.html"))
    with pytest.raises(DataError, match="ends in 'nothing'; use"):
        file_format(Path("report"))
