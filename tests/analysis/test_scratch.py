"""Folders of workers, and those that killed runs have left."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from onnxprobe.analysis.conductor.scratch import Scratch


@pytest.mark.skipif(os.name == "nt", reason="folders are not locked there")
def test_folders_of_the_dead_are_removed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    alive = Scratch()
    dead, young = tmp_path / "onnxprobe-worker-abcd1234", tmp_path / "onnxprobe-worker-abcd1235"
    for folder in (dead, young):
        folder.mkdir()
    (dead / "file").touch()
    kept = [tmp_path / "onnxprobe-worker-notes", tmp_path / "onnxprobe-worker-abcd1236"]
    kept[0].mkdir()
    kept[1].symlink_to(tmp_path / "onnxprobe-worker-notes")
    for folder in (dead, alive.path, *kept):
        os.utime(folder, (0, 0))
    other = Scratch()
    assert not dead.exists()
    assert all(folder.exists() for folder in (alive.path, other.path, young, *kept))
    other.remove()
    alive.remove()
    assert not alive.path.exists()
    assert not other.path.exists()
