from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import Spectrum


def test_values_are_sorted_and_weights_follow_them() -> None:
    spectrum = Spectrum.of([1.0, 3.0, 2.0], weights=[0.1, 0.3, 0.2])
    assert spectrum.values.tolist() == [3.0, 2.0, 1.0]
    assert spectrum.weights is not None
    assert spectrum.weights.tolist() == [0.3, 0.2, 0.1]


def test_the_arrays_given_are_copied_and_those_kept_cannot_be_written() -> None:
    given = np.array([1.0, 2.0])
    shares = np.array([0.5, 0.5])
    spectrum = Spectrum.of(given, weights=shares)
    given[0] = shares[0] = 9.0
    assert spectrum.values.tolist() == [2.0, 1.0]
    assert spectrum.weights is not None
    assert spectrum.weights.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        spectrum.values[0] = 0.0
    with pytest.raises(ValueError, match="read-only"):
        spectrum.weights[0] = 0.0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="singular values must be finite, but 1 of 2 are not"):
        Spectrum.of([1.0, wrong])


def test_a_negative_value_is_refused() -> None:
    with pytest.raises(
        ValueError, match="singular values must not be negative, but the least is -2"
    ):
        Spectrum.of([1.0, -2.0])


def test_unsorted_values_are_refused_by_the_constructor() -> None:
    with pytest.raises(ValueError, match=r"must be descending; Spectrum\.of sorts them"):
        Spectrum(np.array([1.0, 2.0]))


def test_weights_of_another_length_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"weights must have axes \(r\), r=2, got shape \(1,\)"):
        Spectrum.of([1.0, 2.0], weights=[1.0])


def test_weights_beyond_one_variance_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shares of one variance, but their sum is 1\.2"):
        Spectrum.of([1.0, 2.0], weights=[0.6, 0.6])


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="weights must not be negative"):
        Spectrum.of([1.0, 2.0], weights=[-0.1, 0.6])


def test_rounding_of_a_sum_of_weights_is_forgiven() -> None:
    Spectrum.of([1.0], weights=[1.0 + 1e-9])


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_a_floor_or_bound_that_is_no_magnitude_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="the floor must be finite and not negative"):
        Spectrum.of([1.0], floor=wrong)
    with pytest.raises(ValueError, match="the bound must be finite and not negative"):
        Spectrum.of([1.0], complete=False, bound=wrong)
    with pytest.raises(ValueError, match="the error must be finite and not negative"):
        Spectrum.of([1.0], floor=1.0, error=wrong)
    with pytest.raises(ValueError, match="the hidden must be finite and not negative"):
        Spectrum.of([1.0], complete=False, hidden=wrong)


def test_an_error_above_the_floor_is_refused() -> None:
    with pytest.raises(ValueError, match=r"an error of its own lies below the floor, got 2\.0 and"):
        Spectrum.of([3.0], floor=1.0, error=2.0)


@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
def test_a_ceiling_that_is_no_share_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="the ceiling is a share between 0 and 1"):
        Spectrum.of([1.0], ceiling=wrong)


def test_a_value_at_the_floor_is_not_resolved() -> None:
    spectrum = Spectrum.of([3.0, 2.0, 1.0], floor=2.0)
    assert spectrum.resolved.tolist() == [3.0]
    assert spectrum.resolved_count == 1


def test_energy_is_the_squared_frobenius_norm_of_everything() -> None:
    matrix = np.random.default_rng(0).standard_normal((5, 7))
    spectrum = Spectrum.of(np.linalg.svd(matrix, compute_uv=False), floor=1.0)
    assert spectrum.energy == pytest.approx(np.square(matrix).sum(), rel=1e-12)


def test_energy_neither_overflows_with_a_warning_nor_vanishes_early() -> None:
    assert Spectrum.of([1e200, 1.0]).energy == np.inf
    assert Spectrum.of([1e-160, 1e-160]).energy == pytest.approx(2e-320, rel=1e-3)


@pytest.mark.parametrize("values", [[], [0.0, 0.0]])
def test_an_empty_or_zero_spectrum_has_no_energy_and_no_largest_value(values: list[float]) -> None:
    spectrum = Spectrum.of(values)
    assert spectrum.energy == 0.0
    assert spectrum.largest == 0.0
    assert spectrum.resolved.size == 0


def test_scaling_scales_everything_in_output_units_and_nothing_else() -> None:
    spectrum = Spectrum.of(
        [2.0, 1.0], weights=[0.5, 0.2], floor=0.5, complete=False, bound=4.0, ceiling=0.9
    )
    scaled = spectrum.scaled(-2.0)
    assert scaled.values.tolist() == [4.0, 2.0]
    assert (scaled.floor, scaled.bound, scaled.complete, scaled.ceiling) == (1.0, 8.0, False, 0.9)
    assert scaled.weights is spectrum.weights
    blurred = Spectrum.of([2.0], floor=0.5, complete=False, error=0.25, hidden=3.0).scaled(-2.0)
    assert (blurred.floor, blurred.error, blurred.hidden) == (1.0, 0.5, 6.0)
    assert spectrum.scaled(0.0).values.tolist() == [0.0, 0.0]
    assert Spectrum.of([1.0]).scaled(2.0).bound is None


def test_scaling_beyond_the_range_of_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="scaled by a finite number, got nan"):
        Spectrum.of([1.0]).scaled(np.nan)
    with pytest.raises(ValueError, match="singular values must be finite, but 1 of 1 are not"):
        Spectrum.of([1e300]).scaled(1e10)


@pytest.mark.parametrize("size", [0, 1, 2, 5, 63, 64, 65, 1000, 3072])
def test_a_decimated_curve_keeps_its_ends_and_its_values(size: int) -> None:
    spectrum = Spectrum.of(np.arange(size, dtype=float))
    indices, values = spectrum.decimated(64)
    assert len(indices) == len(values) <= 64
    assert values.tolist() == spectrum.values[indices].tolist()
    assert np.all(np.diff(indices) > 0)
    if size <= 64:
        assert indices.tolist() == list(range(size))
    else:
        assert (indices[0], indices[-1]) == (0, size - 1)


def test_a_decimated_curve_needs_two_ends() -> None:
    with pytest.raises(ValueError, match="its first and its last value, but the limit is 1"):
        Spectrum.of([1.0]).decimated(1)
