from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.spectrum import DEFAULT_TOLERANCE, TOLERANCES, Rank, Spectrum, numerical_rank


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_a_product_of_thin_matrices_has_the_rank_of_its_waist(tolerance: float) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((30, 4)) @ rng.standard_normal((4, 20))
    spectrum = Spectrum.of(np.linalg.svd(matrix, compute_uv=False))
    assert numerical_rank(spectrum, tolerance) == Rank(4, at_least=False, certified=True)


def test_a_value_at_the_tolerance_does_not_count() -> None:
    assert numerical_rank(Spectrum.of([1.0, 0.5, 0.25]), 0.25).value == 2


def test_the_default_tolerance_is_a_thousandth() -> None:
    assert DEFAULT_TOLERANCE == 1e-3
    assert numerical_rank(Spectrum.of([1.0, 2e-3, 5e-4])).value == 2


def test_a_floor_above_the_tolerance_makes_the_rank_at_least() -> None:
    spectrum = Spectrum.of([1.0, 0.1, 0.001], floor=0.01)
    assert numerical_rank(spectrum, 1e-4) == Rank(2, at_least=True, certified=True)
    assert numerical_rank(spectrum, 1e-1 / 2) == Rank(2, at_least=False, certified=True)


def test_a_floor_exactly_at_the_threshold_hides_nothing() -> None:
    assert not numerical_rank(Spectrum.of([1.0, 0.5], floor=0.25), 0.25).at_least


def test_a_zero_map_has_rank_zero_exactly() -> None:
    assert numerical_rank(Spectrum.of([0.0, 0.0])) == Rank(0, at_least=False, certified=True)
    assert numerical_rank(Spectrum.of([])) == Rank(0, at_least=False, certified=True)


def test_a_zero_map_seen_through_noise_has_rank_zero_at_least() -> None:
    assert numerical_rank(Spectrum.of([1e-9], floor=1e-8)) == Rank(0, at_least=True, certified=True)


def test_an_incomplete_spectrum_with_a_bound_gives_a_certified_lower_bound() -> None:
    spectrum = Spectrum.of([1.0, 0.01, 0.002], complete=False, bound=5.0)
    assert numerical_rank(spectrum, 1e-3) == Rank(2, at_least=True, certified=True)


def test_an_incomplete_spectrum_without_a_bound_is_marked_not_certified() -> None:
    spectrum = Spectrum.of([1.0, 0.01, 0.002], complete=False)
    assert numerical_rank(spectrum, 1e-3) == Rank(3, at_least=True, certified=False)


def test_a_bound_below_what_was_seen_is_not_used() -> None:
    spectrum = Spectrum.of([1.0, 0.01, 0.0005], complete=False, bound=0.1)
    assert numerical_rank(spectrum, 1e-3).value == 2


def test_a_complete_spectrum_ignores_its_bound() -> None:
    assert numerical_rank(Spectrum.of([1.0, 0.002], bound=100.0), 1e-3).value == 2


@pytest.mark.parametrize("seed", range(20))
def test_random_directions_never_count_more_than_there_are(seed: int) -> None:
    """With the true σ_1 as bound, the certified count stays below the true rank."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((25, 40)) * 10.0 ** rng.uniform(-5, 2, 40)
    truth = np.linalg.svd(matrix, compute_uv=False)
    directions = np.linalg.qr(rng.standard_normal((40, 8)))[0]
    seen = np.linalg.svd(matrix @ directions, compute_uv=False)
    spectrum = Spectrum.of(seen, complete=False, bound=float(truth[0]))
    for tolerance in TOLERANCES:
        true_rank = numerical_rank(Spectrum.of(truth), tolerance).value
        assert numerical_rank(spectrum, tolerance).value <= true_rank


def test_missing_a_dominant_direction_shows_why_the_flag_exists() -> None:
    """Without the dominant direction the rest looks large: the count exceeds the true rank."""
    truth = Spectrum.of([1e6, 1.0, 1.0, 1.0])
    seen = Spectrum.of([1.0, 1.0, 1.0], complete=False)
    assert numerical_rank(truth).value == 1
    assert numerical_rank(seen) == Rank(3, at_least=True, certified=False)


@pytest.mark.parametrize("wrong", [-0.1, 1.0, np.nan])
def test_a_tolerance_outside_its_range_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="a relative tolerance lies between 0 and 1, got"):
        numerical_rank(Spectrum.of([1.0]), wrong)
