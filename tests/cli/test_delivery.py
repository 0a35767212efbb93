"""A report that reaches nobody is not lost: what it is made of is kept until one has it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.trust.command import run

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_mlp_sklearn.onnx"
ARGUMENTS = ["analyze", str(MODEL), "--samples", "1", "--data-limit", "8", "--device", "cpu"]


@pytest.fixture
def state(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(MODEL.parents[1])}


def _kept(state: dict[str, str]) -> list[Path]:
    return [*Path(state["XDG_STATE_HOME"]).rglob("journal.jsonl")]


def _shell(command: str, state: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True, text=True, env={**os.environ, **state}, check=False,
    )  # fmt: skip


def test_a_file_that_cannot_be_written_any_more_costs_no_measurement(
    tmp_path: Path, state: dict[str, str]
) -> None:
    """Its folder is gone when all is measured."""
    folder = tmp_path / "out"
    folder.mkdir()
    command = " ".join(["python -m onnxprobe", *ARGUMENTS, "-o", str(folder / "r.json")])
    ended = _shell(f"({command}) & sleep 0.7; rm -r {folder}; wait $!", state)
    assert ended.returncode == 4, ended
    assert "cannot be written" in ended.stderr
    assert "analysed" in ended.stdout, "the screen has it"
    assert "go on with --resume" in ended.stderr
    again = run([*ARGUMENTS, "-q", "--resume", "-o", tmp_path / "r.json"], env=state)
    assert again.code == 0, again
    assert json.loads((tmp_path / "r.json").read_text())["coverage"]["analysed"]
    assert _kept(state) == []


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path, state: dict[str, str]) -> None:
    report = tmp_path / "r.json"
    ended = _shell(f"python -m onnxprobe {' '.join(ARGUMENTS)} -o {report} | head -1", state)
    assert ended.returncode == 0, ended
    assert report.exists()
    ended = _shell(f"python -m onnxprobe inspect {MODEL} | head -1", state)
    assert ended.returncode == 0, ended


def test_a_screen_that_is_full_costs_no_file(tmp_path: Path, state: dict[str, str]) -> None:
    report = tmp_path / "r.json"
    ended = _shell(f"python -m onnxprobe {' '.join(ARGUMENTS)} -o {report} > /dev/full", state)
    assert ended.returncode == 4, ended
    assert "the report cannot be printed: No space left on device" in ended.stderr
    assert report.exists()
    assert len(_kept(state)) == 1


def test_a_terminal_without_greek_letters_is_no_error(state: dict[str, str]) -> None:
    for encoding in ("ascii", "latin-1"):
        ended = run(ARGUMENTS, env={**state, "PYTHONIOENCODING": encoding})
        assert ended.code == 0, ended
        assert "analysed" in ended.out


def _killed(state: dict[str, str]) -> None:
    """Leave an unfinished analysis behind."""
    _shell(
        f"python -m onnxprobe {' '.join(ARGUMENTS)} -q & "
        f"while ! grep -q base $XDG_STATE_HOME/onnxprobe/runs/*/journal.jsonl 2>/dev/null; "
        "do sleep 0.02; done; kill -9 $!",
        state,
    )


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_an_unfinished_analysis_is_kept_until_one_is_done(
    options: list[str], state: dict[str, str]
) -> None:
    _killed(state)
    (left,) = _kept(state)
    content = left.read_bytes()
    if not options:
        # Another one that does not get far changes nothing.
        _killed(state)
        assert left.read_bytes() == content
    ended = run([*ARGUMENTS, *options], env=state)
    assert ended.code == 0, ended
    said = "an unfinished analysis of this model with these options is kept" in ended.err
    assert said == (not options)
    assert _kept(state) == []
