from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.analysis.conductor.plan import Chunk, plan_chunks
from onnxprobe.analysis.messages import Layout

MEGABYTE = 2**20


def layout(name: str, size: int, *, batched: bool = True) -> Layout:
    return Layout(
        name=name, dtype="float32", shape=[1, size], axis=0, batched=batched, repeatability=0.0
    )


def plan(
    layouts: list[Layout], *, rows: int = 100, memory: int = MEGABYTE, row_bytes: int = 1000
) -> list[Chunk]:
    return plan_chunks(layouts, stored_rows=rows, row_bytes=row_bytes, memory_bytes=memory)


def covered(chunks: list[Chunk]) -> dict[str, list[tuple[int, int]]]:
    """The ranges of each tensor that the chunks collect."""
    ranges: dict[str, list[tuple[int, int]]] = {}
    for chunk in chunks:
        for parts in chunk.passes:
            for part in parts:
                ranges.setdefault(part.name, []).append((part.start, part.stop))
    return ranges


def test_tensors_that_fit_share_a_chunk() -> None:
    (chunk,) = plan([layout("a", 10), layout("b", 20)])
    assert chunk.names == ("a", "b")
    assert len(chunk.passes) == 1


def test_tensors_that_do_not_fit_are_divided_in_order() -> None:
    # Half of 1 MB holds 1310 floats for each of 100 rows.
    chunks = plan([layout("a", 700), layout("b", 700), layout("c", 100)])
    assert [chunk.names for chunk in chunks] == [("a",), ("b", "c")]


def test_a_tensor_too_large_by_itself_is_collected_in_parts() -> None:
    (chunk,) = plan([layout("large", 4000)])
    assert len(chunk.passes) == 4
    assert covered([chunk])["large"] == [(0, 1310), (1310, 2620), (2620, 3930), (3930, 4000)]


def test_tensors_run_row_by_row_are_kept_apart_from_batched_ones() -> None:
    chunks = plan([layout("a", 10), layout("b", 10, batched=False), layout("c", 10)])
    assert [(chunk.names, chunk.batched) for chunk in chunks] == [
        (("a", "c"), True),
        (("b",), False),
    ]


def test_rows_of_a_run_fit_the_memory() -> None:
    (few,) = plan([layout("a", 10)], row_bytes=50_000)
    (many,) = plan([layout("a", 10)], row_bytes=10)
    assert few.rows == MEGABYTE // 4 // 100_000
    assert many.rows == 100, "no more rows than there are"


def test_at_least_one_row_is_run_whatever_the_memory() -> None:
    (chunk,) = plan([layout("a", 10)], row_bytes=10**12)
    assert chunk.rows == 1


def test_no_tensors_make_no_chunks() -> None:
    assert plan([]) == []


@given(
    st.lists(st.tuples(st.integers(1, 5000), st.booleans()), max_size=20),
    st.integers(1, 500),
)
def test_every_element_is_collected_once_and_never_too_much_at_a_time(
    sizes: list[tuple[int, bool]], rows: int
) -> None:
    layouts = [
        layout(f"t{index}", size, batched=batched) for index, (size, batched) in enumerate(sizes)
    ]
    chunks = plan(layouts, rows=rows)
    ranges = covered(chunks)
    for each in layouts:
        parts = sorted(ranges[each.name])
        assert parts[0][0] == 0
        assert parts[-1][1] == each.size
        assert all(first[1] == second[0] for first, second in pairwise(parts))
    for chunk in chunks:
        for parts_of_pass in chunk.passes:
            floats = sum(part.stop - part.start for part in parts_of_pass) * rows
            alone = len(parts_of_pass) == 1 and parts_of_pass[0].stop - parts_of_pass[0].start == 1
            assert floats * 4 <= MEGABYTE // 2 or alone


@pytest.mark.parametrize("parts", [1, 3])
def test_work_counts_the_passes_of_tensors(parts: int) -> None:
    (chunk,) = plan([layout("a", 1310 * parts)])
    assert chunk.work == parts
