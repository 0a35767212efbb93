"""Data, options and files that do not fit: one sentence each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxprobe.errors import DataError
from onnxprobe.inputs import ImageOptions, Samples, load_samples
from onnxprobe.inputs.assignment import Data
from onnxprobe.types import TensorType

X = TensorType("x", "float32", ("N", 3, 8, 8))
GREY = TensorType("x", "float32", (1, 1, 8, 8))
VECTOR = TensorType("x", "float32", ("N", 5))
IDS = TensorType("ids", "int64", ("batch", "seq"))
MASK = TensorType("mask", "int64", ("batch", "seq"))
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


@pytest.mark.parametrize(
    ("kinds", "data", "message"),
    [
        (
            VECTOR,
            {"y": np.ones((2, 5))},
            (
                "the array for 'y' is given for 'y', which is no input of the model; "
                "its inputs are 'x'"
            ),
        ),
        (
            [X, IDS],
            np.zeros((2, 5)),
            (
                "the array feeds one input, but the model has 'x', 'ids'; "
                "say which with --data NAME=PATH"
            ),
        ),
        (
            VECTOR,
            {None: np.zeros((2, 5)), "x": np.zeros((2, 5))},
            "the array feeds no input: all have data already; leave it out",
        ),
        ([], np.zeros(3), "the array feeds no input: the model takes none; leave it out"),
        (
            VECTOR,
            [1, 2],
            (
                "data of type list was given; expected an array, a path, or a mapping from input "
                "names to these"
            ),
        ),
        (
            VECTOR,
            np.zeros((9, 4)),
            (
                "the array has shape (9, 4), but input 'x' takes (samples, 5); "
                "give an array of that shape"
            ),
        ),
        (
            X,
            np.zeros((9, 8, 8, 3)),
            (
                "the array has shape (9, 8, 8, 3), but input 'x' takes (samples, 3, 8, 8); "
                "give an array of that shape, or --layout NCHW if these are pictures to be fitted "
                "to the input"
            ),
        ),
        (
            TensorType("x", "float32", None),
            np.array(1.0),
            (
                "the array has shape (), but input 'x' takes at least one axis; "
                "give an array of that shape"
            ),
        ),
        (
            VECTOR,
            np.zeros((0, 5)),
            "the array has shape (0, 5), which holds no sample; expected at least one",
        ),
        (
            VECTOR,
            np.array([[0, 1, 2, np.nan, np.inf]]),
            (
                "the array holds 2 values that are NaN or infinite, the first in sample 0 at "
                "(3,); repair such samples or leave them out"
            ),
        ),
        (
            IDS,
            np.zeros((2, 3)),
            "the array holds float64, but input 'ids' takes int64; give data of type int64",
        ),
        (
            VECTOR,
            np.array([["a"] * 5]),
            "the array holds text, but input 'x' takes float32; give data of type float32",
        ),
        (
            [VECTOR, IDS],
            {"x": np.zeros((4, 5)), "ids": np.zeros((3, 2), int)},
            (
                "data['ids'] holds 3 samples for input 'ids', but data['x'] holds 4 for 'x'; "
                "give as many for each input"
            ),
        ),
        (
            [VECTOR, IDS],
            {"x": np.zeros((4, 5)), "idz": np.zeros((3, 2), int)},
            (
                "data holds 'idz', no input of the model, and nothing for input 'ids'; "
                "rename that array, or leave it out"
            ),
        ),
        (
            X,
            {"images": PIXELS, "labels": np.arange(5)},
            "data['labels'] holds 5 labels for 6 samples; give one for each sample",
        ),
        (
            [IDS, MASK],
            {"ids": np.zeros((4, 7), int), "mask": np.ones((4, 8), int)},
            (
                "dimension 'seq' is 7 in the data for 'ids' and 8 in the data for 'mask'; "
                "expected one size: make the arrays agree"
            ),
        ),
    ],
)
def test_data_that_does_not_fit_is_refused(
    kinds: TensorType | list[TensorType],
    data: Any,
    message: str,
) -> None:
    """In one sentence: what was given, what was expected, what to do."""
    _refuse(message, kinds, data)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "a.csv",
            (
                "{} is of a kind that onnxprobe does not read; "
                "give a .npy or .npz file, a picture, or a folder of pictures"
            ),
        ),
        (
            "b.csv",
            ("{} does not exist; give a .npy or .npz file, a picture, or a folder of pictures"),
        ),
        ("b.npy", "{} does not exist; give the path of an .npy file"),
        ("b.npz", "{} does not exist; give the path of an .npz file"),
        ("b.png", "{} does not exist; give the path of a picture"),
        (
            "two.npz",
            (
                "{} holds 'a', 'b', and none is the name of an input or 'images'; "
                "name the array after the input it feeds"
            ),
        ),
        (
            "labels.npz",
            (
                "{} holds 'y', and none is the name of an input or 'images'; "
                "name the array after the input it feeds"
            ),
        ),
    ],
)
def test_files_that_cannot_be_data_are_refused(name: str, message: str, tmp_path: Path) -> None:
    """With what would do instead."""
    (tmp_path / "a.csv").write_text("1,2")
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 5)), b=np.zeros((2, 5)))
    np.savez(tmp_path / "labels.npz", y=np.arange(5))
    _refuse(message.format(tmp_path / name), VECTOR, tmp_path / name)


def test_two_sources_for_one_input_are_refused(tmp_path: Path) -> None:
    """Both are named."""
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 5)))
    message = (
        f"{tmp_path}/a.npz['x'] is given for input 'x', which the array for 'x' feeds already; "
        "leave one of them out"
    )
    _refuse(message, VECTOR, {"x": np.zeros((2, 5)), None: tmp_path / "a.npz"})


def test_the_first_defect_is_named_by_its_place_in_the_users_data(tmp_path: Path) -> None:
    """Of the samples that are used."""
    values = np.zeros((100, 5), np.float32)
    values[50] = np.nan
    np.save(tmp_path / "a.npy", values)
    message = (
        f"{tmp_path}/a.npy holds 5 values that are NaN or infinite, the first in sample 50 at "
        "(0,); repair such samples or leave them out"
    )
    _refuse(message, VECTOR, tmp_path / "a.npy", limit=10)
    assert _load(VECTOR, tmp_path / "a.npy", limit=3).count == 3


def test_defects_in_pictures_of_floats_are_named() -> None:
    """By sample, row, column and channel."""
    values = np.zeros((2, 8, 8, 3))
    values[1, 2, 3, 1] = np.inf
    _refuse(
        "the array holds 1 value that is NaN or infinite, the first in sample 1 at (2, 3, 1); "
        "repair such samples or leave them out",
        X,
        values,
        options=ImageOptions(layout="NCHW"),
    )


@pytest.mark.parametrize(
    ("kind", "data", "options"),
    [
        (IDS, np.zeros((2, 3), int), MNIST_OPTIONS),
        (VECTOR, np.zeros((2, 5)), ImageOptions(transpose=True)),
        (VECTOR, None, ImageOptions(channels="bgr")),
        (VECTOR, None, MNIST_OPTIONS),
        (IDS, None, ImageOptions(resize="crop")),
    ],
)
def test_image_options_without_pictures_are_refused(
    kind: TensorType, data: Data, options: ImageOptions
) -> None:
    """What has no effect is a mistake."""
    _refuse(
        "image options are given, but no input takes pictures; leave them out, or say with "
        "--layout where an input has its channels",
        kind,
        data,
        options=options,
    )


def test_means_for_three_channels_do_not_fit_one() -> None:
    """The message says which input takes how many."""
    _refuse(
        "--mean gives 3 numbers, but input 'x' takes 1 channel; give one number, or one a channel",
        GREY,
        PIXELS,
        options=ImageOptions(mean=(0.1, 0.2, 0.3)),
    )


def test_numbers_that_overflow_half_precision_are_refused() -> None:
    """Rather than fed as infinity."""
    _refuse(
        "the array holds 100000.0, which input 'x' of type float16 cannot take; "
        "give values that fit float16",
        TensorType("x", "float16", (1, 2)),
        np.full((3, 2), 1e5),
    )


def test_pictures_too_large_to_be_pictures_are_taken_as_numbers() -> None:
    """A row of 67 million bytes is no thumbnail: the shapes decide, and differ."""
    huge = np.broadcast_to(np.uint8(0), (1, 10_000, 10_000))
    with pytest.raises(
        DataError, match=r"^the array has shape \(1, 10000, 10000\), but input 'x' "
    ):
        _load(X, huge)
