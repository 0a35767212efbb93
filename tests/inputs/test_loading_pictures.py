"""Pictures, from arrays and folders to what a model takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxprobe.errors import DataError
from onnxprobe.inputs import ImageOptions, Samples, load_samples
from onnxprobe.inputs.assignment import Data
from onnxprobe.types import Array, TensorType

X = TensorType("x", "float32", ("N", 3, 8, 8))
VECTOR = TensorType("x", "float32", ("N", 5))
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
MNIST_OPTIONS = ImageOptions(mean=(0.1307,), std=(0.3081,))


def _load(
    kinds: TensorType | list[TensorType],
    data: Data = None,
    **options: Any,
) -> Samples:
    kinds = [kinds] if isinstance(kinds, TensorType) else kinds
    return load_samples(kinds, data, rng=np.random.default_rng(0), **options)[1]


def _refuse(message: str, kinds: TensorType | list[TensorType], data: Data, **options: Any) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        _load(kinds, data, **options)


def _scaled(pixels: Array) -> Array:
    result: Array = (pixels * (1 / 255)).astype(np.float32)
    return result


def test_pictures_and_labels_of_an_archive_go_by_the_usual_names(tmp_path: Path) -> None:
    """``images`` and ``labels``; what else there is, is left aside."""
    path = tmp_path / "a.npz"
    np.savez(path, images=PIXELS, labels=np.arange(6, dtype=np.uint8), classes=np.array(["a"]))
    samples = _load(X, path)
    np.testing.assert_array_equal(samples.arrays["x"], _scaled(PIXELS.transpose(0, 3, 1, 2)))
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert samples.notes == ("a.npz also holds 'classes', left aside",)


@pytest.mark.parametrize("keys", [{"faces": PIXELS, "y": np.arange(6)}, {"images": PIXELS}])
def test_the_only_pictures_of_an_archive_need_no_usual_name(
    keys: dict[str, Array], tmp_path: Path
) -> None:
    """Nor labels."""
    np.savez(tmp_path / "a.npz", **keys)  # type: ignore[arg-type]
    samples = _load(X, tmp_path / "a.npz")
    assert samples.count == 6
    assert (samples.labels is None) == ("y" not in keys)
    assert samples.notes == ()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (X, PIXELS.transpose(0, 3, 1, 2)),
        (TensorType("x", "float32", (1, 8, 8, 3)), PIXELS),
        (TensorType("x", "float32", ("N", 3, "h", "w")), PIXELS.transpose(0, 3, 1, 2)),
        (TensorType("x", "float32", ("N", 192)), PIXELS.transpose(0, 3, 1, 2).reshape(6, 192)),
        (TensorType("x", "float32", (1, 192, 1)), PIXELS.transpose(0, 3, 1, 2).reshape(6, 192, 1)),
    ],
)
@pytest.mark.parametrize("first", [False, True])
def test_pictures_find_their_way_into_every_layout(
    kind: TensorType, expected: Array, first: bool
) -> None:
    """Channels first, last, or one after the other in a flat input; from either order in data."""
    data = PIXELS.transpose(0, 3, 1, 2) if first else PIXELS
    np.testing.assert_array_equal(_load(kind, data).arrays["x"], _scaled(expected))


def test_options_are_applied_in_order() -> None:
    """Transposed, blue first, scaled, means and deviations in the order of the fed channels."""
    options = ImageOptions(
        scale=2.0,
        mean=(1.0, 2.0, 3.0),
        std=(4.0, 5.0, 6.0),
        transpose=True,
        channels="bgr",
    )
    samples = _load(X, PIXELS, options=options)
    for channel, colour in enumerate((2, 1, 0)):
        pixels = PIXELS[..., colour].transpose(0, 2, 1).astype(np.float64)
        expected = (pixels * 2 - options.mean[channel]) / options.std[channel]
        np.testing.assert_allclose(samples.arrays["x"][:, channel], expected, rtol=1e-6)


def test_grey_pictures_feed_an_input_in_colour_and_are_stretched() -> None:
    """And the report says which sizes."""
    samples = _load(X, {"images": np.zeros((2, 5, 6), np.uint8)})
    assert samples.arrays["x"].shape == (2, 3, 8, 8)
    assert samples.notes == ("pictures of data['images'] (5×6) stretched to 8×8",)
    cropped = _load(X, np.zeros((2, 5, 6), np.uint8), options=ImageOptions(resize="crop"))
    assert cropped.notes == ("pictures of the array (5×6) scaled and cropped to 8×8",)


def test_sizes_are_spelled_as_the_data_has_them() -> None:
    """Before the transposition, so that the user recognises them."""
    kind = TensorType("x", "float32", ("N", 1, 8, 6))
    options = ImageOptions(transpose=True)
    assert _load(kind, np.zeros((2, 6, 8), np.uint8), options=options).notes == ()
    (note,) = _load(kind, np.zeros((2, 5, 6), np.uint8), options=options).notes
    assert note == "pictures of the array (5×6) stretched to 6×8"


def test_one_picture_is_one_sample() -> None:
    """And the report says that it was taken so."""
    samples = _load(X, PIXELS[0])
    np.testing.assert_array_equal(samples.arrays["x"], _scaled(PIXELS[:1].transpose(0, 3, 1, 2)))
    assert samples.notes == ("the array is taken as one picture for input 'x'",)


def test_bytes_for_a_float_input_are_pixels_whatever_its_shape() -> None:
    """Scaled by 1/255, or by the user's numbers."""
    values = np.arange(20, dtype=np.uint8).reshape(4, 5)
    np.testing.assert_array_equal(_load(VECTOR, values).arrays["x"], _scaled(values))
    raw = _load(VECTOR, values, options=ImageOptions(scale=1.0))
    np.testing.assert_array_equal(raw.arrays["x"], values)
    matrix = TensorType("x", "float32", None)
    np.testing.assert_array_equal(_load(matrix, values).arrays["x"], _scaled(values))


def test_bytes_for_an_input_of_bytes_are_pixels_as_they_are() -> None:
    """Detectors often take uint8 pictures."""
    kind = TensorType("x", "uint8", (1, 8, 8, 3))
    np.testing.assert_array_equal(_load(kind, PIXELS).arrays["x"], PIXELS)
    _refuse(
        "input 'x' takes uint8 pixels as they are; leave out --scale, --mean and --std",
        kind,
        PIXELS,
        options=ImageOptions(std=(2.0,)),
    )


def test_options_for_pictures_leave_other_floats_alone() -> None:
    """A state beside a picture is no picture."""
    state = TensorType("state", "float32", ("N", 4))
    values = np.ones((6, 4), np.float32)
    samples = _load([X, state], {"x": PIXELS, "state": values}, options=MNIST_OPTIONS)
    np.testing.assert_array_equal(samples.arrays["state"], values)
    beside_drawn = _load([X, state], {"state": values}, options=MNIST_OPTIONS)
    np.testing.assert_array_equal(beside_drawn.arrays["state"], values)


def test_a_matrix_is_a_picture_only_on_a_word_about_its_axes() -> None:
    """Means and deviations then apply to its numbers, and nothing is resized."""
    kind = TensorType("x", "float32", ("N", 8, 6))
    values = np.random.default_rng(0).standard_normal((3, 6, 8))
    samples = _load(kind, values.transpose(0, 2, 1), options=MNIST_OPTIONS)
    expected = (values.transpose(0, 2, 1) - 0.1307) / 0.3081
    np.testing.assert_allclose(samples.arrays["x"], expected, rtol=1e-5, atol=1e-6)
    _refuse(
        "the array has shape (3, 6, 8), but input 'x' takes (samples, 8, 6); "
        "give an array of that shape",
        kind,
        values,
        options=MNIST_OPTIONS,
    )
    turned = _load(kind, values, options=ImageOptions(transpose=True))
    np.testing.assert_allclose(turned.arrays["x"], values.transpose(0, 2, 1), rtol=1e-6)
    bytes_ = np.zeros((3, 4, 3), np.uint8)
    assert _load(kind, bytes_).notes == ("pictures of the array (4×3) stretched to 8×6",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of three pictures of two sizes, one of them grey."""
    for number, size in enumerate([(8, 8), (16, 12), (8, 8)]):
        mode = "L" if number == 2 else "RGB"
        Image.new(mode, size, 100 + number).save(tmp_path / f"{number}.png")
    return tmp_path


def test_a_folder_of_pictures_of_several_sizes_feeds_a_fixed_input(folder: Path) -> None:
    """Each stretched to it; grey ones in colour."""
    samples = _load(X, folder)
    assert samples.arrays["x"].shape == (3, 3, 8, 8)
    np.testing.assert_array_equal(samples.arrays["x"][2], _scaled(np.full((3, 8, 8), 102)))
    assert samples.notes == (f"pictures of {folder.name} (12×16) stretched to 8×8",)


def test_a_folder_of_pictures_of_several_sizes_needs_one_for_an_open_input(folder: Path) -> None:
    """The message says how to choose it."""
    kind = TensorType("x", "float32", (1, 3, None, "w"))
    _refuse(
        f"{folder} holds pictures of different sizes (8×8 to 12×16), and input 'x' takes any; "
        "choose one size with --set 'x[2]=SIZE' --set w=SIZE",
        kind,
        folder,
    )
    samples = _load(kind, folder, sizes={"x[2]": 12, "w": 16})
    assert samples.arrays["x"].shape == (3, 3, 12, 16)
    assert samples.notes == (f"pictures of {folder.name} (8×8) stretched to 12×16",)
    (folder / "1.png").unlink()
    assert _load(kind, folder).arrays["x"].shape == (2, 3, 8, 8)


def test_only_the_pictures_that_are_used_are_decoded(folder: Path) -> None:
    """The first is needed for its size; the others that are left out may be damaged."""
    (folder / "1.png").write_bytes(b"")
    (folder / "2.png").write_bytes(b"")
    assert _load(X, folder, limit=1).count == 1


def test_transposed_pictures_fill_an_open_input(folder: Path) -> None:
    """Rows and columns change places in the shape too."""
    for number in (0, 2):
        (folder / f"{number}.png").unlink()
    kind = TensorType("x", "float32", (1, 3, "h", "w"))
    samples = _load(kind, folder / "1.png", options=ImageOptions(transpose=True))
    assert samples.arrays["x"].shape == (1, 3, 16, 12)


def test_pictures_feed_the_one_input_that_is_shaped_like_them(folder: Path) -> None:
    """Among several."""
    samples = _load([VECTOR, TensorType("image", "float32", ("N", 3, 8, 8))], folder)
    assert samples.arrays["image"].shape == (3, 3, 8, 8)
    bytes_ = _load([VECTOR, TensorType("image", "float32", ("N", 3, 8, 8))], PIXELS)
    assert bytes_.arrays["image"].shape == (6, 3, 8, 8)


@pytest.mark.parametrize(
    ("kind", "takes"),
    [
        (TensorType("x", "float32", None), "an undeclared shape"),
        (TensorType("x", "bool", (1, 3, 8, 8)), "bool"),
        (TensorType("x", "string", (1, 3, 8, 8)), "text"),
    ],
)
def test_pictures_do_not_feed_inputs_of_other_types(
    kind: TensorType, takes: str, folder: Path
) -> None:
    """The message says what the input takes."""
    message = f"{folder} holds pictures, but input 'x' takes {takes}; give it an array"
    _refuse(message, kind, folder)


def test_pictures_do_not_feed_inputs_of_other_shapes(folder: Path) -> None:
    """Unless the user says how."""
    message = (
        f"{folder} holds pictures of 8×8, but input 'x' takes (5,), which is not shaped like "
        "them; give it an array, or say where it has its channels with --layout"
    )
    _refuse(message, VECTOR, folder)
    kind = TensorType("x", "float32", (1, "a", "b", "c"))
    with pytest.raises(DataError, match=r"takes \(a, b, c\), which is not shaped like them"):
        _load(kind, folder / "0.png")
    samples = _load(kind, folder / "0.png", options=ImageOptions(layout="NHWC"))
    assert samples.arrays["x"].shape == (1, 8, 8, 3)


def test_pictures_of_another_size_do_not_feed_a_flat_input() -> None:
    """Which of its numbers would be which pixel is unknown."""
    _refuse(
        "the array has shape (2, 9, 9), but input 'x' takes (samples, 5); "
        "give an array of that shape",
        TensorType("x", "float32", ("N", 5)),
        np.zeros((2, 9, 9), np.uint8),
    )
