"""The command line as a user meets it: whole output and exit codes."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest

from onnxprobe import DataError, Report, __version__
from onnxprobe.cli.main import cli, run
from onnxprobe.report.files import AtomicFile
from tests.analysis import networks

ROOT = Path(__file__).resolve().parent.parent.parent
DIGITS = ROOT / "models" / "digits.npz"
FAST = ["--device", "cpu", "--samples", "1", "--data-limit", "64"]


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    path = tmp_path / "linear.onnx"
    onnx.save(networks.linear(), path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.npy"
    np.save(path, np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32))
    return path


def test_analyze_prints_a_row_per_tensor_and_the_coverage(
    linear: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", str(linear), "--data", str(data), *FAST]) == 0
    out, err = capsys.readouterr()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[1] == "40 samples, Jacobians at 1 of them, CPUExecutionProvider"
    assert lines[2] == "Derivatives by x (12 values): the float input."
    assert (
        lines[4]
        == "tensor operator shape DoF (share) rank (range) stable rank ρ at 0.1 ρ at int8 status"
    )
    assert [line.split()[:3] for line in lines[5:9]] == [
        ["product", "MatMul", "20"],
        ["y", "Add", "20"],
        ["moved", "Reshape", "2×10"],
        ["z", "Relu", "2×10"],
    ]
    assert " 3/12 " in lines[5]
    assert lines[10] == "4 of 4 tensors analysed, 0 skipped, 0 failed."
    assert err == ""
    assert "\x1b" not in out


def test_analyze_writes_the_reports_it_is_asked_for(
    linear: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [tmp_path / "report.json", tmp_path / "report.csv"]
    arguments = ["analyze", str(linear), "--data", str(data), "--quiet", *FAST]
    for output in outputs:
        arguments += ["-o", str(output)]
    assert run(arguments) == 0
    assert capsys.readouterr() == ("", "")
    report = Report.model_validate_json(outputs[0].read_bytes())
    with outputs[1].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [tensor.name for tensor in report.tensors]
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".tmp")] == []


def test_an_output_that_cannot_be_written_is_found_before_the_work(
    linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = time.monotonic()
    assert run(["analyze", str(linear), "-o", str(tmp_path / "no" / "report.json")]) == 2
    assert time.monotonic() - start < 1.0
    assert "No such file or directory; choose another place" in capsys.readouterr().err


def test_an_existing_report_survives_a_failed_analysis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    report.write_text("precious")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x01garbage")
    assert run(["analyze", str(broken), "-o", str(report)]) == 3
    assert report.read_text() == "precious"
    assert capsys.readouterr().err.startswith("onnxprobe: broken.onnx is not an ONNX model")


def test_a_report_of_an_incomplete_analysis_is_written_and_the_code_is_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = tmp_path / "crash.onnx", tmp_path / "report.json"
    onnx.save(networks.crashing(), path)
    assert run(["analyze", str(path), *FAST, "-o", str(output), "-v"]) == 4
    report = Report.model_validate_json(output.read_bytes())
    assert len(report.coverage.failed) == 2
    reason = "at make_crash (Min), or what it needs: native code crashed (SIGSEGV)"
    assert f"  1 failed: {reason}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ["analyze", "missing.onnx"],
            3,
            "missing.onnx does not exist; give the path of an .onnx file",
        ),
        (["analyze", str(ROOT)], 3, "is no regular file; give the path of an .onnx file"),
        (["analyze", "{linear}", "--data", "missing.npz"], 2, "missing.npz"),
        (["analyze", "{linear}", "--wrt", "nothing"], 2, "--wrt names 'nothing'"),
        (["analyze", "{linear}", "--include", "nothing"], 2, "matches no tensor name"),
        (["analyze", "{linear}", "--noise", "loud"], 2, "release noise 'loud'"),
        (["analyze", "{linear}", "--set", "M=3"], 2, "'M'"),
        (
            ["analyze", "{linear}", "-o", "report.html"],
            2,
            "ends in '.html'; use .heatmap.json or .json or .csv",
        ),
        (["analyze", "{linear}", "--data", "a", "--data", "b"], 2, "--data is given twice"),
        (["analyze", "{linear}", "--data", "a", "--data", "x=b"], 2, "NAME=PATH for each input"),
        (["analyze", "{linear}", "--samples", "0"], 2, "Invalid value for '--samples'"),
        (["analyze", "{linear}", "--memory", "lots"], 2, "is no size; write 4GB"),
        (
            ["analyze", "{linear}", "--memory", "1MB"],
            2,
            "option memory is 1048576; expected at least 33554432",
        ),
        (["analyze", "{linear}", "--seed", "9" * 30], 2, "option seed is 9999"),
        (
            ["analyze", "{linear}", "--scale", "nan"],
            2,
            "option images.scale is nan; expected a",
        ),
        (["analyze", "{linear}", "--unknown"], 2, "No such option"),
        (["expose", "missing.onnx", "-o", "out.onnx"], 3, "missing.onnx does not exist"),
        (["inspect", "missing.onnx"], 3, "missing.onnx does not exist"),
        (["nothing"], 2, "No such command 'nothing'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    arguments: list[str],
    code: int,
    sentence: str,
    linear: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run([each.replace("{linear}", str(linear)) for each in arguments]) == code
    out, err = capsys.readouterr()
    assert sentence in err
    assert "Traceback" not in out + err
    assert [each.name for each in tmp_path.iterdir()] == ["linear.onnx"]


def test_images_reach_a_model_with_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    model = ROOT / "models" / "digits_cnn_torch.onnx"
    assert run(["analyze", str(model), "--data", str(DIGITS), *FAST]) == 0
    assert "10 of 10 tensors analysed" in capsys.readouterr().out


def test_expose_makes_every_tensor_an_output(
    linear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exposed.onnx"
    assert run(["expose", str(linear), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 3 tensors exposed beside 1 outputs\n"
    exposed = onnx.load(out)
    assert [value.name for value in exposed.graph.output] == ["z", "product", "y", "moved"]
    assert sorted(each.name for each in tmp_path.iterdir()) == ["exposed.onnx", "linear.onnx"]


def test_an_exposed_model_passes_the_checker(tmp_path: Path) -> None:
    out = tmp_path / "exposed.onnx"
    assert run(["expose", str(ROOT / "models" / "digits_vit_torch.onnx"), "-o", str(out)]) == 0
    onnx.checker.check_model(out, full_check=True)


def test_expose_leaves_an_existing_file_if_it_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exposed.onnx"
    out.write_text("precious")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"garbage")
    assert run(["expose", str(broken), "-o", str(out)]) == 3
    assert out.read_text() == "precious"
    assert capsys.readouterr().err.startswith("onnxprobe: broken.onnx is not an ONNX model")


def test_the_audited_model_is_never_overwritten(
    linear: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = linear.read_bytes()
    assert run(["expose", str(linear), "-o", str(linear)]) == 2
    assert linear.read_bytes() == before
    assert "is a file that this command reads, which is never changed" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_at_the_end_is_still_shown(
    linear: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(_: AtomicFile, text: str) -> None:
        raise DataError(f"report.json cannot be written: no space for {len(text)} bytes")

    monkeypatch.setattr(AtomicFile, "commit", full)
    out = tmp_path / "report.json"
    assert run(["analyze", str(linear), "-o", str(out), *FAST]) == 4
    shown = capsys.readouterr()
    assert "tensors analysed" in shown.out
    assert "no space for" in shown.err
    assert not out.exists()


def test_debug_keeps_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--debug", "inspect", "missing.onnx"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_inspect_lists_inputs_outputs_and_tensors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "classifier.onnx"
    onnx.save(networks.classifier(), path)
    assert run(["inspect", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "classifier.onnx: IR 8, opset ai.onnx 17, com.microsoft 1"
    at = lines.index("6 tensors:")
    assert lines[at + 1 :] == [
        "  scores  float32 (N, 4)  from MatMul make_scores",
        "  shares (output)  float32 (N, 4)  from Softmax make_shares",
        "  rounded (output)  float32 (N, 4)  from Round make_rounded",
        "  label (output)  int64 (N)  from ArgMax make_label",
        "  shape  int64 (2)  from Shape make_shape  "
        "not measured: constant: it depends on the shape of the input alone",
        "  constant  float32 ()  from Constant make_constant  "
        "not measured: constant: no input reaches it",
    ]


def test_inspect_can_speak_json(linear: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(linear), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [tensor["name"] for tensor in found["tensors"]] == ["product", "y", "moved", "z"]
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["N", 12]}]


def test_schema_prints_what_reports_hold_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema == Report.model_json_schema()
    assert {"tensors", "coverage", "schema_version"} <= set(schema["properties"])


@pytest.mark.parametrize("kind", ["report", "verdict", "policy"])
def test_every_schema_is_one(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", kind]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"onnxprobe, version {__version__}\n"


def test_every_command_and_option_has_help() -> None:
    for name, command in cli.commands.items():
        assert command.help, name
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True)


HEAVY = ("onnx", "onnxruntime", "scipy", "numpy", "pydantic", "rich")


def imported_by(statement: str) -> set[str]:
    """Top-level packages that a statement imports, in a fresh interpreter."""
    report = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(python("-c", report).stdout.split())


def test_help_imports_nothing_heavy() -> None:
    assert not imported_by("import onnxprobe.cli.main") & set(HEAVY)


def test_the_test_above_can_fail() -> None:
    assert "numpy" in imported_by("import onnxprobe.types")


def test_the_parent_process_reads_no_model() -> None:
    statement = "import onnxprobe.cli.main, onnxprobe.analysis.api, onnxprobe.report.console"
    assert not imported_by(statement) & {"onnx", "onnx_ir", "onnxruntime", "scipy"}


def test_the_module_can_be_run() -> None:
    done = python("-m", "onnxprobe", "--version")
    assert done.stdout == f"onnxprobe, version {__version__}\n"


def test_help_takes_less_than_a_third_of_a_second() -> None:
    def spent_s() -> float:
        """Seconds of a processor, which others that use the machine do not lengthen."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        python("-m", "onnxprobe", "--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(spent_s() for _ in range(5)) < 0.3


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as POSIX knows them")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_analysis_leaves_a_partial_report_and_no_process(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    path, output = tmp_path / "endless.onnx", tmp_path / "report.json"
    onnx.save(networks.endless(), path)
    command = [sys.executable, "-m", "onnxprobe", "analyze", str(path), *FAST, "-o", str(output)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        time.sleep(3.0)
        start = time.monotonic()
        process.send_signal(number)
        process.wait(10.0)
        assert time.monotonic() - start < 5.0
        assert process.returncode == code
    workers = subprocess.run(["pgrep", "-f", str(path)], capture_output=True, text=True)
    assert workers.stdout == ""
