"""A worker that hostile code has taken over: whatever it answers, its parent says one sentence."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import pytest

from onnxprobe.analysis.conductor import link
from tests.trust.inside import run_inside

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_mlp_sklearn.onnx"

# A worker that is asked, and what it says.
_TALK = """
import json, struct, sys, time
frame = struct.Struct("<IQ")
def put(content):
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()
def say(header):
    body = header if isinstance(header, bytes) else json.dumps(header).encode()
    put(frame.pack(len(body), 0) + body)
def hear():
    header, blob = frame.unpack(sys.stdin.buffer.read(12))
    return json.loads(sys.stdin.buffer.read(header)), sys.stdin.buffer.read(blob)
hear()
"""
_FINE = 'say({"result": {"files": True, "network": True, "memory": True}}); hear()\n'
_NONSENSE = "answered what makes no sense"
_SILENT = "nothing was heard from the computation for 2 s"


def _be_taken_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str) -> None:
    """Let workers run something else."""
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\n{_TALK}{code}", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(link, "_START_S", 1.0)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("put(frame.pack(2**31, 0)); time.sleep(9)", _NONSENSE),
        (_FINE + "put(frame.pack(2, 2**60) + b'{}')", _NONSENSE),
        (_FINE + "say(b'\\xff\\xfe nothing')", _NONSENSE),
        (_FINE + "say(b'[' * 200_000)", _NONSENSE),
        (_FINE + "say([1])", _NONSENSE),
        (_FINE + "say({})", _NONSENSE),
        (_FINE + 'say({"result": 1, "error": {}})', _NONSENSE),
        (_FINE + 'say({"error": "no"})', _NONSENSE),
        (_FINE + 'say({"progress": "much"})', _NONSENSE),
        (_FINE + 'say({"result": {"name": 3}})', _NONSENSE),
        (_FINE + 'say({"result": None})', _NONSENSE),
        (_FINE + 'say({"error": {"kind": "Exit", "message": "\\x1b[2J"}})', "a bug in onnxprobe"),
        (_FINE + 'say({"progress": 10**400})', _NONSENSE),
        (_FINE + 'say({"progress": float("nan")})', _NONSENSE),
        (_FINE + 'say({"progress": -1})', _NONSENSE),
        (_FINE + 'say(b"{\\"result\\":[" + b"{}," * (2**25) + b"0]}")', _NONSENSE),
        (_FINE + "sys.exit(0)", "ended unexpectedly (exit code 0)"),
        (_FINE + "import os; os.kill(os.getpid(), 40)", "signal 40"),
        (_FINE + "import os; os.kill(os.getpid(), 15)", "ended from outside (SIGTERM)"),
        ("time.sleep(60)", _SILENT),
        (_FINE + "import os; os.kill(os.getpid(), 19); time.sleep(9)", _SILENT),
    ],
)  # fmt: skip
def test_nonsense_is_one_sentence(
    code: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _be_taken_over(monkeypatch, tmp_path, code)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    ended, said = run_inside(["analyze", str(MODEL), "-q", "--unit-timeout", "2"])
    assert sentence in said
    assert said.count("\n") == 1
    assert "\x1b" not in said
    assert ended == (5 if "bug" in sentence else 4)
    assert time.monotonic() - began < 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_who_never_stops_talking_is_out_of_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _be_taken_over(monkeypatch, tmp_path, _FINE + 'while True: say({"progress": 1})')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    ended, said = run_inside(["analyze", str(MODEL), "-q", "--timeout", "3"])
    assert (ended, said.count("\n")) == (4, 1)
    assert "the time of 3 s is over" in said
    assert time.monotonic() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000


def test_a_worker_that_reads_nothing_is_out_of_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its pipe is full long before a large model has been sent."""
    import numpy as np
    import onnx

    import onnxprobe
    from tests.graph.models import model, node, stored, value

    _be_taken_over(monkeypatch, tmp_path, "time.sleep(60)")
    weights = stored("w", np.zeros((2000, 2000), np.float32))
    proto = model(
        [node("MatMul", "x w", "y")], [value("x", [1, 2000])], [value("y", [1, 2000])], [weights]
    )
    assert isinstance(proto, onnx.ModelProto)
    began = time.monotonic()
    with pytest.raises(onnxprobe.RunError, match="nothing was heard"):
        onnxprobe.analyze(proto, isolate=True, unit_timeout_s=1.0)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "command",
    [
        ["inspect", str(MODEL)],
        ["expose", str(MODEL), "-o", "o.onnx"],
        ["derive", str(MODEL), "-o", "o.onnx"],
        ["ops"],
        ["doctor"],
    ],
)
@pytest.mark.parametrize("answer", ["{}", "[]", "1", '{"x": 1}', '{"name": "\\\\u001b[2J"}'])
def test_no_command_believes_an_answer_that_it_cannot_read(
    command: list[str], answer: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    _be_taken_over(monkeypatch, tmp_path, f"{_FINE}say(b'{{\"result\": {answer}}}')")
    code, said = run_inside(command)
    assert code == 4
    assert _NONSENSE in said
    assert "\x1b" not in said
    assert not (tmp_path / "o.onnx").exists()


def test_tensors_that_are_each_other_are_refused() -> None:
    """Whoever follows them would never arrive."""
    from pydantic import ValidationError

    from onnxprobe.analysis.conductor.request import Subject
    from onnxprobe.analysis.configuration import Configuration
    from onnxprobe.analysis.local import LocalLink
    from onnxprobe.analysis.messages import Layout, Opening

    configuration = Configuration(device="cpu").model_dump(mode="json")
    asked = {"configuration": configuration, "memory_bytes": 2**30, "infer": True, "untried": None}
    content = LocalLink(None, lambda _: None).call("open", {**Subject.of(MODEL).header, **asked})
    Opening.model_validate(content)
    first, second = content["entries"][:2]
    for changes in ({"shift_of": second["name"]}, {"same_as": second["name"]},
                    {"same_as": first["name"]}):  # fmt: skip
        entries = [first | changes, second]
        with pytest.raises(ValidationError, match="one that comes later"):
            Opening.model_validate(content | {"entries": entries})
    with pytest.raises(ValidationError, match="a tensor stands twice"):
        Opening.model_validate(content | {"entries": [first, first]})
    with pytest.raises(ValidationError, match="no tensor has so many elements"):
        Layout(name="a", dtype="float32", shape=[10**17], axis=0, batched=True, repeatability=0)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        Layout(name="a", dtype="float32", shape=[-1], axis=0, batched=True, repeatability=0)


def test_what_a_worker_has_started_ends_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where nothing keeps it from starting others, which hold its pipes open."""
    code = (
        _FINE
        + f"""
import os
if os.fork():
    os._exit(0)
open({str(tmp_path / "started")!r}, "w").write(str(os.getpid()))
time.sleep(300)
"""
    )
    _be_taken_over(monkeypatch, tmp_path, code)
    began = time.monotonic()
    assert run_inside(["analyze", str(MODEL), "-q", "--unit-timeout", "20"])[0] == 4
    assert time.monotonic() - began < 15
    pid = int((tmp_path / "started").read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{pid}").exists() and "Z" not in _state(pid):
        assert time.monotonic() < deadline, "it is alive"
        time.sleep(0.05)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
