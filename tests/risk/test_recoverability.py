from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxprobe.risk import Range, bits, noise_for, recoverability, recoverable_dof
from onnxprobe.spectrum import Prior, Spectrum, gram, prior_spectrum, prior_spectrum_of_factor
from onnxprobe.types import Floats

SEEDS = st.integers(0, 2**32 - 1)


def _prior(n: int, rng: np.random.Generator) -> Prior:
    basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    variances = np.sort(rng.uniform(0.01, 1, n) ** 3)[::-1]
    return Prior("data", n, float(variances.sum()), basis, variances)


def _dense_rho(jacobian: Floats, prior: Prior, noise: float) -> float:
    """1 − tr(posterior)/tr(prior) with the posterior as the inverse of the summed information."""
    assert prior.directions is not None
    precision = prior.directions.T / prior.variances @ prior.directions
    posterior = np.linalg.inv(jacobian.T @ jacobian / noise**2 + precision)
    return 1 - float(np.trace(posterior)) / prior.trace


def _weighted(jacobian: Floats, prior: Prior, k: int | None = None, floor: float = 0.0) -> Spectrum:
    assert prior.directions is not None
    found = prior_spectrum_of_factor(prior.directions[:k] @ jacobian.T, prior, floor=floor)
    assert found is not None
    return found


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, m=st.integers(1, 12), n=st.integers(1, 9), log_noise=st.floats(-2, 2))
def test_rho_is_the_share_of_variance_that_the_posterior_loses(
    seed: int, m: int, n: int, log_noise: float
) -> None:
    rng = np.random.default_rng(seed)
    prior, jacobian, noise = _prior(n, rng), rng.standard_normal((m, n)), 10.0**log_noise
    found = recoverability(_weighted(jacobian, prior), noise)
    dense = _dense_rho(jacobian, prior, noise)
    assert found.certified
    assert found.low == pytest.approx(dense, rel=1e-6, abs=1e-9)
    assert found.high == pytest.approx(dense, rel=1e-5, abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, k=st.integers(0, 8), log_noise=st.floats(-2, 2))
def test_the_high_end_bounds_what_unseen_directions_add(
    seed: int, k: int, log_noise: float
) -> None:
    rng = np.random.default_rng(seed)
    prior, jacobian, noise = _prior(8, rng), rng.standard_normal((5, 8)), 10.0**log_noise
    found = recoverability(_weighted(jacobian, prior, k), noise)
    assert _dense_rho(jacobian, prior, noise) <= found.high + 1e-9
    assert found.low <= found.high
    assert found.certified == (k == 8)


@settings(max_examples=100, deadline=None)
@given(
    seed=SEEDS,
    log_error=st.floats(-4, 0),
    log_noise=st.floats(-3, 1),
    rank=st.integers(1, 6),
    m=st.integers(1, 9),
)
def test_the_high_end_bounds_what_any_error_below_the_floor_hides(
    seed: int, log_error: float, log_noise: float, rank: int, m: int
) -> None:
    """The truth is J; what was measured is J + E with ‖E‖ at the floor, by factor and by Gram."""
    rng = np.random.default_rng(seed)
    prior, noise = _prior(6, rng), 10.0**log_noise
    jacobian = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, 6))
    error = rng.standard_normal((m, 6))
    floor = 10.0**log_error
    measured = jacobian + error * floor / np.linalg.norm(error, 2)
    dense = _dense_rho(jacobian, prior, noise)
    assert dense <= recoverability(_weighted(measured, prior, floor=floor), noise).high + 1e-9
    assert prior.directions is not None
    by_gram = prior_spectrum(
        measured.T @ measured, prior, prior_in_directions=prior.directions, floor=floor
    )
    assert by_gram is not None
    assert dense <= recoverability(by_gram, noise).high + 1e-9


def test_adding_the_floor_only_to_unresolved_values_would_not_be_a_bound() -> None:
    """Why resolved values grow by their error too: 0.5 was measured, 0.9 is true."""
    truth = Spectrum.of([0.9], weights=[1.0])
    measured = Spectrum.of([0.5], weights=[1.0], floor=0.4)
    assert recoverability(measured, 0.5).low < recoverability(truth, 0.5).low
    assert recoverability(measured, 0.5).high >= recoverability(truth, 0.5).low


def test_the_high_end_is_close_where_the_floor_is_low() -> None:
    values = np.geomspace(1, 1e-3, 50)
    spectrum = Spectrum.of(values, weights=np.full(50, 0.02), floor=1e-6)
    found = recoverability(spectrum, 0.01)
    assert found.low < found.high < found.low + 1e-4


def test_what_was_seen_is_no_lower_bound_where_more_was_not_seen() -> None:
    """One output mixes a seen direction of large variance with an unseen one that drowns it."""
    prior = Prior("data", 2, 5.0, np.eye(2), np.array([4.0, 1.0]))
    jacobian = np.array([[1.0, 100.0]])
    seen = recoverability(_weighted(jacobian, prior, k=1), 0.01)
    truth = _dense_rho(jacobian, prior, 0.01)
    assert truth < 0.21 < 0.79 < seen.low
    assert not seen.certified
    assert truth <= seen.high


def test_the_ceiling_caps_the_high_end() -> None:
    spectrum = Spectrum.of([1.0], weights=[0.5], complete=False, ceiling=0.6)
    assert recoverability(spectrum, 1e-6).high == 0.6
    assert recoverability(spectrum, 1e6).high == pytest.approx(0.5)


def test_an_empty_spectrum_leaves_everything_open() -> None:
    assert recoverability(Spectrum.of([], weights=[], complete=False), 1.0) == Range(
        0.0, 1.0, False
    )


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, log_noise=st.floats(-3, 3), floor=st.sampled_from([0.0, 0.01, 1.0]))
def test_every_number_falls_as_the_noise_grows(seed: int, log_noise: float, floor: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(6)) * 0.9
    spectrum = Spectrum.of(rng.exponential(size=6), weights=weights, floor=floor)
    less, more = 10.0**log_noise, 10.0**log_noise * 1.1
    assert recoverability(spectrum, less).high >= recoverability(spectrum, more).high
    assert recoverability(spectrum, less).low >= recoverability(spectrum, more).low
    assert recoverable_dof(spectrum, less) >= recoverable_dof(spectrum, more)
    assert bits(spectrum, less) >= bits(spectrum, more)


def test_without_noise_the_degrees_of_freedom_become_the_rank() -> None:
    rng = np.random.default_rng(0)
    jacobian = rng.standard_normal((12, 4)) @ rng.standard_normal((4, 9))
    spectrum = Spectrum.of(np.linalg.svd(jacobian, compute_uv=False), floor=1e-9)
    assert recoverable_dof(spectrum, 1e-8) == pytest.approx(4, rel=1e-9)
    assert recoverable_dof(spectrum, 1e8) == pytest.approx(0, abs=1e-12)


def test_bits_are_the_capacity_of_parallel_gaussian_channels() -> None:
    rng = np.random.default_rng(0)
    jacobian = rng.standard_normal((5, 7))
    spectrum = Spectrum.of(np.linalg.svd(jacobian, compute_uv=False))
    covariance = np.eye(5) + jacobian @ jacobian.T / 0.3**2
    expected = np.linalg.slogdet(covariance)[1] / 2 / np.log(2)
    assert bits(spectrum, 0.3) == pytest.approx(expected, rel=1e-12)


def test_one_channel_at_a_signal_to_noise_ratio_of_fifteen_carries_two_bits() -> None:
    assert bits(Spectrum.of([np.sqrt(15)]), 1.0) == pytest.approx(2.0, rel=1e-12)


def test_unresolved_values_carry_nothing() -> None:
    noisy = Spectrum.of([3.0, 0.5, 0.4], floor=0.5)
    assert recoverable_dof(noisy, 1.0) == recoverable_dof(Spectrum.of([3.0]), 1.0)
    assert bits(noisy, 1.0) == bits(Spectrum.of([3.0]), 1.0)
    assert bits(Spectrum.of([]), 1.0) == recoverable_dof(Spectrum.of([]), 1.0) == 0.0


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, k=st.integers(1, 8), log_noise=st.floats(-2, 2))
def test_fewer_directions_never_show_more(seed: int, k: int, log_noise: float) -> None:
    rng = np.random.default_rng(seed)
    prior, jacobian, noise = _prior(8, rng), rng.standard_normal((5, 8)), 10.0**log_noise
    part, whole = _weighted(jacobian, prior, k), _weighted(jacobian, prior)
    assert recoverable_dof(part, noise) <= recoverable_dof(whole, noise) + 1e-6
    assert bits(part, noise) <= bits(whole, noise) + 1e-6


def test_extreme_numbers_neither_warn_nor_break() -> None:
    spectrum = Spectrum.of([1e300, 1.0, 1e-300, 0.0], weights=[0.25] * 4)
    for noise in (1e-300, 1.0, 1e300):
        found = recoverability(spectrum, noise)
        assert 0 <= found.low <= found.high <= 1
        assert 0 <= recoverable_dof(spectrum, noise) <= 3
        assert np.isfinite(bits(spectrum, noise))
    floored = Spectrum.of([1e300, 1.0], weights=[0.5] * 2, floor=1e-300)
    assert 0 <= recoverability(floored, 1e-300).high <= 1


@pytest.mark.parametrize("wrong", [0.0, -1.0, np.nan, np.inf])
def test_noise_that_is_none_is_refused(wrong: float) -> None:
    spectrum = Spectrum.of([1.0], weights=[1.0])
    for measure in (recoverability, recoverable_dof, bits):
        with pytest.raises(ValueError, match="noise must be finite and above 0, got"):
            measure(spectrum, wrong)


def test_a_spectrum_without_a_prior_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a weighted spectrum; attach a prior first"):
        recoverability(Spectrum.of([1.0]), 1.0)
    with pytest.raises(ValueError, match="needs a weighted spectrum; attach a prior first"):
        noise_for(Spectrum.of([1.0]), rms=1.0)


@settings(max_examples=100, deadline=None)
@given(
    seed=SEEDS,
    floor=st.sampled_from([0.0, 1e-6, 0.1, 10.0]),
    log_scale=st.floats(-9, 9),
    target=st.sampled_from([0.02, 0.05, 0.5, 0.99]),
)
def test_the_recommended_noise_is_enough_and_hardly_more(
    seed: int, floor: float, log_scale: float, target: float
) -> None:
    rng = np.random.default_rng(seed)
    scale = 10.0**log_scale
    values = rng.exponential(size=6) ** 3
    weights = rng.dirichlet(np.ones(6)) * (1 - rng.uniform(0, 0.05))
    spectrum = Spectrum.of(values * scale, weights=weights, floor=floor * scale)
    level = noise_for(spectrum, rms=2.0, target=target)
    unspanned = 1 - weights.sum()
    if level is None:
        assert unspanned >= target
        return
    assert recoverability(spectrum, level * 2.0).high <= target
    assert recoverability(spectrum, level * 2.0 * (1 - 1e-6)).high > target


def test_the_recommended_noise_of_one_direction_is_its_closed_form() -> None:
    spectrum = Spectrum.of([3.0], weights=[1.0])
    level = noise_for(spectrum, rms=1.5, target=0.05)
    assert level == pytest.approx(3.0 / 1.5 * np.sqrt(0.95 / 0.05), rel=1e-9)


def test_no_noise_is_needed_where_nothing_can_be_recovered() -> None:
    assert noise_for(Spectrum.of([0.0, 0.0], weights=[0.5, 0.5]), rms=1.0) == 0.0
    assert noise_for(Spectrum.of([1.0, 0.0], weights=[0.04, 0.96]), rms=1.0) == 0.0
    assert noise_for(Spectrum.of([1.0], weights=[1.0], ceiling=0.05), rms=0.0) == 0.0


def test_no_noise_is_enough_where_too_little_of_the_prior_was_spanned() -> None:
    spectrum = Spectrum.of([1.0], weights=[0.95], complete=False)
    assert noise_for(spectrum, rms=1.0, target=0.04) is None
    assert noise_for(spectrum, rms=1.0, target=0.05 - 1e-12) is None
    assert noise_for(spectrum, rms=1.0, target=0.06) is not None


@settings(max_examples=200, deadline=None)
@given(seed=SEEDS, share=st.sampled_from([1.0, 1 - 1e-16, 1 + 1e-16]))
def test_a_target_within_rounding_of_an_end_is_decided_at_once(seed: int, share: float) -> None:
    """Just the weight of what can be recovered, or just what was not spanned."""
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(7)) * 0.9
    values = np.append(rng.exponential(size=6), 0.0)
    spectrum = Spectrum.of(values, weights=weights)
    high = float(weights[:6].sum()) + 1 - float(weights.sum())
    for target in (high * share, (1 - float(weights.sum())) * share):
        level = noise_for(spectrum, rms=1.0, target=target)
        if level is not None and level > 0:
            assert recoverability(spectrum, level).high <= target


@pytest.mark.parametrize("scale", [5e-324, 1e-308, 1e-300, 1e300])
def test_values_at_the_edge_of_numbers_end_as_well(scale: float) -> None:
    spectrum = Spectrum.of([scale, 0.0], weights=[0.5, 0.5])
    level = noise_for(spectrum, rms=1.0, target=0.05)
    assert level is None or level == 0.0 or recoverability(spectrum, level).high <= 0.05


def test_a_tensor_of_zeros_has_no_unit_of_noise() -> None:
    assert noise_for(Spectrum.of([1.0], weights=[1.0]), rms=0.0) is None


def test_a_wide_spectrum_needs_many_steps_down() -> None:
    """The direction that decides is 1e-100 of the strongest."""
    spectrum = Spectrum.of([1.0, 1e-100], weights=[0.04, 0.96])
    level = noise_for(spectrum, rms=1.0, target=0.05)
    assert level == pytest.approx(1e-100 * np.sqrt(0.95 / 0.01), rel=1e-6)


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, np.nan])
def test_a_target_that_is_no_share_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="a target share lies between 0 and 1, got"):
        noise_for(Spectrum.of([1.0], weights=[1.0]), rms=1.0, target=wrong)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_a_root_mean_square_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="a root mean square is finite and not negative, got"):
        noise_for(Spectrum.of([1.0], weights=[1.0]), rms=wrong)


def test_rounding_to_floats_leaves_the_high_end_of_a_narrow_tensor_at_its_ceiling() -> None:
    """Ten logits at float32's rounding: the floor hides everything, the rank does not."""
    rng = np.random.default_rng(0)
    prior, jacobian = _prior(60, rng), rng.standard_normal((3, 60))
    found = recoverability(_weighted(jacobian, prior, floor=1e-4), 1e-8)
    assert found.high == pytest.approx(prior.variances[:3].sum() / prior.trace)
    assert gram(jacobian).shape == (3, 3)
