"""Killing and interrupting analyses at random moments, and what must be left."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.trust.command import Ended, Running, descendants, run

__all__ = ["Subject", "interrupt", "interrupt_endless", "kill_parent", "kill_worker"]

_ORPHAN_S, _STOP_S = 2.0, 5.0


@dataclass(frozen=True)
class Subject:
    """An analysis that is run again and again.

    Attributes:
        folder: Where its files go.
        arguments: Of the command, but for where to.
        seconds: How long it takes undisturbed.
        finding: What it reports, but for its own times.
    """

    folder: Path
    arguments: tuple[str, ...]
    seconds: float
    finding: dict[str, Any]

    @classmethod
    def of(cls, model: Path, folder: Path) -> Subject:
        arguments = ("analyze", str(model), "--samples", "2", "--device", "cpu", "-q")
        ended = run([*arguments, "-o", folder / "whole.json"])
        assert ended.code == 0, ended
        return cls(folder, arguments, ended.seconds, finding(folder / "whole.json"))


def finding(report: Path) -> dict[str, Any]:
    """What a report says, but for when and how it was made."""
    content: dict[str, Any] = json.loads(report.read_text())
    content.pop("run")
    return content


def kill_parent(subject: Subject, count: int, seed: int = 0) -> str:
    """Kill −9 the command, then resume it: the report is the same, and no process is left."""
    rng, redone = random.Random(seed), 0
    for turn in range(count):
        work, report = subject.folder / f"work{turn}", subject.folder / f"killed{turn}.json"
        where: list[str | Path] = ["--work-dir", work, "-o", report]
        running = Running([*subject.arguments, *where])
        time.sleep(rng.uniform(0, subject.seconds))
        workers = descendants(running.process.pid)
        running.kill()
        running.wait(10)
        _assert_gone(workers)
        before = _records(work)
        ended = run([*subject.arguments, *where, "--resume"])
        if ended.code == 2:
            assert "nothing to resume" in ended.err, ended
            redone += 1
            ended = run([*subject.arguments, *where])
        assert ended.code == 0, ended
        assert finding(report) == subject.finding
        assert _records(work)[: len(before)] == before, "a finished unit was done again"
    return f"{count} of {count} equal after --resume, {redone} killed before any unit"


def kill_worker(subject: Subject, count: int, seed: int = 1) -> str:
    """Kill −9 the worker: the command goes on, and its report is the same."""
    rng, hit = random.Random(seed), 0
    for turn in range(count):
        report = subject.folder / f"worker{turn}.json"
        running = Running([*subject.arguments, "-o", report])
        time.sleep(rng.uniform(0, subject.seconds))
        for pid in descendants(running.process.pid):
            hit += 1
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        ended = running.wait(120)
        assert ended.code == 0, ended
        assert finding(report) == subject.finding
    return f"{count} of {count} finished with the same report, {hit} workers killed"


def interrupt(subject: Subject, count: int, seed: int = 2) -> str:
    """SIGINT and SIGTERM: an end within seconds, a valid report of what is done, and a resume."""
    rng, partial, slowest = random.Random(seed), 0, 0.0
    for turn in range(count):
        number, code = rng.choice([(signal.SIGINT, 130), (signal.SIGTERM, 143)])
        work, report = subject.folder / f"stopped{turn}", subject.folder / f"stopped{turn}.json"
        where: list[str | Path] = ["--work-dir", work, "-o", report]
        running = Running([*subject.arguments, *where])
        # Python itself takes a moment to be ready for signals.
        time.sleep(rng.uniform(0.3, subject.seconds))
        sent = time.monotonic()
        running.kill(number)
        ended = running.wait(60)
        slowest = max(slowest, time.monotonic() - sent)
        assert slowest < _STOP_S
        assert "Traceback" not in ended.err, ended
        if ended.code == 0:
            assert finding(report) == subject.finding
            continue
        assert ended.code == code, ended
        if report.exists():
            partial += 1
            content = json.loads(report.read_text())
            assert content["run"]["interrupted"]
            coverage = content["coverage"]
            counts = [coverage["analysed"], len(coverage["skipped"]), len(coverage["failed"])]
            assert sum(counts) == coverage["tensors"]
        _assert_resumed(subject, where, report)
    return f"{count} of {count} stopped, the slowest after {slowest:.1f} s, {partial} with a report"


def interrupt_endless(model: Path, folder: Path) -> str:
    """SIGINT and SIGTERM while native code runs a loop without an end."""
    slowest = 0.0
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        running = Running(["analyze", model, "-q", "-o", folder / f"endless{code}.json"])
        time.sleep(3.0)
        sent = time.monotonic()
        running.kill(number)
        ended = running.wait(60)
        slowest = max(slowest, time.monotonic() - sent)
        assert slowest < _STOP_S
        assert ended.code == code, ended
    return f"stopped after {slowest:.1f} s"


def _assert_resumed(subject: Subject, where: list[str | Path], report: Path) -> None:
    ended: Ended = run([*subject.arguments, *where, "--resume"])
    if ended.code == 2:
        assert "nothing to resume" in ended.err, ended
        ended = run([*subject.arguments, *where])
    assert ended.code == 0, ended
    assert finding(report) == subject.finding


def _records(work: Path) -> list[str]:
    return [*_whole_lines(work / "journal.jsonl")] if (work / "journal.jsonl").exists() else []


def _whole_lines(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines(keepends=True):
        if line.endswith("\n"):
            yield line


def _assert_gone(pids: list[int]) -> None:
    end = time.monotonic() + _ORPHAN_S
    while time.monotonic() < end:
        if not any(_is_alive(pid) for pid in pids):
            return
        time.sleep(0.05)
    raise AssertionError(f"processes {pids} are left")


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
