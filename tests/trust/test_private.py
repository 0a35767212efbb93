"""What is left behind: nothing of anybody's data, and nothing that tells others of it."""

from __future__ import annotations

import os
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np

from tests.trust.command import Running, run

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_cnn_torch.onnx"


def _data(folder: Path) -> tuple[Path, list[bytes]]:
    """Samples, and how each of some values could be spelled in a file."""
    images = np.random.default_rng(0).uniform(0, 1, (40, 1, 8, 8)).astype(np.float32)
    path = folder / "data.npz"
    np.savez(path, image=images)
    some = images[:8].ravel()[:64]
    spelled = [repr(float(each))[:9].encode() for each in some]
    return path, [*spelled, images[0].tobytes()[:16], images[3].tobytes()[:16]]


def _everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_sample_is_in_any_file_that_is_left(tmp_path: Path) -> None:
    """Killed in the middle, and again when it is done."""
    data, spelled = _data(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    env = {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "TMPDIR": str(home)}
    env["XDG_CACHE_HOME"] = str(home / "cache")
    arguments = ["analyze", str(MODEL), "--data", str(data), "-q", "-o", str(home / "report.json")]
    running = Running(arguments, env=env, cwd=home)
    with suppress(subprocess.TimeoutExpired):
        # It is killed in the middle.
        running.wait(2.5)
    for again in (False, True):
        if again:
            assert run(arguments, env=env, cwd=home).code == 0
        for path, content in _everything(home).items():
            for each in spelled:
                assert each not in content, f"{each!r} is in {path}"
    left = {path.relative_to(home).parts[0]: content for path, content in _everything(home).items()}
    # Killed before it could take it back, the command leaves an empty file beside the report.
    assert all(not content for name, content in left.items() if name != "report.json")


def test_what_is_kept_is_for_its_owner_alone(tmp_path: Path) -> None:
    work = tmp_path / "work"
    old = os.umask(0)
    try:
        ended = run(["analyze", MODEL, "--samples", "1", "-q", "--work-dir", work])
    finally:
        os.umask(old)
    assert ended.code == 0
    assert stat.S_IMODE(work.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in work.iterdir()} == {0o600}
