"""Finished cells are kept, and others are not mistaken for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.evidence.cells import Cell, OutOfTimeError, Store, source_digest


def test_a_finished_cell_is_never_computed_again(tmp_path: Path) -> None:
    calls = []

    def compute() -> Cell:
        calls.append(1)
        return {"value": 3}

    first = Store(tmp_path, 60).cell({"kind": "x", "seed": 0}, compute)
    again = Store(tmp_path, 60).cell({"seed": 0, "kind": "x"}, compute)
    assert first == again
    assert first["value"] == 3
    assert len(calls) == 1


def test_whatever_decides_a_cell_makes_it_another(tmp_path: Path) -> None:
    store = Store(tmp_path, 60)
    store.cell({"kind": "x", "seed": 0}, lambda: {"value": 0})
    assert store.cell({"kind": "x", "seed": 1}, lambda: {"value": 1})["value"] == 1


def test_no_cell_is_begun_after_the_time_but_finished_ones_are_there(tmp_path: Path) -> None:
    Store(tmp_path, 60).cell({"kind": "x"}, lambda: {"value": 0})
    late = Store(tmp_path, -1)
    assert late.cell({"kind": "x"}, lambda: {"value": 9})["value"] == 0
    with pytest.raises(OutOfTimeError, match="the time given was over"):
        late.cell({"kind": "y"}, lambda: {"value": 9})


def test_a_cell_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def compute() -> Cell:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Store(tmp_path, 60).cell({"kind": "x"}, compute)
    assert list(tmp_path.iterdir()) == []


def test_another_source_text_is_another_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("1")
    before = source_digest([path])
    path.write_text("2")
    assert source_digest([path]) != before
