from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from onnxprobe.errors import DataError
from onnxprobe.report.files import AtomicFile


def leftovers(folder: Path) -> list[str]:
    return [each.name for each in folder.iterdir() if each.name.endswith(".tmp")]


def test_a_committed_file_holds_everything(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    with AtomicFile(target) as file:
        file.commit(b"x" * 100_000)
    assert target.read_bytes() == b"x" * 100_000
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="files are not locked there")
def test_what_killed_commands_left_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    with AtomicFile(target) as alive:
        old, young, other = (
            tmp_path / f".{name}.tmp"
            for name in ("report.json.0123abcd", "report.json.0123abce", "other.json.0123abcd")
        )
        for path in (old, young, other):
            path.touch()
        for path in (old, other, alive.temporary):
            os.utime(path, (0, 0))
        with AtomicFile(target):
            assert [path.exists() for path in (old, young, other)] == [False, True, True]
            assert alive.temporary.exists()


def test_nothing_is_there_before_the_commit(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    with AtomicFile(target):
        assert not target.exists()
    assert not target.exists()
    assert leftovers(tmp_path) == []


def test_an_existing_file_stands_until_the_commit(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    with AtomicFile(target) as file:
        assert target.read_text() == "old"
        file.commit(b"new")
    assert target.read_text() == "new"


def test_an_error_in_between_leaves_the_existing_file(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="in between"), AtomicFile(target):
        raise RuntimeError("in between")
    assert target.read_text() == "old"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_failure_of_any_system_call_leaves_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    real, calls = getattr(os, call), 0

    def failing(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == nth:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    file = AtomicFile(target)
    monkeypatch.setattr(os, call, failing)
    # Only the folder's sync is a second call of its kind; it comes when the new file is in place.
    fails = nth == 1 or call == "fsync"
    expected = pytest.raises(DataError, match="No space left on device") if fails else nullcontext()
    with expected:
        file.commit(b"new")
    monkeypatch.undo()
    assert target.read_text() == ("old" if nth == 1 else "new")
    assert leftovers(tmp_path) == []


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:7]))
    target = tmp_path / "report.json"
    with AtomicFile(target) as file:
        file.commit(b"0123456789" * 10)
    assert target.read_bytes() == b"0123456789" * 10


def test_a_missing_folder_is_found_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"missing/report.json cannot be written: No such file"):
        AtomicFile(tmp_path / "missing" / "report.json")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; give the path of a file to write"):
        AtomicFile(tmp_path)


def test_an_unwritable_file_is_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "report.json"
    target.write_text("old")
    # A superuser may write anything, so permission is denied here by hand.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(DataError, match="cannot be written: Permission denied"):
        AtomicFile(target)
    assert leftovers(tmp_path) == []


def test_a_link_keeps_leading_to_the_file_that_is_replaced(tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text("old")
    link = tmp_path / "link.json"
    link.symlink_to(real)
    with AtomicFile(link) as file:
        file.commit(b"new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_file_filled_by_its_path_is_committed_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    with AtomicFile(target) as file:
        file.temporary.write_bytes(b"model")
        file.commit()
    assert target.read_bytes() == b"model"
