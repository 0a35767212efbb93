"""Array files that lie, explode, or are none."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxprobe.errors import DataError
from onnxprobe.inputs.archives import open_npz
from onnxprobe.inputs.arrays import open_npy

CUT = "is no array that numpy saved; write it with numpy.save"
DAMAGED = "has a damaged header; write the array again with numpy.save"


def _header(text: str, version: int = 1) -> bytes:
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin1")


def _describe(shape: str, dtype: str = "'<f4'") -> str:
    return f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}}}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", CUT),
        (b"\x93NUMPY\x01\x00", CUT),
        (b"PK\x03\x04 not an array at all", CUT),
        (b"\x93NUMPY\x03\x00\x10\x00\x00\x00", CUT),
        (b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1), CUT),
        (_header("{'descr': '<f4'}\n"), DAMAGED),
        (_header("__import__('os').abort()\n"), DAMAGED),
        (_header("(" * 5_000), DAMAGED),
        (_header(_describe("(2, 3)"))[:-9], DAMAGED),
        (_header(_describe("(-2, -3)")), DAMAGED),
        (
            _header(_describe("(2, 3)")),
            (
                "says it holds 24 bytes of shape (2, 3), but has 0; "
                "the file is cut short: write it again"
            ),
        ),
        (
            _header(_describe(f"({2**70}, 3)"), version=2) + b"1234",
            (
                "says it holds 14,167,099,448,608,935,641,088 bytes of shape "
                "(1180591620717411303424, 3), but has 4; the file is cut short: write it again"
            ),
        ),
        (
            _header(_describe("(2,)", "'|O'")) + b"cos\nsystem\n(S'true'\ntR.",
            (
                "holds Python objects, which onnxprobe never unpickles; "
                "save an array of plain numbers or text"
            ),
        ),
        (
            _header(_describe(f"({2**60},)", "'<U0'")),
            "holds elements of type <U0; expected booleans, integers, floats or text",
        ),
    ],
)
def test_files_that_are_no_arrays_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    """With one sentence, whether in a file of their own or in an archive."""
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path} {message}')}$"):
        open_npy(path)
    archive = tmp_path / "a.npz"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x.npy", content)
    label = f"{archive}['x']"
    with pytest.raises(DataError, match=f"^{re.escape(f'{label} {message}')}$"):
        open_npz(archive)


@settings(deadline=None)
@given(content=st.binary(max_size=200))
def test_no_bytes_at_all_end_in_another_error(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Neither as an array nor as an archive."""
    path = tmp_path_factory.mktemp("bytes") / "a"
    path.write_bytes(content)
    for reader in (open_npy, open_npz):
        with pytest.raises(DataError, match=r"^\S+ (is no|has a|says|holds) .+; .+$"):
            reader(path)


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _nothing(path: Path) -> None:
    pass


@pytest.mark.parametrize("reader", [open_npy, open_npz])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_nothing, "does not exist; give the path of an .np"),
        pytest.param(
            _fifo,
            "is no regular file; give the path of an .np",
            marks=pytest.mark.skipif(
                not hasattr(os, "mkfifo"), reason="this system has no named pipes"
            ),
        ),
        (Path.mkdir, "is no regular file; give the path of an .np"),
    ],
)
def test_what_is_no_file_is_refused_at_once(
    reader: Callable[[Path], object],
    make: Callable[[Path], None],
    message: str,
    tmp_path: Path,
) -> None:
    """A named pipe is not waited for."""
    path = tmp_path / "a"
    make(path)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path} {message}')}[yz] file$"):
        reader(path)


def test_a_path_that_no_system_allows_is_refused(tmp_path: Path) -> None:
    """NUL bytes, and names too long to exist."""
    with pytest.raises(
        DataError, match=r"cannot be read \(embedded null byte\); expected an \.npy"
    ):
        open_npy(tmp_path / "a\0b")
    with pytest.raises(
        DataError, match=r"cannot be read \(File name too long\); expected an \.npz"
    ):
        open_npz(tmp_path / ("a" * 300))


def _zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def _npy(size: int = 4) -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros(size, np.uint8))
    return content.getvalue()


def test_a_zip_bomb_is_refused_by_its_table_of_contents(tmp_path: Path) -> None:
    """300 MB of zeros in 300 kB: nothing of it is unpacked."""
    path = _zip(tmp_path / "a.npz", {"x.npy": _npy(300_000_000)})
    message = (
        rf"^{re.escape(str(path))} packs 300,000,128 bytes of 'x\.npy' into [\d,]+, which is "
        r"refused as a decompression bomb; if you trust it, save that array as an \.npy file$"
    )
    with pytest.raises(DataError, match=message):
        open_npz(path)


def test_small_arrays_of_zeros_are_no_bombs(tmp_path: Path) -> None:
    """Labels and masks compress a thousandfold."""
    path = _zip(tmp_path / "a.npz", {"x.npy": _npy(50_000_000)})
    assert open_npz(path)["x"].shape == (50_000_000,)


def test_a_member_that_holds_more_than_it_says_is_cut_off(tmp_path: Path) -> None:
    """What the table of contents says is all that is unpacked; the checksum then fails."""
    path = _zip(tmp_path / "a.npz", {"x.npy": _npy(2**16)})
    content = bytearray(path.read_bytes())
    # The uncompressed size, in the central directory alone.
    where = content.rindex(b"PK\x01\x02") + 24
    content[where : where + 4] = struct.pack("<I", 2**15)
    path.write_bytes(content)
    message = (
        f"{path}['x'] says it holds 65,536 bytes of shape (65536,), but has 32,640; "
        "the file is cut short: write it again"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        open_npz(path)


def test_a_damaged_member_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    """By the checksum of the archive."""
    path = _zip(tmp_path / "a.npz", {"x.npy": _npy(2**17)}, zipfile.ZIP_STORED)
    content = path.read_bytes()
    at = content.index(b"\x00\x00\x00\x00PK\x01\x02")
    path.write_bytes(content[:at] + b"\x01" + content[at + 1 :])
    source = open_npz(path)["x"]
    message = (
        f"{path} is no .npz file, or it is damaged (Bad CRC-32 for file 'x.npy'); "
        "write it again with numpy.savez"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        source.read()


def test_a_member_that_ends_early_is_noticed(tmp_path: Path) -> None:
    """Between the look at its header and the reading of its values."""
    path = _zip(tmp_path / "a.npz", {"x.npy": _npy(1000)})
    source = open_npz(path)["x"]
    _zip(path, {"x.npy": _npy(10)})
    message = f"{path}['x'] is cut short; write the file again"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        source.read()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {},
            (
                "has 0 members, or two of one name; "
                "expected 1 to 1,000 arrays as numpy.savez writes them"
            ),
        ),
        (
            {f"{name}.npy": b"" for name in range(1001)},
            (
                "has 1,001 members, or two of one name; "
                "expected 1 to 1,000 arrays as numpy.savez writes them"
            ),
        ),
        (
            {"a.npy": _npy(), "b.txt": b"", "c\x1b.exe": b""},
            (
                r"holds 'b.txt', 'c\x1b.exe' beside arrays; "
                "expected 1 to 1,000 arrays as numpy.savez writes them"
            ),
        ),
    ],
)
def test_archives_of_other_things_are_refused(
    members: dict[str, bytes], message: str, tmp_path: Path
) -> None:
    """Names are quoted, so that none reaches the terminal raw."""
    path = _zip(tmp_path / "a.npz", members)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path} {message}')}$"):
        open_npz(path)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    """Readers differ in which they take."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("x.npy", _npy())
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("x.npy", _npy())
    with pytest.raises(DataError, match=r" has 2 members, or two of one name; expected 1 to 1,000"):
        open_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_packings_that_numpy_does_not_write_are_refused(method: int, tmp_path: Path) -> None:
    """Their decoders take as much memory as the file asks for."""
    path = _zip(tmp_path / "a.npz", {"x.npy": _npy()}, method)
    message = (
        f"{path} packs 'x.npy' in a way that numpy does not, or encrypts it; "
        "write it again with numpy.savez_compressed"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        open_npz(path)


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    """No password is asked for."""
    path = _zip(tmp_path / "a.npz", {"x.npy": _npy()})
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r" packs 'x\.npy' in a way that numpy does not, or encry"):
        open_npz(path)


def test_a_table_of_contents_of_any_size_is_not_read(tmp_path: Path) -> None:
    """It may claim gigabytes; more than 4 MB are refused before they are parsed."""
    path = _zip(tmp_path / "a.npz", {"x.npy": _npy()})
    content = path.read_bytes()
    begin, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    table = content[begin:end] * (2**22 // (end - begin) + 1)
    tail = bytearray(content[end:])
    tail[12:20] = struct.pack("<II", len(table), begin)
    path.write_bytes(content[:begin] + table + tail)
    message = (
        f"{path} is no .npz file, or it is damaged (a table of contents of more than 4,194,304 "
        "bytes); write it again with numpy.savez"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        open_npz(path)
