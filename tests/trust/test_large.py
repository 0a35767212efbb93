"""Models and activations that are larger than the memory."""

from __future__ import annotations

from pathlib import Path

from tests.trust.large import measure_in_chunks, open_large


def test_activations_of_four_times_the_memory_are_measured_the_same(tmp_path: Path) -> None:
    measure_in_chunks(tmp_path, megabytes=64)


def test_large_weights_are_not_read_into_memory(tmp_path: Path) -> None:
    open_large(tmp_path, gigabytes=1)
