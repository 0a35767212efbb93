"""What commands write never costs what they read, and streams that are closed cost nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from tests.analysis import networks
from tests.trust.inside import run_inside

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_mlp_sklearn.onnx"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(MODEL.parents[1])}


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """A model with weights in another file."""
    path = tmp_path / "m.onnx"
    onnx.save(
        networks.deep(layers=2, width=64), path, save_as_external_data=True,
        location="w.data", size_threshold=0,
    )  # fmt: skip
    return path


@pytest.mark.parametrize("command", ["expose", "derive"])
@pytest.mark.parametrize("output", ["m.onnx", "w.data"])
def test_a_model_is_never_written_over_what_it_is_made_of(
    command: str, output: str, external: Path
) -> None:
    files = {path: path.read_bytes() for path in external.parent.iterdir()}
    code, said = run_inside([command, str(external), "-o", str(external.with_name(output))])
    assert code == 2
    assert "is a file that this command reads, which is never changed" in said
    assert {path: path.read_bytes() for path in external.parent.iterdir()} == files


@pytest.mark.parametrize("command", ["analyze", "check"])
@pytest.mark.parametrize("output", ["m.json", "d.csv"])
def test_a_report_is_never_written_over_what_it_is_about(
    command: str, output: str, tmp_path: Path
) -> None:
    model, data, policy = tmp_path / "m.json", tmp_path / "d.csv", tmp_path / "p.toml"
    onnx.save(networks.linear(), model, format="protobuf")
    with data.open("wb") as file:
        np.save(file, np.zeros((4, 12), np.float32))
    policy.write_text('[[rule]]\nname = "a"\nrole = "all"\nmax = { rank = 1 }\n')
    before = (model.read_bytes(), data.read_bytes())
    arguments = [command, str(model), "--data", str(data), "-o", str(tmp_path / output)]
    if command == "check":
        arguments += ["--policy", str(policy)]
    code, said = run_inside(arguments)
    assert code == 2
    assert "is a file that this command reads" in said
    assert (model.read_bytes(), data.read_bytes()) == before


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "r.json"
    os.mkfifo(pipe)
    code, said = run_inside(["analyze", str(MODEL), "-q", "-o", str(pipe)])
    assert (code, said) == (
        2,
        f"onnxprobe: {pipe} is no regular file; give another path to write\n",
    )
    assert pipe.is_fifo()


def _run(arguments: str) -> int:
    command = f"exec {sys.executable} -m onnxprobe {arguments}"
    return subprocess.run(["sh", "-c", command], env=ENVIRONMENT, check=False).returncode


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("inspect nosuch 2>/dev/full", 3),
        ("analyze --bogus 2>/dev/full", 2),
        ("analyze --bogus 2>&-", 2),
        (f"analyze {MODEL} --samples 1 --data-limit 8 >&- 2>&-", 0),
        (f"inspect {MODEL} >&-", 0),
    ],
)
def test_streams_that_take_nothing_change_no_exit_code(arguments: str, code: int) -> None:
    assert _run(arguments) == code


def test_whoever_reads_nothing_can_still_be_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    # Names so long that the report is longer than what a pipe holds.
    names = ["x", *(f"{n}{'n' * 9000}" for n in range(20))]
    nodes = [helper.make_node("Tanh", [a], [b]) for a, b in pairwise(names)]
    onnx.save(networks.model(nodes, {"x": (networks.FLOAT, ["N", 2])}, names[-1:]), path)
    arguments = ["analyze", path, "--samples", "1", "--data-limit", "8"]
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "onnxprobe", *map(str, arguments), "-v"], env=ENVIRONMENT,
        stdout=write, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    try:
        deadline = time.monotonic() + 120
        while _waits_for_room(process.pid) is False:
            assert time.monotonic() < deadline, "it never printed"
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    finally:
        process.kill()
        process.wait()
        os.close(read)


def _waits_for_room(pid: int) -> bool:
    try:
        waits_for = Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        waits_for = "0"
    if waits_for == "0" and not os.path.exists(f"/proc/{pid}/stack"):  # noqa: PTH110
        pytest.skip("this system does not say what a process waits for")
    return "pipe_write" in waits_for


def test_names_of_files_cannot_steer_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = run_inside(["analyze", "a.onnx", "b\x1b]0;x\x07\u202e.onnx"])
    assert code == 2
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\\x1b]0;x" in said
