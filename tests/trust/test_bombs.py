"""Small files that would take all memory or all time end within their limits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.trust.bombs import BOMBS
from tests.trust.command import run

LIMIT_S, GRACE_S = 10.0, 5.0
MEMORY_BYTES, SLACK_BYTES = 2 * 2**30, 300 * 2**20


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_ends_within_its_limits(name: str, tmp_path: Path) -> None:
    path, report = tmp_path / "bomb.onnx", tmp_path / "report.json"
    path.write_bytes(BOMBS[name]())
    limits = ["--memory", "2GB", "--timeout", str(LIMIT_S), "--device", "cpu"]
    ended = run([
        "analyze",
        path,
        *limits,
        "--data-limit",
        "4",
        "--samples",
        "1",
        "-q",
        "-o",
        report,
    ])
    assert ended.is_clean, ended
    assert ended.code in {0, 3, 4}, ended
    assert ended.seconds < LIMIT_S + GRACE_S
    assert ended.peak_bytes <= MEMORY_BYTES + SLACK_BYTES
    if report.exists():
        coverage = json.loads(report.read_text())["coverage"]
        counts = [coverage["analysed"], len(coverage["skipped"]), len(coverage["failed"])]
        assert sum(counts) == coverage["tensors"]
