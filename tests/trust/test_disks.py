"""Disks that are full, calls that fail: a file is the old one or the new one, and never torn."""

from __future__ import annotations

import errno
import itertools
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.trust.command import run
from tests.trust.inside import run_inside

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_mlp_sklearn.onnx"
ARGUMENTS = ["analyze", str(MODEL), "--samples", "1", "--data-limit", "8", "--device", "cpu", "-q"]
# Every fifth call that can fail, unless all are asked for.
STRIDE = int(os.environ.get("ONNXPROBE_TEST_STRIDE", "5"))


class _Failing:
    """Lets the N-th of all calls to the system fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        self.left = number
        self.failed = ""
        for owner, name in (
            (os, "write"), (os, "fsync"), (os, "open"), (os, "ftruncate"), (Path, "replace"),
            (Path, "mkdir"), (tempfile, "mkdtemp"), (subprocess, "Popen"),
        ):  # fmt: skip
            monkeypatch.setattr(owner, name, self._wrapped(name, getattr(owner, name)))

    def _wrapped(self, name: str, call: Any) -> Any:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                self.failed = name
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*arguments, **options)

        return wrapped


def test_any_call_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's loop: the first call fails, then another, until none is left to fail."""
    report = tmp_path / "report.json"
    report.write_text("old")
    for number in itertools.count(1, STRIDE):
        work = tmp_path / f"work{number}"
        with monkeypatch.context() as patched:
            failing = _Failing(patched, number)
            where = ["--work-dir", str(work), "-o", str(report)]
            code, said = run_inside([*ARGUMENTS, *where])
        told = f"call {number} ({failing.failed}): {code}: {said}"
        assert "Traceback" not in said, told
        assert not [*tmp_path.glob(".*.tmp")], told
        if not failing.failed:
            assert code == 0, told
            break
        if report.read_text() != "old":
            json.loads(report.read_text())
            report.write_text("old")
        elif code == 0:
            raise AssertionError(told)
        assert code in {0, 2, 4}, told
        if (work / "journal.jsonl").exists():
            code, said = run_inside([*ARGUMENTS, *where, "--resume"])
            assert code == 0, said
            report.write_text("old")
    assert json.loads(report.read_text())["coverage"]["analysed"]


@pytest.mark.parametrize("suffix", ["json", "csv"])
def test_a_full_disk_leaves_the_old_report(suffix: str, tmp_path: Path) -> None:
    """A file system of 8 kB; the journal lies elsewhere and loses nothing."""
    mount = tmp_path / "small"
    mount.mkdir()
    report, work = mount / f"report.{suffix}", tmp_path / "work"
    script = (
        f"mount -t tmpfs -o size=8k none {mount} && printf old > {report} && "
        f"head -c 4096 /dev/zero > {mount}/rest; "
        f"python -m onnxprobe {' '.join(ARGUMENTS)} --work-dir {work} -o {report}; "
        f"echo code $?; cat {report}; ls -A {mount}"
    )
    unshared = ["unshare", "--user", "--map-root-user", "--mount"]
    if subprocess.run([*unshared, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    env = {**os.environ, "PYTHONPATH": str(MODEL.parents[1])}
    ended = subprocess.run(
        [*unshared, "sh", "-c", script], capture_output=True, text=True, env=env, check=False
    )
    assert ended.stdout.split() == ["code", "4", f"oldreport.{suffix}", "rest"], ended
    assert f"report.{suffix} cannot be written: No space left on device" in ended.stderr
    again = run([*ARGUMENTS, "--work-dir", work, "--resume", "-o", tmp_path / f"r.{suffix}"])
    assert again.code == 0, again
