from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from onnxprobe.spectrum import (
    Spectrum,
    effective_rank,
    energy_rank,
    participation_ratio,
    stable_rank,
)

MEASURES: list[Callable[[Spectrum], float]] = [
    effective_rank,
    participation_ratio,
    stable_rank,
    lambda spectrum: energy_rank(spectrum, 1.0),
]


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("k", [1, 2, 7, 100])
def test_k_equal_directions_count_k(measure: Callable[[Spectrum], float], k: int) -> None:
    assert measure(Spectrum.of([0.3] * k + [0.0] * 5)) == pytest.approx(k, rel=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("values", [[], [0.0], [0.0, 0.0, 0.0]])
def test_nothing_counts_zero(measure: Callable[[Spectrum], float], values: list[float]) -> None:
    assert measure(Spectrum.of(values)) == 0.0


@pytest.mark.parametrize("measure", MEASURES)
def test_a_spectrum_below_its_floor_counts_zero(measure: Callable[[Spectrum], float]) -> None:
    assert measure(Spectrum.of([1.0, 0.5], floor=1.0)) == 0.0


@pytest.mark.parametrize("measure", MEASURES)
def test_only_resolved_values_count(measure: Callable[[Spectrum], float]) -> None:
    noisy = Spectrum.of([3.0, 2.0, 0.9, 0.8, 0.7], floor=1.0)
    assert measure(noisy) == measure(Spectrum.of([3.0, 2.0]))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("scale", [1e-300, 5e-324, 1e-9, 1e9, 1e300])
def test_scale_does_not_count(measure: Callable[[Spectrum], float], scale: float) -> None:
    assert measure(Spectrum.of([scale, scale])) == pytest.approx(2.0, rel=1e-12)


def test_the_energy_is_the_square_of_the_value() -> None:
    """σ = (2, 1) carries energies 4 : 1."""
    spectrum = Spectrum.of([2.0, 1.0])
    assert effective_rank(spectrum) == pytest.approx(0.8**-0.8 * 0.2**-0.2, rel=1e-12)
    assert participation_ratio(spectrum) == pytest.approx(25 / 17, rel=1e-12)
    assert stable_rank(spectrum) == pytest.approx(5 / 4, rel=1e-12)
    assert energy_rank(spectrum, 0.8) == 1
    assert energy_rank(spectrum, 0.81) == 2


def test_the_counts_are_ordered_as_theory_says() -> None:
    """Rényi entropies fall with their order: stable ∞, participation 2, effective 1."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        spectrum = Spectrum.of(rng.uniform(0, 1, 20) ** rng.uniform(0.1, 5))
        orders = [stable_rank(spectrum), participation_ratio(spectrum), effective_rank(spectrum)]
        assert 1 <= orders[0] <= orders[1] <= orders[2] <= 20


def test_an_underflowing_share_counts_nothing() -> None:
    assert effective_rank(Spectrum.of([1.0, 1e-200])) == 1.0


def test_energy_rank_takes_the_smallest_number_even_at_an_exact_share() -> None:
    assert energy_rank(Spectrum.of([1.0] * 20), 0.95) == 19
    assert energy_rank(Spectrum.of([0.1] * 100), 0.99) == 99
    assert energy_rank(Spectrum.of([3.0, 1.0]), 0.9) == 1
    # 7/8 of the energy: without an allowance, rounding of the root asks for a third direction.
    assert energy_rank(Spectrum.of(np.sqrt([14, 14, 3, 1])), 0.875) == 2


@pytest.mark.parametrize("wrong", [0.0, -1.0, 1.1, np.nan])
def test_a_share_outside_its_range_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="a share of the energy lies above 0 and is at most 1"):
        energy_rank(Spectrum.of([1.0]), wrong)
