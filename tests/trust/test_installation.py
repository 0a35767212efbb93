"""Runtimes that are missing, double or old, and devices that are not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trust.command import run
from tests.trust.inside import run_inside

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_mlp_sklearn.onnx"
ADVICE = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"


def _claim(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    from importlib import metadata

    real = metadata.version

    def version(name: str) -> str:
        if name.startswith("onnxruntime"):
            if name.replace("-", "_") not in versions:
                raise metadata.PackageNotFoundError(name)
            return versions[name.replace("-", "_")]
        return real(name)

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize(
    ("versions", "sentence"),
    [
        ({}, "ONNX Runtime is not installed: pip install onnxruntime-gpu"),
        (
            {"onnxruntime": "1.31.1", "onnxruntime_gpu": "1.31.1"},
            "onnxruntime and onnxruntime-gpu are both installed, and each overwrites files of the "
            f"other: {ADVICE}",
        ),
        (
            {"onnxruntime": "1.9.0"},
            "onnxruntime 1.9.0 is older than 1.24: pip install --upgrade onnxruntime",
        ),
    ],
)
def test_a_wrong_installation_is_told_with_what_to_type(
    versions: dict[str, str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _claim(monkeypatch, **versions)
    assert run_inside(["analyze", str(MODEL)]) == (2, f"onnxprobe: {sentence}\n")
    code, said = run_inside(["doctor"])
    assert code == 4
    assert f"Problem: ONNX Runtime: {sentence}" in said


def test_the_cpu_never_stands_in_for_cuda() -> None:
    import onnxruntime

    if (
        "CUDAExecutionProvider" in onnxruntime.get_available_providers()
        and Path("/dev/nvidiactl").exists()
    ):
        pytest.skip("there is a CUDA device")
    ended = run(["analyze", MODEL, "--device", "cuda", "-q"])
    assert ended.code == 4
    assert "--device cuda was asked for, but" in ended.err


def test_the_doctor_says_what_works() -> None:
    import json

    code, said = run_inside(["doctor", "--json"])
    found = json.loads(said)
    assert code == 0
    assert found["providers"][0] == {
        "name": "CPUExecutionProvider",
        "works": True,
        "reason": "a session multiplied matrices as it should",
        "expected": True,
    }
    assert {each["feature"] for each in found["isolation"]} == {"files", "network", "memory"}
    assert found["packages"]["onnx"]


def test_the_doctor_calls_nothing_missing_that_it_could_not_look_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import json

    _claim(monkeypatch)
    code, said = run_inside(["doctor", "--json"])
    found = json.loads(said)
    assert code == 4
    assert [each["works"] for each in found["isolation"]] == [None, None, None]
    assert [each["what"] for each in found["problems"]] == ["ONNX Runtime"]
    assert "(not examined)" in run_inside(["doctor"])[1]


@pytest.mark.parametrize("state", ["file", "file/below"])
def test_the_doctor_says_where_nothing_can_be_kept(
    state: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / state
    monkeypatch.setenv("XDG_STATE_HOME", str(place))
    code, said = run_inside(["doctor"])
    assert code == 0
    assert f"Problem: {place}/onnxprobe cannot be written: set XDG_STATE_HOME" in said


def test_the_doctor_speaks_to_people() -> None:
    code, said = run_inside(["doctor"])
    assert code == 0
    assert "works  CPUExecutionProvider" in said
