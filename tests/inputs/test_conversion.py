from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.errors import DataError
from onnxprobe.inputs.conversion import Defects, convert
from onnxprobe.types import Array

INTEGERS = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))]


@given(st.integers(-(2**63), 2**64 - 1), st.sampled_from(INTEGERS), st.sampled_from(INTEGERS[1:]))
def test_an_integer_is_converted_if_and_only_if_it_survives(
    value: int, given_type: str, wanted: str
) -> None:
    """Checked against Python's own integers."""
    kind = np.dtype(given_type)
    low, high = (0, 1) if kind.kind == "b" else (np.iinfo(kind).min, np.iinfo(kind).max)
    value = min(max(value, int(low)), int(high))
    array = np.array([value], kind)
    bounds = np.iinfo(wanted)
    if bounds.min <= value <= bounds.max:
        assert int(convert(array, np.dtype(wanted), "a.npy", "x")[0]) == value
    else:
        message = (
            f"a.npy holds {value}, which input 'x' of type {wanted} cannot take; "
            f"give values that fit {wanted}"
        )
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            convert(array, np.dtype(wanted), "a.npy", "x")


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["float16", "float32", "float64"]))
def test_an_integer_becomes_a_float_if_and_only_if_it_survives(value: int, wanted: str) -> None:
    """Checked through Python's exact comparison of float and int."""
    with np.errstate(over="ignore"):
        survives = float(np.array([value]).astype(wanted)[0]) == value
    try:
        converted = convert(np.array([value]), np.dtype(wanted), "a.npy", "x")
    except DataError:
        assert not survives
    else:
        assert survives
        assert float(converted[0]) == value


@pytest.mark.parametrize(("value", "wanted"), [(2**63 - 1, "float32"), (2**24 + 1, "float32")])
def test_integers_that_a_float_would_round_are_refused(value: int, wanted: str) -> None:
    """Ids must stay what they are."""
    with pytest.raises(DataError, match=r"^a holds \d+, which input 'x' of type float32 cannot"):
        convert(np.array([value]), np.dtype(wanted), "a", "x")


def test_floats_may_lose_digits_but_not_their_magnitude() -> None:
    """float64 data for a float32 model is the normal case."""
    assert convert(np.array([0.1]), np.dtype("float32"), "a", "x").dtype == np.float32
    message = "a holds 1e+300, which input 'x' of type float32 cannot take; give values that fit"
    with pytest.raises(DataError, match=f"^{re.escape(message)} float32$"):
        convert(np.array([1e300]), np.dtype("float32"), "a", "x")


def test_what_fits_already_is_not_copied() -> None:
    """Nothing is done twice."""
    array = np.zeros(3, np.float32)
    assert convert(array, np.dtype("float32"), "a", "x") is array


def test_text_becomes_objects() -> None:
    """As ONNX Runtime takes it."""
    converted = convert(np.array(["a", "bc"]), np.dtype(object), "a", "x")
    assert converted.tolist() == ["a", "bc"]
    assert converted.dtype == object


@pytest.mark.parametrize(
    ("array", "wanted", "message"),
    [
        (
            np.zeros(2),
            "int64",
            "a.npy holds float64, but input 'x' takes int64; give data of type int64",
        ),
        (
            np.zeros(2, np.float32),
            "bool",
            "a.npy holds float32, but input 'x' takes bool; give data of type bool",
        ),
        (
            np.zeros(2),
            "object",
            "a.npy holds float64, but input 'x' takes text; give data of type text",
        ),
        (
            np.array(["a"]),
            "int64",
            "a.npy holds text, but input 'x' takes int64; give data of type int64",
        ),
        (
            np.array([0, 2]),
            "bool",
            ("a.npy holds 2, which input 'x' of type bool cannot take; give values that fit bool"),
        ),
    ],
)
def test_other_kinds_of_data_are_refused(array: Array, wanted: str, message: str) -> None:
    """The message says which type would do."""
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        convert(array, np.dtype(wanted), "a.npy", "x")


def test_defects_are_counted_and_the_first_is_named() -> None:
    """By its position in the user's data, over all blocks."""
    values = np.zeros((2, 2, 3))
    values[1, 0, 2] = np.nan
    values[1, 1, 0] = -np.inf
    defects = Defects("a.npy")
    defects.look(np.zeros((2, 2, 3)), np.array([0, 5]))
    defects.look(values, np.array([10, 15]))
    defects.look(np.full((1, 2, 3), np.nan), np.array([20]))
    message = (
        "a.npy holds 8 values that are NaN or infinite, the first in sample 15 at (0, 2); "
        "repair such samples or leave them out"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        defects.refuse()


def test_a_single_defect_of_scalar_samples_needs_no_place() -> None:
    """The sample is the place."""
    defects = Defects("a.npy")
    defects.look(np.array([0.0, np.nan]), np.array([0, 1]))
    message = (
        "a.npy holds 1 value that is NaN or infinite, the first in sample 1; "
        "repair such samples or leave them out"
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        defects.refuse()


def test_sound_data_and_integers_pass() -> None:
    """Nothing to refuse."""
    defects = Defects("a.npy")
    defects.look(np.zeros((2, 2)), np.arange(2))
    defects.look(np.zeros((2, 2), np.int64), np.arange(2))
    defects.refuse()
    assert defects.count == 0
