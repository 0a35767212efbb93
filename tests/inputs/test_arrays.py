from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxprobe.errors import DataError
from onnxprobe.inputs.archives import open_npz
from onnxprobe.inputs.arrays import ArraySource, MemoryArray, check_bytes, open_npy
from onnxprobe.types import Array

VALUES = np.arange(7 * 3 * 2, dtype=np.int32).reshape(7, 3, 2)


def _source(kind: str, array: Array, folder: Path) -> ArraySource:
    if kind == "memory":
        return MemoryArray("the array", array)
    if kind == "npy":
        np.save(folder / "a.npy", array)
        return open_npy(folder / "a.npy")
    save = np.savez_compressed if kind == "npz, compressed" else np.savez
    save(folder / "a.npz", a=array, b=np.zeros(2))
    return open_npz(folder / "a.npz")["a"]


KINDS = ["memory", "npy", "npz", "npz, compressed"]


@pytest.mark.parametrize(
    ("kind", "array"),
    [
        (kind, array)
        for kind in KINDS
        for array in (
            VALUES,
            np.asfortranarray(VALUES),
            VALUES.astype(">i4"),
            np.array(3, np.float16),
            VALUES[:0],
        )
        # An empty .npy file is refused, which another test sees to.
        if array.size or kind != "npy"
    ],
)
def test_every_source_gives_back_what_was_saved(kind: str, array: Array, tmp_path: Path) -> None:
    """In either order of axes and of bytes; scalars and empty arrays too."""
    source = _source(kind, array, tmp_path)
    assert source.shape == array.shape
    assert source.dtype == array.dtype
    np.testing.assert_array_equal(source.read(), array)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fortran", [False, True])
@pytest.mark.parametrize("chunk_bytes", [1, 60, 2**20])
@settings(deadline=None, max_examples=20)
@given(rows=st.sets(st.integers(0, 6), min_size=1), block=st.integers(1, 8))
def test_rows_come_in_order_and_in_blocks(
    kind: str,
    fortran: bool,
    chunk_bytes: int,
    rows: set[int],
    block: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever the size of the blocks, and of the chunks in which an archive streams by."""
    array = np.asfortranarray(VALUES) if fortran else VALUES
    source = _source(kind, array, tmp_path_factory.mktemp("arrays"))
    wanted = np.array(sorted(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("onnxprobe.inputs.archives._CHUNK_BYTES", chunk_bytes)
        blocks = list(source.blocks(wanted, block))
    assert all(0 < len(part) <= block for part in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), VALUES[wanted])


def test_what_is_handed_out_can_be_changed_without_changing_the_source() -> None:
    """Nobody's array is written to."""
    array = np.zeros((3, 2))
    source = MemoryArray("the array", array)
    source.read()[...] = 1
    next(source.blocks(np.arange(2), 2))[...] = 1
    assert not array.any()


def test_errors_name_the_path_and_reports_the_file_alone(tmp_path: Path) -> None:
    """A report does not depend on the folder that the data lies in."""
    npy = _source("npy", VALUES, tmp_path)
    member = _source("npz", VALUES, tmp_path)
    assert (npy.label, npy.title) == (str(tmp_path / "a.npy"), "a.npy")
    assert (member.label, member.title) == (f"{tmp_path / 'a.npz'}['a']", "a.npz['a']")
    memory = MemoryArray("the array", VALUES)
    assert (memory.label, memory.title) == ("the array", "the array")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.array([{}], dtype=object),
            (
                "the array holds Python objects, which onnxprobe never unpickles; "
                "save an array of plain numbers or text"
            ),
        ),
        (
            np.zeros(2, complex),
            (
                "the array holds elements of type complex128; "
                "expected booleans, integers, floats or text"
            ),
        ),
        (
            np.zeros(2, "datetime64[s]"),
            (
                "the array holds elements of type datetime64[s]; "
                "expected booleans, integers, floats or text"
            ),
        ),
    ],
)
def test_only_numbers_and_text_are_taken(array: Array, message: str) -> None:
    """In memory as in files."""
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        MemoryArray("the array", array)


def test_records_are_refused() -> None:
    """They have no element type that a model takes."""
    with pytest.raises(DataError, match=r"^the array holds elements of type \[\('a', '<i4'\)\]; "):
        MemoryArray("the array", np.zeros(2, [("a", "<i4")]))


def test_an_empty_file_of_samples_is_refused(tmp_path: Path) -> None:
    """There is nothing to map."""
    np.save(tmp_path / "a.npy", np.zeros((0, 3)))
    message = f"{tmp_path}/a.npy has shape (0, 3), which holds no sample; expected at least one"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        open_npy(tmp_path / "a.npy")


def test_more_than_8_gigabytes_are_not_read_at_once() -> None:
    """Rows of an .npy file can be had one by one."""
    message = (
        "a.npz['a'] has 8,589,934,593 bytes, more than the 8,589,934,592 that are read at once; "
        "save it as an .npy file with the samples along the first axis"
    )
    check_bytes(2**33, "a.npz['a']")
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        check_bytes(2**33 + 1, "a.npz['a']")


def test_only_the_rows_asked_for_are_read_from_a_large_file(tmp_path: Path) -> None:
    """A sparse file of 4 GB, of which three rows are taken."""
    header = io.BytesIO()
    shape = (4_000, 1_000_000)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    path = tmp_path / "large.npy"
    path.write_bytes(header.getvalue())
    os.truncate(path, len(header.getvalue()) + 4_000 * 1_000_000)
    (rows,) = open_npy(path).blocks(np.array([0, 2_000, 3_999]), 10)
    assert rows.shape == (3, 1_000_000)


def test_text_is_read(tmp_path: Path) -> None:
    """As numpy's fixed-width unicode."""
    np.save(tmp_path / "a.npy", np.array(["ab", "c"]))
    assert open_npy(tmp_path / "a.npy").read().tolist() == ["ab", "c"]
