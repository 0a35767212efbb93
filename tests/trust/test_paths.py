"""No model reaches a file that is not its own."""

from __future__ import annotations

from pathlib import Path

from onnxprobe.analysis.conductor import reused_workers
from tests.trust.inside import run_inside
from tests.trust.paths import attack, attacks, race


def test_every_attack_is_refused(tmp_path: Path) -> None:
    with reused_workers():
        tried = 0
        for _, path in attacks(tmp_path):
            attack(path, tmp_path, run_inside)
            tried += 1
    assert tried == 120


def test_a_file_that_is_swapped_in_time_is_not_read(tmp_path: Path) -> None:
    race(tmp_path, 20)
