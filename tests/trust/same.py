"""The same analysis in surroundings that must not matter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.trust.command import run

__all__ = ["CHANGES", "compare"]

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_vit_torch.onnx"
CHANGES: list[tuple[dict[str, str], list[str]]] = [
    ({}, []),
    ({"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu"}, ["--threads", "1"]),
    ({"PYTHONHASHSEED": "77", "LC_ALL": "C", "LANG": "C"}, ["--threads", "2"]),
    ({"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}, ["--unit-timeout", "300"]),
    ({"LC_ALL": "C.UTF-8", "COLUMNS": "20"}, ["--timeout", "600"]),
]


def compare(folder: Path, count: int) -> str:
    """Analyse a model as often, each time in another folder and among other variables."""
    found = set()
    for turn in range(count):
        env, options = CHANGES[turn % len(CHANGES)]
        place = folder / f"folder {turn}"
        place.mkdir()
        shutil.copy(MODEL, place / MODEL.name)
        report = place / "report.json"
        ended = run(
            ["analyze", place / MODEL.name, "--samples", "2", "-q", "-o", report, *options],
            env=env,
            cwd=place,
        )
        assert ended.code == 0, ended
        content = json.loads(report.read_text())
        del content["run"]
        found.add(json.dumps(content, sort_keys=False))
    assert len(found) == 1
    return f"{count} runs, one report"
