"""The same report, byte for byte, whatever surrounds the analysis."""

from __future__ import annotations

from pathlib import Path

from tests.trust.same import CHANGES, compare


def test_a_report_depends_on_what_was_asked_alone(tmp_path: Path) -> None:
    compare(tmp_path, len(CHANGES))
