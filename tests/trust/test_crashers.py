"""Native crashes cost the tensors that are to blame, and no others."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from tests.trust.command import run
from tests.trust.crashers import CRASHERS, HEALTHY

FAST = ["--data-limit", "8", "--samples", "1", "--device", "cpu", "-q"]


@pytest.mark.parametrize("name", CRASHERS)
def test_the_rest_of_a_model_that_crashes_is_reported(name: str, tmp_path: Path) -> None:
    """What crashes is named and failed, unless rewriting the graph has cured it."""
    path = tmp_path / "model.onnx"
    path.write_bytes(CRASHERS[name]().SerializeToString())
    onnx.checker.check_model(onnx.load(path))
    report = tmp_path / "report.json"
    ended = run(["analyze", path, *FAST, "-o", report])
    assert ended.is_clean, ended
    if ended.code == 3:
        # Checked by shape inference before anything can crash.
        assert "refuses the model" in ended.err
        return
    assert ended.code in {0, 4}, ended
    found = json.loads(report.read_text())
    coverage = found["coverage"]
    counts = [coverage["analysed"], len(coverage["skipped"]), len(coverage["failed"])]
    assert sum(counts) == coverage["tensors"]
    by_name = {each["name"]: each for each in found["tensors"]}
    for healthy in HEALTHY:
        assert by_name[healthy]["jacobian"]["rank"]["max"] == 6, coverage
    assert (ended.code == 4) == bool(coverage["failed"])
    for each in coverage["failed"]:
        assert each["name"] not in HEALTHY
