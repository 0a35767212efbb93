"""Names are data, wherever a model bears them and wherever they are shown."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import ModelProto

from onnxprobe.analysis.conductor import reused_workers
from tests.graph.models import model, node, value
from tests.trust.inside import run_inside

PAYLOADS = {
    "escape": "r\x1b[31mred", "title": "r\x1b]0;pwn\x07", "link": "\x1b]8;;http://x\x07y\x1b]8;;\x07",
    "clipboard": "\x1b]52;c;cHduCg==\x07", "carriage": "good\rbad", "line": "a\nb", "zero": "a\0b",
    "bell": "a\x07b", "backspace": "ab\x08\x08", "delete": "a\x7fb", "c1": "a\x9b31mb",
    "bidi": "a\u202eb", "isolate": "a\u2066b\u2069", "mark": "a\u200fb", "joiner": "a\u200db",
    "separator": "a\u2028b", "script": "<script>alert(1)</script>", "end": "</script>",
    "attribute": "\" onload=\"x", "braces": "{{ 7*7 }}", "markup": "[red]x[/red]", "link markup":
    "[link=http://x]y[/link]", "formula": "=1+1", "plus": "+1", "minus": "-1", "at": "@SUM(A1)",
    "tab": "\t=1", "percent": "%s%n%x", "quote": "a'b\"c`d", "comma": "a,b;c", "path": "../../x",
    "emoji": "a😀b", "combining": "e\u0301" * 50, "wide": "漢字" * 30, "long": "x" * 5000,
    "number": "0x41", "nan": "NaN", "null": "null", "json": "{\"a\":1}", "backslash": "\\u001b[31m",
    "blank": " ", "dots": "...", "star": "*", "question": "?[a]", "yaml": "&a *a",
    "private": "\ue000",
    "tag": "a\U000e0041b", "surrogate pair": "\U0001f600", "bom": "\ufeffa", "soft": "a\xadb",
}  # fmt: skip


def _hidden(name: str) -> Callable[[ModelProto], None]:
    def change(proto: ModelProto) -> None:
        for each in proto.graph.node:
            each.output[:] = [name if out == "hidden" else out for out in each.output]
            each.input[:] = [name if read == "hidden" else read for read in each.input]

    return change


def _renamed(kind: str, name: str) -> ModelProto:
    proto = model(
        [node("Tanh", "x", "hidden"), node("Exp", "hidden", "y")],
        [value("x", ["N", 4])],
        [value("y", ["N", 4])],
    )
    first = proto.graph.node[0]
    if kind == "tensor":
        _hidden(name)(proto)
    elif kind == "input":
        first.input[0] = proto.graph.input[0].name = name
    elif kind == "output":
        proto.graph.node[1].output[0] = proto.graph.output[0].name = name
    elif kind == "node":
        first.name = name
    elif kind == "producer":
        proto.producer_name = name
    elif kind == "graph":
        proto.graph.name = name
    elif kind == "dimension":
        proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = name
    elif kind == "doc":
        proto.doc_string = name
    else:
        proto.metadata_props.add(key=name, value=name)
    return proto


KINDS = ["tensor", "input", "output", "node", "producer", "graph", "dimension", "doc", "metadata"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_name_steers_a_terminal_or_breaks_a_file(kind: str, tmp_path: Path) -> None:
    path, report = tmp_path / "m.onnx", tmp_path / "r.json"
    table = tmp_path / "r.csv"
    with reused_workers():
        for label, name in PAYLOADS.items():
            path.write_bytes(_renamed(kind, name).SerializeToString())
            report.unlink(missing_ok=True)
            code, said = run_inside([
                "analyze", str(path), "--samples", "1", "--data-limit", "4", "--device", "cpu",
                "-v", "-o", str(report), "-o", str(table),
            ])  # fmt: skip
            assert code in {0, 3, 4}, (label, said)
            _assert_harmless(label, said)
            if code == 3:
                continue
            content = json.loads(report.read_text())
            names = [each["name"] for each in content["tensors"]]
            if kind == "tensor":
                assert name in names, "the report has it as it is"
            for row in csv.reader(io.StringIO(table.read_text())):
                assert not any(cell.startswith(("=", "@", "\t", "\r")) for cell in row)
                assert not any(cell[:1] in "+-" and not _is_number(cell) for cell in row if cell)


def _assert_harmless(label: str, said: str) -> None:
    for letter in said.replace("\n", ""):
        category = unicodedata.category(letter)
        assert category not in {"Cc", "Cf", "Cs", "Zl", "Zp"}, (label, repr(letter))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_names_that_are_no_text_are_refused(tmp_path: Path) -> None:
    content = onnx.load_model_from_string(_renamed("tensor", "QQQQ").SerializeToString())
    path = tmp_path / "m.onnx"
    path.write_bytes(content.SerializeToString().replace(b"QQQQ", b"\xff\xfe\x80Q"))
    code, said = run_inside(["analyze", str(path)])
    assert code == 3
    assert "not UTF-8" in said
    path.write_bytes(_renamed("tensor", "x" * 1_000_000).SerializeToString())
    code, said = run_inside(["analyze", str(path)])
    assert code == 3
    assert len(said) < 300
