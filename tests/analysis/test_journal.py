"""What is kept of an analysis, and what of a broken file of it still counts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from onnxprobe.analysis.conductor.journal import Journal, JournalError, Recorder
from onnxprobe.analysis.conductor.link import InternalError, WorkerLostError
from onnxprobe.errors import DataError, OnnxProbeError, RunError


class Worker:
    """Counts what it is asked."""

    chatter = ""
    features: dict[str, bool] | None = None
    silence_s: float | None = 10.0

    def __init__(self, error: OnnxProbeError | None = None) -> None:
        self.restarts = 0
        self.asked: list[str] = []
        self.error = error

    def call(self, method: str, params: dict[str, Any] | None = None, blobs: Any = ()) -> Any:
        self.asked.append(f"{method} {params}")
        if self.error is not None:
            raise self.error
        return {"of": params}

    def close(self) -> None:
        pass


def _recorder(journal: Journal | None, worker: Worker) -> Recorder:
    recorder = Recorder(worker, journal, lambda link: link.call("prepare"), lambda _: None)
    recorder.identify("model", "options")
    return recorder


def test_a_question_is_asked_once(tmp_path: Path) -> None:
    first, second = Worker(), Worker()
    journal = Journal(tmp_path / "work", resume=False)
    answer = _recorder(journal, first).call("activations", {"names": ["a"]})
    journal.close()
    journal = Journal(tmp_path / "work", resume=True)
    recorder = _recorder(journal, second)
    assert recorder.call("activations", {"names": ["a"]}) == answer
    assert second.asked == []
    recorder.call("activations", {"names": ["b"]})
    assert second.asked == ["activations {'names': ['b']}"]


def test_a_worker_is_prepared_before_the_first_new_question(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resume=False)
    _recorder(journal, Worker()).call("survey", {"names": ["a"]})
    journal.close()
    journal, worker = Journal(tmp_path, resume=True), Worker()
    recorder = _recorder(journal, worker)
    recorder.call("survey", {"names": ["a"]})
    recorder.call("jacobians", {})
    recorder.call("jacobians", {"more": 1})
    assert worker.asked == ["prepare None", "jacobians {}", "jacobians {'more': 1}"]


@pytest.mark.parametrize("cut", [1, 30, 90])
def test_a_record_that_was_cut_off_does_not_count(cut: int, tmp_path: Path) -> None:
    journal = Journal(tmp_path, resume=False)
    for index in range(3):
        journal.keep(f"key{index}", {"value": index})
    journal.close()
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-cut])
    journal = Journal(tmp_path, resume=True)
    assert journal.find("key1") == {"value": 1}
    assert journal.find("key2") is None
    journal.keep("key2", {"value": 22})
    journal.close()
    again = Journal(tmp_path, resume=True)
    assert [again.find(f"key{index}") for index in range(3)] == [
        {"value": 0}, {"value": 1}, {"value": 22},
    ]  # fmt: skip


def test_a_record_that_was_altered_does_not_count(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resume=False)
    journal.keep("key", {"value": 1})
    journal.close()
    path = tmp_path / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"value":1', b'"value":2'))
    assert Journal(tmp_path, resume=True).find("key") is None


def test_another_analysis_is_not_mixed_in(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resume=False)
    _recorder(journal, Worker())
    journal.close()
    journal = Journal(tmp_path, resume=True)
    recorder = Recorder(Worker(), journal, lambda _: None, lambda _: None)
    with pytest.raises(DataError, match="was begun with another model, other data, options or ve"):
        recorder.identify("another model", "options")


def test_two_analyses_do_not_share_a_folder(tmp_path: Path) -> None:
    first = Journal(tmp_path, resume=False)
    for resume in (False, True):
        with pytest.raises(DataError, match="belongs to an analysis that is still going on"):
            Journal(tmp_path, resume=resume)
    first.keep("key", {})
    assert first.find("key") == {}


def test_what_an_earlier_analysis_has_measured_is_not_thrown_away(tmp_path: Path) -> None:
    journal = Journal(tmp_path, resume=False)
    journal.keep("key", {"value": 1})
    journal.close()
    with pytest.raises(DataError, match="keeps what an earlier analysis has measured: go on with"):
        Journal(tmp_path, resume=False)
    assert Journal(tmp_path, resume=True).find("key") == {"value": 1}


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_that_is_no_journal_is_left_alone(resume: bool, tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("somebody's own journal\n")
    with pytest.raises(DataError, match=r"journal.jsonl is no journal of onnxprobe; choose anoth"):
        Journal(tmp_path, resume=resume)
    assert path.read_text() == "somebody's own journal\n"


@pytest.mark.parametrize("length", [0, 1, 10])
def test_a_journal_that_was_cut_off_in_its_first_line_is_begun_anew(
    length: int, tmp_path: Path
) -> None:
    Journal(tmp_path, resume=False).close()
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:length])
    Journal(tmp_path, resume=False).close()
    assert path.read_bytes() == whole


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^there is nothing to resume in .*: leave out"):
        Journal(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("error", "is_kept"),
    [
        (RunError("no"), True),
        (WorkerLostError("native code crashed (SIGSEGV)", comes_again=True), True),
        (WorkerLostError("killed", was_killed=True), False),
        (InternalError("a bug", ""), False),
    ],
)
def test_an_error_is_kept_if_it_would_come_again(
    error: OnnxProbeError, is_kept: bool, tmp_path: Path
) -> None:
    journal = Journal(tmp_path, resume=False)
    recorder = _recorder(journal, Worker(error))
    for turn in range(2):
        worker = Worker() if turn else Worker(error)
        recorder.link = worker
        if turn and not is_kept:
            assert recorder.call("survey", {}) == {"of": {}}
            continue
        with pytest.raises(type(error), match=str(error).split()[0]) as raised:
            recorder.call("survey", {})
        assert bool(worker.asked) == (not turn)
        if isinstance(error, WorkerLostError):
            assert isinstance(raised.value, WorkerLostError)
            assert raised.value.comes_again == error.comes_again


@pytest.mark.parametrize(("now_s", "is_asked"), [(3.0, False), (5.0, False), (6.0, True)])
def test_what_was_silent_is_asked_again_when_it_may_take_longer(
    now_s: float, is_asked: bool, tmp_path: Path
) -> None:
    silent = WorkerLostError("nothing was heard", comes_again=True, silence_s=5.0)
    journal, recorded = Journal(tmp_path, resume=False), []
    recorder = _recorder(journal, Worker(silent))
    with pytest.raises(WorkerLostError):
        recorder.call("survey", {})
    worker = Worker()
    worker.silence_s = now_s
    recorder.link = worker
    with suppress(WorkerLostError):
        recorded.append(recorder.call("survey", {}))
    assert (bool(recorded), bool(worker.asked)) == (is_asked, is_asked)


def test_a_disk_that_fills_up_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path, resume=False)
    journal.keep("key0", {"value": 0})

    def full(descriptor: int, content: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.write", full)
        with pytest.raises(JournalError, match="No space left on device; what was kept until now"):
            journal.keep("key1", {})
    journal.close()
    assert Journal(tmp_path, resume=True).find("key0") == {"value": 0}


def test_without_a_journal_everything_is_asked() -> None:
    worker = Worker()
    recorder = _recorder(None, worker)
    recorder.call("survey", {})
    recorder.call("survey", {})
    assert len(worker.asked) == 2


@pytest.mark.parametrize(
    "content",
    [
        {"result": 1},
        {"progress": 1.0},
        {"progress": "much", "result": 1},
        {"progress": 1.0, "error": "no"},
        [],
        None,
    ],
)
def test_a_record_that_is_none_does_not_count(content: Any, tmp_path: Path) -> None:
    """Whatever its digest says: a folder may come from others."""
    import hashlib
    import json

    journal = Journal(tmp_path, resume=False)
    answer = _recorder(journal, Worker()).call("activations", {"names": ["a"]})
    journal.close()
    path = tmp_path / "journal.jsonl"
    *lines, last = path.read_bytes().splitlines(keepends=True)
    body = json.dumps(json.loads(last.partition(b" ")[2]) | {"content": content}).encode()
    path.write_bytes(
        b"".join(lines) + hashlib.sha256(body).hexdigest().encode() + b" " + body + b"\n"
    )
    worker = Worker()
    recorder = _recorder(Journal(tmp_path, resume=True), worker)
    assert recorder.call("activations", {"names": ["a"]}) == answer
    assert worker.asked[-1].startswith("activations")


def test_a_journal_that_is_no_file_is_refused(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "journal.jsonl")
    with pytest.raises(DataError, match="is no regular file; choose another --work-dir"):
        Journal(tmp_path, resume=False)
