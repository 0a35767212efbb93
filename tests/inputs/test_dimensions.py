from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.errors import DataError
from onnxprobe.inputs.dimensions import bind, is_anonymous, set_dimensions
from onnxprobe.types import TensorType

IDS = TensorType("ids", "int64", ("batch", "seq"))
X = TensorType("x", "float32", (None, 3, "None", -1))


def test_nothing_set_leaves_symbols_and_keys_by_place() -> None:
    """Symbols stay, and what has none is named after its place."""
    assert set_dimensions([IDS, X], {}) == {
        "ids": ("batch", "seq"),
        "x": ("x[0]", 3, "x[2]", "x[3]"),
    }


def test_a_symbol_is_set_wherever_it_stands() -> None:
    """One setting reaches all inputs that share the symbol."""
    mask = TensorType("mask", "int64", ("batch", 1, "seq"))
    assert set_dimensions([IDS, mask], {"seq": 7}) == {
        "ids": ("batch", 7),
        "mask": ("batch", 1, 7),
    }


def test_a_place_reaches_named_and_nameless_dimensions() -> None:
    """``INPUT[AXIS]`` works for every open dimension."""
    assert set_dimensions([IDS, X], {"ids[1]": 7, "x[3]": 9}) == {
        "ids": ("batch", 7),
        "x": ("x[0]", 3, "x[2]", 9),
    }


def test_equal_spelling_of_no_name_is_not_equal_size() -> None:
    """WinML writes ``None`` as a symbol for batch, height and width alike."""
    shape = set_dimensions([TensorType("x", "float32", ("None", 3, "None", "?"))], {"x[2]": 5})
    assert shape == {"x": ("x[0]", 3, 5, "x[3]")}


def test_a_dimension_of_size_0_is_open() -> None:
    """Some exporters write 0 for what they do not know."""
    assert set_dimensions([TensorType("x", "float32", (0, 4))], {}) == {"x": ("x[0]", 4)}


def test_an_undeclared_rank_stays_unknown_and_a_scalar_is_none() -> None:
    """No shape and an empty shape are different things."""
    kinds = [TensorType("x", "float32", None), TensorType("rate", "int64", ())]
    assert set_dimensions(kinds, {}) == {"x": None, "rate": ()}


def test_a_size_that_the_model_has_already_may_be_set() -> None:
    """Saying what is so anyway is no mistake."""
    assert set_dimensions([X], {"x[1]": 3})["x"] == ("x[0]", 3, "x[2]", "x[3]")


@pytest.mark.parametrize(
    ("kinds", "sizes", "message"),
    [
        (
            [IDS, X],
            {"sequence": 4},
            (
                "--set names dimension 'sequence', which the model does not have; "
                "its open dimensions are 'batch', 'seq', 'x[0]', 'x[2]', 'x[3]'"
            ),
        ),
        (
            [TensorType("x", "float32", (1, 3))],
            {"n": 4},
            "--set names dimension 'n', but the model leaves no dimension open; leave --set n out",
        ),
        (
            [X],
            {"x[1]": 4},
            "--set gives dimension 'x[1]' the size 4, but the model has 3; leave one of them out",
        ),
        (
            [IDS],
            {"seq": 4, "ids[1]": 5},
            (
                "--set gives dimension 'ids[1]' the size 5, but another gives it 4; "
                "leave one of them out"
            ),
        ),
        ([IDS], {"seq": 0}, "--set gives dimension 'seq' the size 0; expected 1 or more"),
    ],
)
def test_sizes_that_mean_nothing_are_refused(
    kinds: list[TensorType], sizes: dict[str, int], message: str
) -> None:
    """The message says what was set, what there is, and what to do."""
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        set_dimensions(kinds, sizes)


def test_a_key_of_a_place_is_anonymous_and_a_symbol_is_not() -> None:
    """The two kinds of key can be told apart."""
    assert is_anonymous("x[0]")
    assert not is_anonymous("seq")
    assert not is_anonymous(4)


@given(st.lists(st.integers(1, 9), max_size=5))
def test_open_dimensions_take_the_sizes_they_meet(shape: list[int]) -> None:
    """Matching binds each key, and fixed sizes only to themselves."""
    keys = [f"d{axis}" for axis in range(len(shape))]
    assert bind(keys, shape) == dict(zip(keys, shape, strict=True))
    assert bind(shape, shape) == {}
    assert bind(shape, [*shape, 1]) is None


def test_one_symbol_takes_one_size_and_never_none() -> None:
    """A symbol has one size, which is positive."""
    assert bind(("n", "n"), (4, 4)) == {"n": 4}
    assert bind(("n", "n"), (4, 5)) is None
    assert bind(("n",), (0,)) is None
