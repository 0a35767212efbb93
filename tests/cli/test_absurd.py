"""Options and paths that nobody means: one sentence each, and never a bug's exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trust.inside import run_inside

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_mlp_sklearn.onnx"
_NINES = "9" * 400


@pytest.mark.parametrize(
    "options",
    [
        ["--timeout", "inf"],
        ["--timeout", "nan"],
        ["--timeout", "1e300"],
        ["--timeout", _NINES],
        ["--unit-timeout", "inf"],
        ["--unit-timeout", "-1"],
        ["--memory", _NINES],
        ["--memory", "9999999TB"],
        ["--memory", "1"],
        ["--samples", _NINES],
        ["--directions", _NINES],
        ["--directions", "9" * 5000],
        ["--data-limit", _NINES],
        ["--seed", _NINES],
        ["--set", f"N={_NINES}"],
        ["--set", "N=0"],
        ["--step", "inf"],
        ["--noise", "inf"],
        ["--noise", "1e400"],
        ["--scale", "nan", "--data", "."],
        ["--wrt", "\udcff"],
        ["--data", "\udcff.npz"],
        ["--data", "x" * 300],
        ["--work-dir", "x" * 300],
        ["-o", "x" * 300 + ".json"],
        ["--resume", "--work-dir", "/dev/null/x"],
    ],
    ids=lambda options: " ".join(options)[:30].encode("ascii", "replace").decode(),
)
@pytest.mark.usefixtures("elsewhere")
def test_an_absurd_option_is_one_sentence(options: list[str]) -> None:
    code, said = run_inside(["analyze", str(MODEL), "-q", *options])
    assert code == 2, said
    assert said.rstrip("\n").splitlines()[-1:], "nothing is said"
    assert "Traceback" not in said


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets relative paths end nowhere that matters."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("command", [["analyze"], ["inspect"], ["expose", "-o", "out.onnx"]])
@pytest.mark.parametrize("what", ["circle", "long", "folder"])
def test_a_model_that_is_no_file_is_one_sentence(command: list[str], what: str) -> None:
    Path("circle").symlink_to("circle")
    Path("folder").mkdir()
    name = "x" * 300 if what == "long" else what
    code, said = run_inside([command[0], name, *command[1:]])
    assert (code, said.count("\n")) == (3, 1), said


@pytest.mark.usefixtures("elsewhere")
def test_a_name_that_is_no_text_is_reported(tmp_path: Path) -> None:
    name = "model\udcff.onnx"
    try:
        Path(name).write_bytes(MODEL.read_bytes())
    except OSError:
        pytest.skip("this file system takes text only")
    code, said = run_inside(["analyze", name, "-q", "--samples", "1", "-o", "report.json"])
    assert (code, said) == (0, "")
    assert "model\\ufffd.onnx" in (tmp_path / "report.json").read_text(encoding="utf-8")


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps folders that are in use")
def test_a_current_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        program = "import os, sys; os.rmdir(os.getcwd()); from onnxprobe.cli.main import run; "
        program += f"sys.exit(run({[*arguments]!r}))"
        folder = tmp_path / "gone"
        folder.mkdir()
        package = {"PYTHONPATH": str(MODEL.parents[1])}
        ended = subprocess.run(
            [sys.executable, "-c", program], cwd=folder, env={**os.environ, **package},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return ended.returncode, ended.stderr

    gone = "onnxprobe: model.onnx cannot be found: the current folder is gone\n"
    assert run("analyze", "model.onnx") == (2, gone)
    code, said = run("analyze", str(MODEL), "-q", "-o", "report.json")
    assert code == 2
    assert said.startswith("onnxprobe: report.json cannot be written: ")
    assert run("analyze", str(MODEL), "-q", "--samples", "1") == (0, "")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "command", [["inspect"], ["expose", "-o", "o.onnx"], ["derive", "-o", "o"]]
)
def test_limits_hold_for_every_command_that_opens_a_model(command: list[str]) -> None:
    asked = [command[0], str(MODEL), *command[1:]]
    code, said = run_inside([*asked, "--timeout", "0.01"])
    assert code == 4
    assert said == "onnxprobe: the time of 0.01 s is over; allow more with --timeout\n"
    code, said = run_inside([*asked, "--unit-timeout", "0.01"])
    assert code == 4
    assert "nothing was heard" in said
    code, said = run_inside([*asked, "--memory", "1kB"])
    assert code == 2
    assert "at least 33554432 bytes" in said
    assert not list(Path().iterdir())
    assert run_inside(asked)[0] == 0
