from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.report.text import percent, printable, shape_text, shortened, significant


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b]0;owned\x07",
        "\x1b[2J",
        "a\rb",
        "a\nb",
        "nul\x00",
        "\x9b31m",
        "\u202egnp.exe",
        "zero\u200bwidth",
        "line\u2028separator",
        "\ud800",
        "private\ue000",
    ],
)
def test_nothing_that_a_terminal_obeys_is_left(hostile: str) -> None:
    safe = printable(hostile)
    unsafe = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert not any(unicodedata.category(character) in unsafe for character in safe)
    assert "\\" in safe


@given(st.text())
def test_ordinary_text_is_left_alone(text: str) -> None:
    letters = "".join(c for c in text if unicodedata.category(c)[0] in "LNPS" or c == " ")
    assert printable(letters) == letters


@given(st.text(min_size=1), st.integers(min_value=3, max_value=60))
def test_a_shortened_text_fits_and_keeps_its_ends(text: str, width: int) -> None:
    short = shortened(text, width)
    assert len(short) <= width
    if len(text) > width:
        assert short[0] == text[0]
        assert short[-1] == text[-1]
    else:
        assert short == text


def test_shapes_leave_the_batch_axis_out() -> None:
    assert shape_text([1, 16, 8, 8], 0) == "16×8×8"
    assert shape_text([2, 1, 128], 1) == "2×128"
    assert shape_text([1, 5], None) == "1×5"
    assert shape_text([1], 0) == "scalar"
    assert shape_text([4, 7], 0) == "4×7", "rows folded into an axis of 4 are not a batch of 1"


def test_numbers_keep_three_digits() -> None:
    assert [significant(each) for each in (0.0, 3.14159, 64.0, 1210.4, 2.5e-7, 99.96)] == [
        "0",
        "3.14",
        "64",
        "1210",
        "2.5e-07",
        "100",
    ]


def test_shares_are_whole_percent_and_never_round_to_nothing_or_everything() -> None:
    assert percent(0.37, 0.62) == "37–62%"
    assert percent(0.841, 0.842) == "84%"
    assert percent(0.0, 0.0) == "0%"
    assert percent(0.0001, 0.0002) == "<1%"
    assert percent(0.9999, 0.99995) == ">99%"
    assert percent(1.0, 1.0) == "100%"
