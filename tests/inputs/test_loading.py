"""Numbers, files and drawn samples, from what a user gives to what a model takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxprobe.errors import DataError
from onnxprobe.inputs import DATA_LIMIT, SYNTHETIC_LIMIT, ImageOptions, Samples, load_samples
from onnxprobe.inputs.assignment import Data
from onnxprobe.types import TensorType

X = TensorType("x", "float32", ("N", 3, 8, 8))
VECTOR = TensorType("x", "float32", ("N", 5))
IDS = TensorType("ids", "int64", ("batch", "seq"))
MASK = TensorType("mask", "int64", ("batch", "seq"))
RATE = TensorType("rate", "int64", ())
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)


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


def test_without_data_samples_are_drawn_and_the_report_says_so() -> None:
    """The figures then describe the model, and every kind of input says how it was drawn."""
    samples = _load([X, RATE])
    assert samples.synthetic
    assert samples.count == SYNTHETIC_LIMIT == 512
    assert samples.arrays["x"].shape == (512, 3, 8, 8)
    assert list(samples.arrays) == ["x", "rate"]
    assert samples.labels is None
    assert samples.notes == (
        (
            "no data was given: 512 samples drawn from the declared types, so the figures "
            "describe the model and not your data"
        ),
        (
            "drawn for input 'x': noise with the power spectrum of photographs, mean 0.5 and "
            "deviation 0.25 of the pixel range"
        ),
        "drawn for input 'rate': uniform integers from 0 to 1, the same for all samples",
    )


def test_the_same_seed_gives_the_same_samples() -> None:
    """Byte for byte."""
    assert _load([X, IDS]).digest == _load([X, IDS]).digest


def test_as_many_samples_are_drawn_as_asked_for() -> None:
    """Beyond the limit for data too."""
    assert _load(VECTOR, limit=3).count == 3
    assert _load(VECTOR, limit=3_000).count == 3_000


def test_floats_are_used_as_they_are(tmp_path: Path) -> None:
    """From memory, from a file, under their name or none."""
    values = np.random.default_rng(1).standard_normal((4, 5)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", anything=values)
    for data in (
        values,
        {"x": values},
        {None: values},
        tmp_path / "a.npy",
        str(tmp_path / "a.npy"),
        {"x": tmp_path / "a.npy"},
        tmp_path / "a.npz",
        {"x": tmp_path / "a.npz"},
    ):
        samples = _load(VECTOR, data)
        np.testing.assert_array_equal(samples.arrays["x"], values)
        assert not samples.synthetic
        assert samples.notes == ()
        assert samples.positions.tolist() == [0, 1, 2, 3]


def test_float64_data_is_rounded_to_the_inputs_type() -> None:
    """The usual case of data from numpy."""
    assert _load(VECTOR, np.full((2, 5), 0.1)).arrays["x"].dtype == np.float32


def test_large_data_is_thinned_evenly() -> None:
    """And the report says so."""
    values = np.arange(5_000, dtype=np.float32)[:, None] * np.ones(5, np.float32)
    samples = _load(VECTOR, {"x": values, "labels": np.arange(5_000)})
    assert samples.count == DATA_LIMIT == 2_048
    assert samples.notes == ("2,048 of 5,000 samples are used, spread evenly over the data",)
    np.testing.assert_array_equal(samples.arrays["x"][:, 0], samples.positions)
    np.testing.assert_array_equal(samples.labels, samples.positions)


def test_an_input_called_y_is_no_labels(tmp_path: Path) -> None:
    """Names of inputs come first."""
    np.savez(tmp_path / "a.npz", y=np.arange(4), x=np.zeros((4, 5)))
    samples = _load([VECTOR, TensorType("y", "int64", ("N",))], tmp_path / "a.npz")
    assert samples.arrays["y"].tolist() == [0, 1, 2, 3]
    assert samples.labels is None


def test_labels_of_floats_or_of_several_columns_are_left_aside(tmp_path: Path) -> None:
    """They name no class."""
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=np.zeros((6, 10)), y=np.zeros(6))
    samples = _load(X, tmp_path / "a.npz")
    assert samples.labels is None
    assert samples.notes == ("a.npz also holds 'labels', 'y', left aside",)


def test_bytes_for_an_integer_input_are_numbers() -> None:
    """Token ids may well be saved as uint8."""
    ids = np.arange(6, dtype=np.uint8).reshape(2, 3)
    samples = _load(IDS, ids)
    assert samples.arrays["ids"].dtype == np.int64
    np.testing.assert_array_equal(samples.arrays["ids"], ids)


def test_floats_are_normalised_only_if_the_user_asks() -> None:
    """Then with scale 1 unless one is given, as pictures if the input takes some."""
    values = np.random.default_rng(0).standard_normal((4, 8, 8, 3)).astype(np.float32)
    options = ImageOptions(mean=(0.1, 0.2, 0.3))
    expected = (values - np.array(options.mean)).transpose(0, 3, 1, 2)
    samples = _load(X, values, options=options)
    np.testing.assert_allclose(samples.arrays["x"], expected, rtol=1e-5, atol=1e-6)
    flat = _load(VECTOR, np.ones((2, 5)), options=ImageOptions(scale=3.0, mean=(1.0,)))
    np.testing.assert_array_equal(flat.arrays["x"], np.full((2, 5), 2.0))


def test_integers_are_normalised_like_floats_if_the_user_asks() -> None:
    """Pixels saved as int64, for example."""
    values = np.arange(10).reshape(2, 5)
    samples = _load(VECTOR, values, options=ImageOptions(scale=0.5))
    np.testing.assert_array_equal(samples.arrays["x"], values / 2)


def test_samples_may_lie_along_the_models_own_axis() -> None:
    """Or along the first; both are seen by the sizes."""
    kinds = [
        TensorType("ids", "int64", ("batch", 1)),
        TensorType("past", "float32", (2, "batch", 4)),
    ]
    past = np.random.default_rng(0).standard_normal((2, 5, 4)).astype(np.float32)
    samples = _load(kinds, {"past": past, "ids": np.zeros((5, 1), int)})
    np.testing.assert_array_equal(samples.arrays["past"], past.transpose(1, 0, 2))
    assert samples.notes == ("data['past'] counts samples on axis 1, as input 'past' does",)


def test_axes_of_size_1_may_be_missing_and_the_report_says_so() -> None:
    """Flat vectors for shaped inputs likewise."""
    kind = TensorType("x", "float32", (1, 5, 1))
    values = np.ones((3, 5), np.float32)
    samples = _load(kind, values)
    assert samples.arrays["x"].shape == (3, 5, 1)
    assert samples.notes == ("samples of the array are reshaped from (5,) to (5, 1) for input 'x'",)


def test_an_array_without_an_axis_for_samples_is_one_sample() -> None:
    """And the report says that it was taken so."""
    samples = _load(VECTOR, np.ones(5))
    assert samples.count == 1
    assert samples.notes == ("the array is taken as one sample of input 'x'",)


def test_data_fixes_open_dimensions() -> None:
    """For all inputs that share them; nothing remains to be assumed."""
    signature, samples = load_samples(
        [IDS, MASK], {"ids": np.zeros((4, 7), int)}, rng=np.random.default_rng(0)
    )
    assert signature.assumed == ()
    assert samples.arrays["mask"].shape == (4, 7)
    assert samples.notes == ("drawn for input 'mask': ones, as a mask that hides nothing",)
    assert not samples.synthetic


def test_open_dimensions_without_data_take_the_trial_size() -> None:
    """The first of the likeliest, or what whoever tries several says."""
    signature, samples = load_samples([IDS], rng=np.random.default_rng(0), limit=2)
    assert samples.arrays["ids"].shape == (2, 16)
    signature, samples = load_samples([IDS], rng=np.random.default_rng(0), limit=2, free=5)
    assert samples.arrays["ids"].shape == (2, 5)
    assert signature.assumed == (
        "dimension 'seq' of input 'ids' is taken as 5; choose it with --set seq=SIZE",
    )
    _, samples = load_samples([IDS], rng=np.random.default_rng(0), sizes={"seq": 3})
    assert samples.arrays["ids"].shape == (512, 3)


def test_one_sample_serves_any_number_of_others() -> None:
    """A sampling rate is given once."""
    samples = _load([VECTOR, RATE], {"x": np.ones((4, 5)), "rate": np.array(16_000)})
    assert samples.arrays["rate"].tolist() == [16_000] * 4
    assert samples.notes == (
        "data['rate'] is taken as one sample of input 'rate'",
        "the one sample of data['rate'] serves all samples",
    )


def test_numbers_that_index_a_table_stay_below_its_rows() -> None:
    """The model would fail at run time, with a worse message."""
    ids = np.array([[3, 9]])
    assert _load(IDS, ids, integer_limits={"ids": 10}).arrays["ids"].tolist() == [[3, 9]]
    _refuse(
        "the array holds 9, but input 'ids' indexes a table of 9 rows; give numbers below that",
        IDS,
        ids,
        integer_limits={"ids": 9},
    )


def test_drawn_integers_stay_below_their_limit_or_are_constant() -> None:
    """As the caller says."""
    assert _load(IDS, integer_limits={"ids": 100}).arrays["ids"].max() == 99
    assert _load(IDS, fill_with="zeros").arrays["ids"].max() == 0


def test_text_is_fed_as_text() -> None:
    """From numpy's fixed-width unicode."""
    kind = TensorType("text", "string", ("N", 1))
    samples = _load(kind, np.array([["a"], ["bc"]]))
    assert samples.arrays["text"].tolist() == [["a"], ["bc"]]
    assert samples.arrays["text"].dtype == object


def test_a_model_without_inputs_has_one_sample() -> None:
    """Of nothing: its tensors are constant."""
    samples = _load([])
    assert (samples.count, dict(samples.arrays)) == (1, {})
    assert samples.notes == ("the model takes no input, so every tensor of it is constant",)


def test_the_users_arrays_are_left_alone() -> None:
    """Neither read late nor written to."""
    values = np.ones((4, 5), np.float32)
    samples = _load(VECTOR, values)
    values[...] = 7
    assert samples.arrays["x"].max() == 1


def test_blocks_of_any_size_give_the_same_samples(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Memory is bounded, results are not touched by it."""
    np.savez_compressed(tmp_path / "a.npz", images=PIXELS)
    vectors = np.random.default_rng(0).standard_normal((9, 5))
    whole = _load(X, tmp_path / "a.npz").digest, _load(VECTOR, vectors).digest
    monkeypatch.setattr("onnxprobe.inputs.picture_intake._BLOCK_BYTES", 1)
    monkeypatch.setattr("onnxprobe.inputs.number_intake._BLOCK_BYTES", 1)
    monkeypatch.setattr("onnxprobe.inputs.archives._CHUNK_BYTES", 100)
    assert (_load(X, tmp_path / "a.npz").digest, _load(VECTOR, vectors).digest) == whole
