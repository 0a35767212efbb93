from __future__ import annotations

import re

import numpy as np
import pytest

from onnxprobe.errors import DataError
from onnxprobe.inputs import (
    FILLS,
    Fill,
    ImageOptions,
    Slot,
    draw_samples,
    picture_moments,
    picture_slots,
)
from onnxprobe.types import Array

PLAIN = ImageOptions()
PICTURE = (
    "noise with the power spectrum of photographs, mean 0.5 and deviation 0.25 of the pixel range"
)


def _slot(name: str, dtype: str, *shape: int, axis: int | None = 0) -> Slot:
    return Slot(name, np.dtype(dtype), shape, axis)


def _draw(
    slot: Slot,
    count: int = 4,
    options: ImageOptions = PLAIN,
    limits: dict[str, int] | None = None,
    fill_with: Fill = "drawn",
) -> tuple[Array, str]:
    arrays, notes = draw_samples(
        [slot], count, np.random.default_rng(0), options, limits or {}, fill_with
    )
    (note,) = notes
    prefix, sentence = note.split(": ", 1)
    assert prefix == f"drawn for input {slot.name!r}"
    return arrays[slot.name], sentence


def test_pictures_have_mean_a_half_and_deviation_a_quarter() -> None:
    """Of the range 0..1, to which pixels are scaled by default."""
    array, sentence = _draw(_slot("x", "float32", 3, 32, 32), 2_000)
    assert sentence == PICTURE
    assert array.dtype == np.float32
    assert array.mean() == pytest.approx(0.5, abs=0.02)
    assert array.std() == pytest.approx(0.25, abs=0.02)


def test_pictures_are_normalised_as_the_users_would_be() -> None:
    """Scale, means and deviations apply to drawn pixels of 0..255."""
    slot = _slot("x", "float32", 3, 16, 16)
    options = ImageOptions(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))
    plain, _ = _draw(slot)
    normalised, _ = _draw(slot, options=options)
    mean, std = (np.array(numbers)[:, None, None] for numbers in (options.mean, options.std))
    np.testing.assert_allclose(normalised, (plain - mean) / std, rtol=1e-4, atol=1e-5)
    raw, _ = _draw(slot, options=ImageOptions(scale=1.0))
    np.testing.assert_allclose(raw, plain * 255, rtol=1e-5, atol=1e-3)


def test_channels_last_have_their_pictures_too() -> None:
    """Neighbours in rows and columns are alike; channels as well."""
    array, sentence = _draw(_slot("x", "float32", 16, 16, 3), 200)
    assert sentence == PICTURE
    assert np.corrcoef(array[:, 4, 4, 0], array[:, 4, 5, 0])[0, 1] > 0.5
    assert np.corrcoef(array[:, 4, 4, 0], array[:, 4, 4, 1])[0, 1] > 0.8


def test_bytes_shaped_like_pictures_are_pixels() -> None:
    """Rounded and clipped to 0..255."""
    array, sentence = _draw(_slot("x", "uint8", 16, 16, 3), 500)
    assert sentence == PICTURE
    assert (array.min(), array.max()) == (0, 255)
    assert array.mean() == pytest.approx(127.5, abs=6)


def test_bytes_cannot_be_normalised() -> None:
    """As with the user's own pictures."""
    message = "input 'x' takes uint8 pixels as they are; leave out --scale, --mean and --std"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        _draw(_slot("x", "uint8", 16, 16, 3), options=ImageOptions(mean=(0.5,)))


@pytest.mark.parametrize(
    "slot",
    [
        _slot("x", "float32", 100),
        _slot("x", "float64", 28, 28),
        _slot("x", "float16", 1, 1, 5),
        _slot("x", "float32", 784),
    ],
)
def test_other_floats_are_standard_normal(slot: Slot) -> None:
    """A matrix may be anything; only a channel axis makes pictures."""
    array, sentence = _draw(slot, 2_000)
    assert sentence == "standard normal numbers"
    assert array.dtype == slot.dtype
    assert float(array.astype(np.float64).std()) == pytest.approx(1.0, abs=0.05)


def test_flat_inputs_hold_pictures_on_the_users_word() -> None:
    """Square ones, neighbours in the same row alike."""
    array, sentence = _draw(_slot("x", "float32", 784), 300, ImageOptions(layout="flat"))
    assert sentence == PICTURE
    assert np.corrcoef(array[:, 100], array[:, 101])[0, 1] > 0.5


@pytest.mark.parametrize(("limits", "limit"), [({"ids": 50}, 50), ({}, 2), ({"ids": 10**9}, 128)])
def test_integers_stay_below_their_limit(limits: dict[str, int], limit: int) -> None:
    """The rows of the table they index, two values if unknown, never beyond their type."""
    dtype = "int8" if limit == 128 else "int64"
    array, sentence = _draw(_slot("ids", dtype, 40), 500, limits=limits)
    shown = min(limit, 127)
    assert sentence == f"uniform integers from 0 to {shown - 1}"
    assert (array.min(), array.max()) == (0, shown - 1)


@pytest.mark.parametrize(("fill_with", "value"), [("zeros", 0), ("ones", 1)])
def test_integers_may_be_constant_instead(fill_with: Fill, value: int) -> None:
    """For a model that refuses the first draw."""
    assert fill_with in FILLS
    array, sentence = _draw(_slot("ids", "int32", 5), fill_with=fill_with)
    assert sentence == fill_with
    assert (array == value).all()
    floats, _ = _draw(_slot("x", "float32", 5), fill_with=fill_with)
    assert floats.std() > 0


@pytest.mark.parametrize(
    ("slot", "value", "sentence"),
    [
        (_slot("attention_mask", "int64", 7), 1, "ones, as a mask that hides nothing"),
        (_slot("Mask", "float32", 3, 8, 8), 1, "ones, as a mask that hides nothing"),
        (_slot("flag", "bool", 2), True, "true"),
        (_slot("mask", "bool", 2), True, "true"),
        (_slot("text", "object", 2), "", "empty text"),
    ],
)
def test_masks_hide_nothing_booleans_are_true_text_is_empty(
    slot: Slot, value: object, sentence: str
) -> None:
    """Values that let most models run."""
    array, said = _draw(slot)
    assert said == sentence
    assert array.dtype == slot.dtype
    assert array.shape == (4, *slot.shape)
    assert (array == value).all()


def test_a_single_number_without_a_batch_axis_is_a_setting() -> None:
    """Such as a length penalty of a beam search, beside inputs that batch."""
    slots = [_slot("x", "float32", 5), _slot("penalty", "float32", 1, axis=None)]
    arrays, notes = draw_samples(slots, 3, np.random.default_rng(0), PLAIN, {})
    assert arrays["penalty"].tolist() == [[1.0]] * 3
    assert notes[1] == (
        "drawn for input 'penalty': 1, as a setting that changes nothing, the same for all samples"
    )


def test_what_cannot_be_batched_is_drawn_once_beside_what_can() -> None:
    """A batch holds one sampling rate or weight: all samples share it, without a copy."""
    slots = [
        _slot("x", "float32", 5),
        _slot("w", "float32", 6, 6, axis=None),
        _slot("v", "float32", 2, axis=None),
    ]
    arrays, notes = draw_samples(slots, 3, np.random.default_rng(0), PLAIN, {})
    assert arrays["w"].shape == (3, 6, 6)
    assert arrays["w"].strides[0] == 0
    assert arrays["x"].std(axis=0).min() > 0
    assert notes == (
        "drawn for input 'x': standard normal numbers",
        "drawn for inputs 'w', 'v': standard normal numbers, the same for all samples",
    )


def test_where_nothing_can_be_batched_samples_differ() -> None:
    """They run one by one anyway."""
    arrays, _ = draw_samples(
        [_slot("x", "float32", 4, 3, axis=None)], 3, np.random.default_rng(0), PLAIN, {}
    )
    assert arrays["x"].std(axis=0).min() > 0


def test_the_first_samples_do_not_depend_on_how_many_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A trial run on one sample sees the first of those that are measured, for each input."""
    slots = [
        _slot("x", "float32", 3, 8, 8),
        _slot("y", "float32", 5),
        _slot("ids", "int64", 6),
    ]
    many, _ = draw_samples(slots, 50, np.random.default_rng(3), PLAIN, {"ids": 9})
    one, _ = draw_samples(slots, 1, np.random.default_rng(3), PLAIN, {"ids": 9})
    monkeypatch.setattr("onnxprobe.inputs.synthetic._BLOCK_BYTES", 1)
    blocks, _ = draw_samples(slots, 50, np.random.default_rng(3), PLAIN, {"ids": 9})
    for name, array in many.items():
        np.testing.assert_array_equal(array[:1], one[name])
        np.testing.assert_array_equal(array, blocks[name])


def test_no_inputs_need_no_samples() -> None:
    """And no sentence."""
    assert draw_samples([], 5, np.random.default_rng(0), PLAIN, {}) == ({}, ())


def test_the_inputs_that_get_pictures_are_known() -> None:
    """Floats and bytes with a channel axis."""
    slots = [
        _slot("a", "float32", 3, 8, 8),
        _slot("b", "uint8", 8, 8, 3),
        _slot("c", "int64", 3, 8, 8),
        _slot("d", "float32", 8, 8),
    ]
    assert [slot.name for slot in picture_slots(slots, PLAIN)] == ["a", "b"]


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("float32", ImageOptions(mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))),
        ("float32", PLAIN),
        ("uint8", PLAIN),
    ],
)
def test_the_moments_of_pictures_are_those_of_what_is_drawn(
    dtype: str, options: ImageOptions
) -> None:
    """Compared with 2,000 samples; bytes are clipped, so their deviation is a little smaller."""
    slot = _slot("x", dtype, 3, 16, 16)
    moments = picture_moments(slot, options)
    assert moments is not None
    geometry, mean, deviation = moments
    array, _ = _draw(slot, 2_000, options)
    assert geometry.shape == (3, 16, 16)
    pixels = array.astype(np.float64).transpose(1, 0, 2, 3).reshape(3, -1)
    np.testing.assert_allclose(pixels.mean(axis=1), mean, atol=0.05 * deviation.max())
    np.testing.assert_allclose(pixels.std(axis=1), deviation, rtol=0.07)


def test_pixels_lie_around_a_half_by_a_quarter_unless_the_user_scales_them() -> None:
    """Exactly, for a prior over what is drawn."""
    moments = picture_moments(_slot("x", "float32", 3, 16, 16), PLAIN)
    assert moments is not None
    np.testing.assert_allclose(moments[1:], [[0.5] * 3, [0.25] * 3], rtol=1e-12)


def test_inputs_without_pictures_have_no_moments() -> None:
    """Whoever asks falls back to another prior."""
    assert picture_moments(_slot("x", "float32", 8), PLAIN) is None
