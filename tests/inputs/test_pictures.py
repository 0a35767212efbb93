from __future__ import annotations

import io
import os
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from onnxprobe.errors import DataError
from onnxprobe.inputs.pictures import open_pictures, read_picture

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def _png_of(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds next to nothing."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", head)
        + _chunk(b"IDAT", zlib.compress(bytes(1000)))
        + _chunk(b"IEND", b"")
    )


def test_pictures_are_sorted_by_name_and_the_rest_is_left_aside(tmp_path: Path) -> None:
    """Endings count in either case; hidden files are not worth a word."""
    for name in ("b.PNG", "a.jpg", "10.png", "9.png"):
        Image.fromarray(RGB).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / ".DS_Store").write_text("")
    (tmp_path / "more").mkdir()
    folder = open_pictures(tmp_path)
    assert [file.name for file in folder.files] == ["10.png", "9.png", "a.jpg", "b.PNG"]
    assert folder.notes == (
        f"{tmp_path.name} also holds 'more', 'notes.txt', left aside as no picture",
    )
    assert (folder.label, folder.title) == (str(tmp_path), tmp_path.name)


def test_a_folder_of_pictures_alone_needs_no_note(tmp_path: Path) -> None:
    """Nothing was left aside."""
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert open_pictures(tmp_path).notes == ()


def test_the_current_folder_has_a_title(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path has no last part."""
    Image.fromarray(RGB).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path)
    assert open_pictures(Path()).title == tmp_path.name


def test_a_single_picture_may_be_given(tmp_path: Path) -> None:
    """As a folder of one."""
    assert open_pictures(tmp_path / "a.png").files == (tmp_path / "a.png",)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    """With what it holds instead."""
    endings = ".bmp, .gif, .jpeg, .jpg, .pbm, .pgm, .png, .pnm, .ppm, .webp"
    message = f"{tmp_path} holds no picture; expected files ending in {endings}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        open_pictures(tmp_path)
    (tmp_path / "cats").mkdir()
    message = f"{tmp_path} holds no picture, only 'cats'; expected files ending in {endings}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        open_pictures(tmp_path)


def test_a_folder_that_fails_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the system's reason, whoever runs the program."""

    def fail(_: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Path, "iterdir", fail)
    message = f"{tmp_path} cannot be read (Input/output error); expected a folder of pictures"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        open_pictures(tmp_path)


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm"])
def test_lossless_pictures_come_back_as_they_were(ending: str, tmp_path: Path) -> None:
    """Rows, columns, colours."""
    path = tmp_path / f"a.{ending}"
    Image.fromarray(RGB).save(path)
    np.testing.assert_array_equal(read_picture(path), RGB)


@pytest.mark.parametrize("ending", ["jpg", "webp", "gif"])
def test_other_formats_come_back_about_as_they_were(ending: str, tmp_path: Path) -> None:
    """A smooth picture survives lossy coding."""
    smooth = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[:, None, None], (60, 64, 3))
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.ascontiguousarray(smooth)).save(path)
    difference = read_picture(path).astype(int) - smooth
    assert np.abs(difference).max() <= 8


@pytest.mark.parametrize(
    ("mode", "shape"),
    [
        ("1", (5, 7, 1)),
        ("L", (5, 7, 1)),
        ("LA", (5, 7, 1)),
        ("P", (5, 7, 3)),
        ("RGB", (5, 7, 3)),
        ("RGBA", (5, 7, 4)),
    ],
)
def test_modes_become_grey_colour_or_colour_with_transparency(
    mode: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """Palettes are looked up, grey with transparency is grey."""
    path = tmp_path / "a.png"
    Image.fromarray(RGB).convert(mode).save(path)
    pixels = read_picture(path)
    assert pixels.shape == shape
    assert pixels.dtype == np.uint8


def test_a_palette_with_transparency_keeps_it(tmp_path: Path) -> None:
    """As a fourth channel."""
    path = tmp_path / "a.png"
    Image.fromarray(RGB).convert("P").save(path, transparency=0)
    assert read_picture(path).shape == (5, 7, 4)


def test_print_colours_become_screen_colours(tmp_path: Path) -> None:
    """CMYK has four channels, none of them transparency."""
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (7, 5)).save(path)
    np.testing.assert_array_equal(read_picture(path), np.full((5, 7, 3), 255))


@pytest.mark.parametrize("ending", ["png", "pgm"])
def test_sixteen_bits_are_cut_to_eight(ending: str, tmp_path: Path) -> None:
    """The upper eight."""
    wide = np.array([[0, 255, 256, 65535]], np.uint16)
    path = tmp_path / f"a.{ending}"
    Image.fromarray(wide).save(path)
    assert read_picture(path).ravel().tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_pictures_are_turned_as_the_camera_says(
    orientation: int, turns: int, tmp_path: Path
) -> None:
    """By their EXIF orientation."""
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(path, exif=exif)
    np.testing.assert_array_equal(read_picture(path), np.rot90(RGB, turns))


@pytest.mark.parametrize("side", [100_000, 9_000, 12_000])
def test_pictures_of_huge_dimensions_are_refused_by_their_header(side: int, tmp_path: Path) -> None:
    """Whether onnxprobe's limit, Pillow's warning or Pillow's error comes first."""
    path = tmp_path / "a.png"
    path.write_bytes(_png_of(side, side))
    message = (
        f"{path} has more than 67,108,864 pixels, which is refused as a decompression bomb; "
        "scale it down"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_picture(path)


def test_a_picture_cut_short_is_refused(tmp_path: Path) -> None:
    """And not filled up with grey."""
    path = tmp_path / "a.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    message = rf"^{re.escape(str(path))} cannot be decoded \(.*truncated.*\); replace it or take it"
    with pytest.raises(DataError, match=message):
        read_picture(path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever its ending says."""
    path = tmp_path / "a.png"
    path.write_bytes(content)
    message = f"{path} is no picture; expected PNG, JPEG, BMP, GIF, WEBP or PPM"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        read_picture(path)


@pytest.mark.parametrize("format_", ["TIFF", "TGA", "PCX"])
def test_decoders_that_nobody_needs_are_not_let_loose(format_: str, tmp_path: Path) -> None:
    """The ending does not decide, the list of formats does."""
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path, format=format_)
    with pytest.raises(DataError, match=r" is no picture; expected PNG, JPEG, "):
        read_picture(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_among_the_pictures_is_not_waited_for(tmp_path: Path) -> None:
    """Nor a folder called like one."""
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    for path in open_pictures(tmp_path).files:
        message = f"{path} is no regular file; give the path of a picture"
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            read_picture(path)


def _encoded() -> list[bytes]:
    contents = []
    for format_ in ("PNG", "JPEG", "GIF", "BMP", "WEBP", "PPM"):
        file = io.BytesIO()
        Image.fromarray(RGB).save(file, format=format_)
        contents.append(file.getvalue())
    return contents


@settings(deadline=None)
@given(
    content=st.sampled_from(_encoded()),
    places=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4),
    kept=st.floats(0.2, 1),
)
def test_damaged_pictures_give_pixels_or_one_sentence(
    content: bytes,
    places: list[tuple[int, int]],
    kept: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Never another exception, never a warning."""
    damaged = bytearray(content)
    for place, value in places:
        damaged[place % len(damaged)] = value
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    path.write_bytes(damaged[: int(len(damaged) * kept)])
    try:
        pixels = read_picture(path)
    except DataError as error:
        sentence = str(error)
    else:
        sentence = "; "
        assert pixels.ndim == 3
        assert pixels.dtype == np.uint8
    assert "; " in sentence
