"""Killed, interrupted, killed again: nothing is lost, and nothing is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trust.bombs import BOMBS
from tests.trust.survival import Subject, interrupt, interrupt_endless, kill_parent, kill_worker

MODEL = Path(__file__).resolve().parents[2] / "models" / "digits_cnn_torch.onnx"
COUNT = 10


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return Subject.of(MODEL, tmp_path_factory.mktemp("survival"))


def test_a_killed_analysis_is_resumed(subject: Subject) -> None:
    kill_parent(subject, COUNT)


def test_a_killed_worker_is_replaced(subject: Subject) -> None:
    kill_worker(subject, COUNT)


def test_an_interrupt_ends_in_a_partial_report(subject: Subject) -> None:
    interrupt(subject, COUNT)


def test_an_interrupt_ends_an_endless_loop(tmp_path: Path) -> None:
    path = tmp_path / "endless.onnx"
    path.write_bytes(BOMBS["Loop without an end"]())
    interrupt_endless(path, tmp_path)
