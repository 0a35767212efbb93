from __future__ import annotations

import click
import pytest

from onnxprobe.cli import values


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4GB", 2**32), ("800M", 800 * 2**20), ("1.5k", 1536), ("123", 123), ("2 TiB", 2**41)],
)
def test_sizes_are_read(text: str, expected: int) -> None:
    assert values.size(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1", "4XB", "4 4"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no size; write 4GB, 800MB or a number"):
        values.size(text)


def test_directions_are_a_word_or_a_number() -> None:
    assert [values.directions(text) for text in ("auto", "all", "12")] == ["auto", "all", 12]
    for text in ("0", "-1", "many", "1.5"):
        with pytest.raises(click.BadParameter, match="is neither auto, all nor a number above 0"):
            values.directions(text)


def test_a_step_is_a_word_or_a_length() -> None:
    assert values.step("auto") == "auto"
    assert values.step("1e-3") == 1e-3
    for text in ("0", "-1", "inf", "1,2"):
        with pytest.raises(click.BadParameter, match="is neither auto nor a length above 0"):
            values.step(text)


def test_numbers_are_one_or_one_per_channel() -> None:
    assert values.numbers("0.5") == (0.5,)
    assert values.numbers("0.485,0.456,0.406") == (0.485, 0.456, 0.406)
    with pytest.raises(click.BadParameter, match="is no number, or numbers with commas between"):
        values.numbers("a,b")


def test_a_path_may_have_a_name_and_names_may_hold_an_equals_sign() -> None:
    assert values.named_path("data.npz") == (None, "data.npz")
    assert values.named_path("x=data.npz") == ("x", "data.npz")
    assert values.named_path("a=b=data.npz") == ("a=b", "data.npz")
    for text in ("=data.npz", "x=", ""):
        with pytest.raises(click.BadParameter, match="is neither PATH nor NAME=PATH"):
            values.named_path(text)


def test_a_setting_is_a_name_and_a_size() -> None:
    assert values.setting("x[2]=64") == ("x[2]", 64)
    for text in ("x", "x=", "=3", "x=a", "x=-1"):
        with pytest.raises(click.BadParameter, match="is no NAME=SIZE, such as sequence=128"):
            values.setting(text)
