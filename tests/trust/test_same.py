"""The same report, byte for byte, whatever surrounds the analysis."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.trust.command import run

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_vit_torch.onnx"
CHANGES: list[tuple[dict[str, str], list[str]]] = [
    ({}, []),
    ({"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu"}, ["--threads", "1"]),
    ({"PYTHONHASHSEED": "77", "LC_ALL": "C", "LANG": "C"}, ["--threads", "2"]),
    ({"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}, ["--unit-timeout", "300"]),
    ({"LC_ALL": "C.UTF-8", "COLUMNS": "20"}, ["--timeout", "600"]),
]


def test_a_report_depends_on_what_was_asked_alone(tmp_path: Path) -> None:
    found = set()
    for turn, (env, options) in enumerate(CHANGES):
        folder = tmp_path / f"folder {turn}"
        folder.mkdir()
        shutil.copy(MODEL, folder / MODEL.name)
        report = folder / "report.json"
        ended = run(
            ["analyze", folder / MODEL.name, "--samples", "2", "-q", "-o", report, *options],
            env=env,
            cwd=folder,
        )
        assert ended.code == 0, ended
        content = json.loads(report.read_text())
        del content["run"]
        found.add(json.dumps(content, sort_keys=False))
    assert len(found) == 1
