"""Files changed at random never do more than end a command with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxprobe.analysis.conductor import reused_workers
from tests.trust.inside import run_inside
from tests.trust.mutants import admit_mutants, try_bytes, try_mutants


@pytest.mark.parametrize("seed", [1, 2])
def test_no_mutant_does_more(seed: int, tmp_path: Path) -> None:
    with reused_workers():
        try_mutants(250, tmp_path, run_inside, seed)


def test_no_damaged_file_does_more(tmp_path: Path) -> None:
    with reused_workers():
        try_bytes(300, tmp_path, run_inside)


def test_static_limits_refuse_or_pass() -> None:
    admit_mutants(2_000)
