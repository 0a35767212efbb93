"""Where rows lie: told by the layout, and found by running rows alone and together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.runtime import RowLayout, find_axis, has_same_values
from onnxprobe.types import Array
from tests.graph.messages import exactly

# Of `find_axis`, as it documents.
TOLERANCE = 1e-4
LARGEST = float(np.finfo(np.float64).max)
SMALLEST = float(np.finfo(np.float64).smallest_subnormal)


@st.composite
def layouts(draw: st.DrawFn) -> RowLayout:
    """Ranks 0 to 4, every axis and none, empty axes too."""
    shape = tuple(draw(st.lists(st.integers(0, 4), max_size=4)))
    axis = draw(st.none() | st.sampled_from(range(len(shape)))) if shape else None
    return RowLayout(shape, axis)


@st.composite
def layouts_with_rows(draw: st.DrawFn) -> tuple[RowLayout, Array]:
    """Rows that hold every number once."""
    layout = draw(layouts())
    count = 1 if layout.axis is None else draw(st.integers(0, 5))
    dtype = draw(st.sampled_from([np.float32, np.float16, np.int64, np.uint8, object]))
    return layout, np.arange(count * layout.size).reshape(count, layout.size).astype(dtype)


@given(layouts_with_rows())
def test_rows_that_are_packed_come_back(case: tuple[RowLayout, Array]) -> None:
    layout, rows = case
    packed = layout.pack(rows)
    assert packed.shape == layout.shape_of(len(rows))
    assert packed.flags.c_contiguous
    assert packed.dtype == rows.dtype
    back = layout.unpack(packed, len(rows))
    assert back.shape == rows.shape
    assert np.array_equal(back, rows)


@given(layouts_with_rows())
def test_each_row_takes_consecutive_places(case: tuple[RowLayout, Array]) -> None:
    """The slow oracle: rows of one sample's shape, laid one after the other along the axis."""
    layout, rows = case
    singles = [row.reshape(layout.shape) for row in rows]
    packed = layout.pack(rows)
    if layout.axis is None:
        assert np.array_equal(packed, singles[0])
    elif singles:
        assert np.array_equal(packed, np.concatenate(singles, axis=layout.axis))


@given(layouts_with_rows())
def test_rows_may_be_flat_or_shaped(case: tuple[RowLayout, Array]) -> None:
    layout, rows = case
    shaped = rows.reshape(len(rows), *layout.shape)
    assert np.array_equal(layout.pack(shaped), layout.pack(rows))


def test_rows_of_any_memory_order_are_packed() -> None:
    """Every second row, columns first."""
    rows = np.arange(24.0).reshape(6, 4)[::2]
    for layout in (RowLayout((2, 2), 0), RowLayout((2, 2), 1), RowLayout((1, 4), 0)):
        packed = layout.pack(np.asfortranarray(rows))
        assert packed.flags.c_contiguous
        assert np.array_equal(layout.unpack(packed, 3), rows)


@pytest.mark.parametrize(
    ("layout", "rows", "is_view"),
    [
        (RowLayout((2, 3), 0), 4, True),
        (RowLayout((2, 3), None), 1, True),
        (RowLayout((2, 3), 1), 4, False),
    ],
)
def test_rows_one_after_the_other_are_not_copied(
    layout: RowLayout, rows: int, is_view: bool
) -> None:
    array = np.zeros(layout.shape_of(rows))
    assert np.shares_memory(layout.unpack(array, rows), array) == is_view


@given(layouts())
def test_a_row_has_the_elements_of_one_sample(layout: RowLayout) -> None:
    assert layout.size == math.prod(layout.shape)
    assert layout.shape_of(1) == layout.shape


@pytest.mark.parametrize(
    ("layout", "rows", "shape"),
    [
        (RowLayout((1, 3), 0), 5, (5, 3)),
        (RowLayout((2, 3), 0), 5, (10, 3)),
        (RowLayout((2, 3), 1), 5, (2, 15)),
        (RowLayout((2, 3), 1), 0, (2, 0)),
        (RowLayout((), None), 1, ()),
    ],
)
def test_the_axis_of_rows_grows(layout: RowLayout, rows: int, shape: tuple[int, ...]) -> None:
    assert layout.shape_of(rows) == shape


@pytest.mark.parametrize("rows", [0, 2, 7])
def test_a_tensor_without_a_row_axis_holds_one_row(rows: int) -> None:
    layout = RowLayout((2, 3), None)
    message = exactly(f"a tensor without a row axis holds 1 row, not {rows}")
    with pytest.raises(ValueError, match=message):
        layout.shape_of(rows)
    with pytest.raises(ValueError, match=message):
        layout.pack(np.zeros((rows, 6)))


def _singles(shape: tuple[int, ...], rows: int = 3) -> tuple[Array, ...]:
    rng = np.random.default_rng(len(shape))
    return tuple(rng.normal(size=shape).astype(np.float32) for _ in range(rows))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1,), 0),
        ((3,), 0),
        ((1, 4), 0),
        ((3, 3), 0),
        ((3, 3), 1),
        ((2, 1, 3), 0),
        ((2, 1, 3), 1),
        ((2, 1, 3), 2),
        ((1, 2, 2, 2), 3),
    ],
)
def test_rows_are_found_along_any_axis(shape: tuple[int, ...], axis: int) -> None:
    """Whether a row takes one place of the axis or several."""
    singles = _singles(shape)
    together = np.concatenate(singles, axis=axis)
    assert find_axis(singles, together) == RowLayout(shape, axis)


@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float16, np.str_, object])
def test_rows_of_any_type_are_found(dtype: type) -> None:
    singles: tuple[Array, ...] = tuple((single > 0).astype(dtype) for single in _singles((2, 5)))
    assert find_axis(singles, np.concatenate(singles, axis=1)) == RowLayout((2, 5), 1)


def test_rows_that_influence_each_other_are_not_found() -> None:
    """As where a batch is normalised by its own mean; two of the three differ."""
    singles = _singles((1, 4))
    together = np.concatenate(singles)
    assert find_axis(singles, together - together.mean(axis=0)) is None
    influenced = together.copy()
    influenced[1:] += together[0]
    assert find_axis(singles, influenced) is None


def test_rows_in_another_order_are_not_found() -> None:
    """Joined along the last axis of a matrix whose elements lie interleaved."""
    singles = _singles((1, 4))
    assert find_axis(singles, np.concatenate(singles[::-1])) is None
    interleaved = np.stack(singles, axis=-1).reshape(1, 12)
    assert find_axis(singles, interleaved) is None


@pytest.mark.parametrize("shape", [(1, 4), (3, 5), (12,), (3, 1, 4), (2, 4), (1, 3, 4)])
def test_another_shape_is_not_found(shape: tuple[int, ...]) -> None:
    """Nor one that stays as it was, one more axis, or rows stacked along a new one."""
    singles = _singles((1, 4))
    assert find_axis(singles, np.resize(np.concatenate(singles), shape)) is None


def test_a_scalar_holds_no_rows() -> None:
    """Three scalars in a vector are another rank."""
    assert find_axis(_singles(()), np.array(1, np.float32)) is None
    assert find_axis(_singles(()), np.array(_singles(()))) is None


@pytest.mark.parametrize("row", [0, 2])
@pytest.mark.parametrize(("share", "is_found"), [(0.99, True), (1.01, False)])
@pytest.mark.parametrize("tolerance", [None, 1e-2])
def test_each_row_may_differ_by_the_tolerance(
    row: int, share: float, is_found: bool, tolerance: float | None
) -> None:
    """Relative to that row's own norm: the others are larger by far."""
    scale = [1e3, 1e3, 1e3]
    scale[row] = 1.0
    singles = tuple(
        factor * single.astype(np.float64)
        for factor, single in zip(scale, _singles((1, 6)), strict=True)
    )
    together = np.concatenate(singles)
    change = np.zeros(6)
    change[1] = share * (tolerance or TOLERANCE) * np.linalg.norm(singles[row])
    together[row] += change
    found = find_axis(singles, together, *([tolerance] if tolerance else []))
    assert found == (RowLayout((1, 6), 0) if is_found else None)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("tolerance", [0.0, 1e-3])
@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        pytest.param([1.0, 2.0], [1.0, 2.0], True, id="equal"),
        pytest.param([1.0, 2.0], [1.0, 2.1], False, id="other"),
        pytest.param([1.0, NAN], [1.0, NAN], True, id="nan"),
        pytest.param([1.0, NAN], [1.0, 2.0], False, id="nan and number"),
        pytest.param([1.0, 2.0], [1.0, NAN], False, id="number and nan"),
        pytest.param([NAN, 1.0], [1.0, NAN], False, id="nan elsewhere"),
        pytest.param([NAN, 1.0], [INF, 1.0], False, id="nan and infinity"),
        pytest.param([INF, -INF], [INF, -INF], True, id="infinities"),
        pytest.param([INF, 1.0], [-INF, 1.0], False, id="other infinity"),
        pytest.param([INF, 1.0], [INF, 2.0], False, id="other beside infinity"),
        pytest.param([INF, 1.0], [LARGEST, 1.0], False, id="infinity and largest"),
        pytest.param([LARGEST, -LARGEST], [LARGEST, -LARGEST], True, id="largest"),
        pytest.param([LARGEST, -LARGEST], [LARGEST, LARGEST], False, id="largest, other sign"),
        pytest.param([LARGEST, 0.0], [0.9 * LARGEST, 0.0], False, id="largest, other"),
        pytest.param([1.0, 2.0], [1.0, LARGEST], False, id="one becomes largest"),
        pytest.param([SMALLEST], [SMALLEST], True, id="smallest"),
        pytest.param([SMALLEST], [1.0], False, id="smallest and one"),
        pytest.param([SMALLEST], [LARGEST], False, id="smallest and largest"),
        pytest.param([0.0, 0.0], [0.0, -0.0], True, id="zeros"),
        pytest.param([0.0, 0.0], [0.0, 1e-30], False, id="zeros and a number"),
        pytest.param([0.0, 0.0], [0.0, LARGEST], False, id="zeros and largest"),
        pytest.param([0.0, NAN], [0.0, NAN], True, id="zero and nan"),
        pytest.param([], [], True, id="nothing"),
        pytest.param([], [1.0], False, id="nothing and a number"),
        pytest.param([1.0], [[1.0, 1.0]], False, id="another shape"),
        pytest.param([1, 2], [1, 2], True, id="integers"),
        pytest.param([1, 2], [1, 3], False, id="other integers"),
        pytest.param([2**63 - 1, 0], [-(2**63), 0], False, id="largest integers"),
        pytest.param([True, False], [True, False], True, id="truth"),
        pytest.param([True, False], [True, True], False, id="other truth"),
        pytest.param(["a", "b"], ["a", "b"], True, id="text"),
        pytest.param(["a", "b"], ["a", "c"], False, id="other text"),
        pytest.param([1 + 2j, NAN], [1 + 2j, NAN], True, id="complex"),
        pytest.param([1 + 2j], [1 + 3j], False, id="other complex"),
    ],
)  # fmt: skip
def test_same_values_are_told(
    first: list[object], second: list[object], is_same: bool, tolerance: float
) -> None:
    """With a tolerance and without; no number overflows on the way, or a warning would fail."""
    assert has_same_values(np.array(first), np.array(second), tolerance) == is_same
    if is_same:
        assert has_same_values(np.array(second), np.array(first), tolerance)


def test_texts_that_are_objects_are_compared() -> None:
    """So the runtime returns strings."""
    first, second = np.array(["a", "b"], object), np.array(["a", "c"], object)
    assert has_same_values(first, first.copy(), 1e-3)
    assert not has_same_values(first, second, 1e-3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.uint16])
def test_a_tolerance_is_of_the_norm(dtype: type) -> None:
    """Of the first array's: 3² + 4² = 5², 0.2 · 5 = 1."""
    first: Array = np.array([3, 4], dtype)
    second: Array = np.array([3, 5], dtype)
    assert has_same_values(first, second, 0.201)
    assert not has_same_values(first, second, 0.199)
    assert not has_same_values(first, second)
    # The second's norm is √34: 1 / √34 is 0.171.
    assert has_same_values(second, first, 0.172)
    assert not has_same_values(second, first, 0.171)


def test_integers_beyond_float64_are_exact_without_a_tolerance() -> None:
    first, second = np.array([2**53]), np.array([2**53 + 1])
    assert not has_same_values(first, second)
    assert has_same_values(first, second, 1e-6)


@pytest.mark.parametrize("scale", [LARGEST / 8, 1e-300, 1.0])
def test_a_tolerance_holds_at_every_scale(scale: float) -> None:
    """The squares of neither end are float64 numbers."""
    first, second = scale * np.array([3.0, 4.0]), scale * np.array([3.0, 5.0])
    assert has_same_values(first, second, 0.201)
    assert not has_same_values(first, second, 0.199)


def test_infinite_values_do_not_widen_the_tolerance() -> None:
    """The norm is of what is finite."""
    first, second = np.array([INF, 3.0, 4.0, NAN]), np.array([INF, 3.0, 5.0, NAN])
    assert has_same_values(first, second, 0.201)
    assert not has_same_values(first, second, 0.199)
