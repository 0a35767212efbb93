from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from onnxprobe.risk import (
    dfil,
    frobenius_interval,
    sigma_bound,
    unbiased_error_bound,
    van_trees_bound,
)
from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import Prior, Spectrum, isotropic_prior, prior_spectrum_of_factor
from onnxprobe.types import Floats

Attack = Callable[[Floats], Floats]


def _prior(n: int) -> Prior:
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((n, n)))[0]
    variances = np.geomspace(4, 0.05, n)
    return Prior("data", n, float(variances.sum()), basis, variances)


def _covariance(prior: Prior) -> Floats:
    assert prior.directions is not None
    return prior.directions.T * prior.variances @ prior.directions


def _spectrum(jacobian: Floats, prior: Prior, k: int | None = None) -> Spectrum:
    assert prior.directions is not None
    found = prior_spectrum_of_factor(prior.directions[:k] @ jacobian.T, prior)
    assert found is not None
    return found


@pytest.mark.parametrize("m", [2, 20])
@pytest.mark.parametrize("noise", [0.05, 1.0, 20.0])
def test_the_van_trees_bound_is_its_dense_formula(m: int, noise: float) -> None:
    """Three Jacobians, stacked and divided by √3, against tr((mean Fisher + Σ⁻¹)⁻¹)/n."""
    rng = np.random.default_rng(m)
    prior = _prior(7)
    jacobians = rng.standard_normal((3, m, 7))
    fisher = np.mean([j.T @ j for j in jacobians], axis=0) / noise**2
    dense = np.trace(np.linalg.inv(fisher + np.linalg.inv(_covariance(prior)))) / 7
    stacked = jacobians.reshape(3 * m, 7) / np.sqrt(3)
    found = van_trees_bound(_spectrum(stacked, prior), noise, prior)
    assert found == pytest.approx(dense, rel=1e-5)  # less by what float64 squares cannot resolve
    assert found <= dense * (1 + 1e-9)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_seen_through_part_of_the_prior_the_bound_is_lower(k: int) -> None:
    prior = _prior(7)
    jacobian = np.random.default_rng(0).standard_normal((4, 7))
    part = van_trees_bound(_spectrum(jacobian, prior, k), 0.5, prior)
    assert 0 <= part <= van_trees_bound(_spectrum(jacobian, prior), 0.5, prior)


def test_the_best_attack_on_a_linear_tensor_attains_the_van_trees_bound() -> None:
    """The posterior mean on 40,000 drawn inputs, to the 2 % that sampling leaves."""
    rng = np.random.default_rng(0)
    prior, noise = _prior(5), 0.4
    jacobian = rng.standard_normal((3, 5))
    covariance = _covariance(prior)
    x = rng.standard_normal((40_000, 5)) @ np.linalg.cholesky(covariance).T
    y = x @ jacobian.T + noise * rng.standard_normal((40_000, 3))
    innovation = jacobian @ covariance @ jacobian.T + noise**2 * np.eye(3)
    guess = y @ np.linalg.solve(innovation, jacobian @ covariance)
    error = np.square(guess - x).mean()
    assert error == pytest.approx(
        van_trees_bound(_spectrum(jacobian, prior), noise, prior), rel=0.02
    )


def _attacks(jacobian: Floats, covariance: Floats, noise: float) -> dict[str, Attack]:
    """Attackers who know the model: with right and wrong assumptions, linear and not."""

    def posterior(prior: Floats, assumed: float) -> Attack:
        outputs = jacobian @ prior @ jacobian.T + assumed**2 * np.eye(len(jacobian))
        gain = np.linalg.solve(outputs, jacobian @ prior)
        return lambda y: y @ gain

    rng = np.random.default_rng(5)
    known = rng.standard_normal((4000, len(covariance))) @ np.linalg.cholesky(covariance).T
    seen = known @ jacobian.T + noise * rng.standard_normal((4000, len(jacobian)))
    best = posterior(covariance, noise)

    def neighbours(y: Floats) -> Floats:
        nearness = y @ seen.T - np.square(seen).sum(axis=1) / 2
        guess: Floats = known[np.argpartition(-nearness, 20, axis=1)[:, :20]].mean(axis=1)
        return guess

    return {
        "posterior mean": best,
        "a prior ten times as wide": posterior(10 * covariance, noise),
        "a prior ten times as narrow": posterior(covariance / 10, noise),
        "an isotropic prior": posterior(np.eye(len(covariance)), noise),
        "three times the noise": posterior(covariance, 3 * noise),
        "least squares": lambda y: y @ np.linalg.pinv(jacobian).T,
        "the strongest direction": lambda y: y @ np.linalg.pinv(jacobian, rcond=0.9).T,
        "cut off at two deviations": lambda y: np.clip(best(y), -2, 2),
        "the mean": lambda y: np.zeros((len(y), len(covariance))),
        "twenty neighbours": neighbours,
    }


@pytest.mark.parametrize("m", [3, 8])
@pytest.mark.parametrize("noise", [0.05, 0.4, 3.0])
def test_no_attack_on_a_linear_tensor_beats_the_van_trees_bound(m: int, noise: float) -> None:
    """On 2,000 drawn inputs, to three standard errors of the mean squared error."""
    rng = np.random.default_rng(m)
    prior = _prior(5)
    jacobian, covariance = rng.standard_normal((m, 5)), _covariance(prior)
    x = rng.standard_normal((2000, 5)) @ np.linalg.cholesky(covariance).T
    y = x @ jacobian.T + noise * rng.standard_normal((2000, m))
    bound = van_trees_bound(_spectrum(jacobian, prior), noise, prior)
    for name, attack in _attacks(jacobian, covariance, noise).items():
        errors = np.square(attack(y) - x).mean(axis=1)
        doubt = 3 * float(errors.std()) / np.sqrt(len(errors))
        assert errors.mean() >= bound - doubt, name
        if name == "posterior mean":
            assert errors.mean() <= bound + doubt


def test_without_information_the_bound_is_the_prior_variance() -> None:
    prior = isotropic_prior(4, 0.25)
    spectrum = Spectrum.of([0.0] * 4, weights=[0.25] * 4)
    assert van_trees_bound(spectrum, 1.0, prior) == 0.25


def test_dfil_is_the_mean_diagonal_of_the_fisher_information() -> None:
    jacobian = np.random.default_rng(0).standard_normal((6, 4))
    fisher = jacobian.T @ jacobian / 0.3**2
    energy = float(np.square(jacobian).sum())
    assert dfil(energy, 4, 0.3) == pytest.approx(np.trace(fisher) / 4, rel=1e-12)
    bound = unbiased_error_bound(dfil(energy, 4, 0.3))
    assert bound <= np.trace(np.linalg.inv(fisher)) / 4


def test_no_unbiased_attack_on_a_scaled_identity_beats_or_misses_the_bound() -> None:
    """For J = c·I the least-squares attack attains it."""
    assert unbiased_error_bound(dfil(4.0 * 3, 3, 0.5)) == pytest.approx(0.5**2 / 4.0, rel=1e-12)


def test_the_ends_of_dfil_are_values() -> None:
    assert dfil(1.0, 3, 0.0) == np.inf
    assert dfil(0.0, 3, 0.0) == 0.0
    assert dfil(1e-300, 1, 1e-200) == pytest.approx(1e100)
    assert unbiased_error_bound(0.0) == np.inf
    assert unbiased_error_bound(np.inf) == 0.0


@pytest.mark.parametrize(
    ("energy", "size", "noise"), [(-1.0, 1, 1.0), (1.0, 0, 1.0), (1.0, 1, -1.0)]
)
def test_arguments_of_dfil_that_mean_nothing_are_refused(
    energy: float, size: int, noise: float
) -> None:
    with pytest.raises(ValueError, match="energy and noise must not be negative"):
        dfil(energy, size, noise)


@pytest.mark.parametrize("wrong", [-1.0, np.nan])
def test_a_negative_leakage_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="a leakage is not negative, got"):
        unbiased_error_bound(wrong)


SPECTRA = {
    "rank 1": [1.0] + [0.0] * 19,
    "rank 2": [1.0, 1.0] + [0.0] * 18,
    "dominated": [1.0] + [0.1] * 19,
    "falling": [1 / (1 + i) for i in range(20)],
    "flat": [1.0] * 20,
}


def _energies(values: list[float], k: int, trials: int, rng: np.random.Generator) -> Floats:
    """‖J·q‖² for k random orthonormal directions q, in each trial."""
    frames = np.linalg.qr(rng.standard_normal((trials, len(values), k)))[0]
    energies: Floats = np.square(np.array(values)[:, None] * frames).sum(axis=1)
    return energies


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("k", [1, 2, 5, 15, 19])
def test_the_interval_holds_the_frobenius_norm_as_often_as_it_says(name: str, k: int) -> None:
    """3,000 draws: three deviations of a frequency of 95 % are 1.2 %, of 97.5 % 0.9 %."""
    values = SPECTRA[name]
    truth = float(np.square(values).sum())
    draws = _energies(values, k, 3000, np.random.default_rng(k))
    unit = frobenius_interval(np.full(k, 1 / 20), 20)  # the ends are multiples of the estimate
    estimates = draws.mean(axis=1) * 20
    slack = 1 + 1e-9
    missed = np.mean(estimates * unit.low > truth * slack)
    missed += np.mean(estimates * unit.high * slack < truth)
    assert missed <= 0.05 + 0.012
    assert abs(estimates.mean() - truth) <= 4 * estimates.std() / np.sqrt(3000) + 1e-12
    bounds = np.sqrt(estimates) * sigma_bound(np.full(k, 1 / 20), 20)
    assert np.mean(bounds * slack < max(values)) <= 0.05 + 0.012


@pytest.mark.parametrize("k", [1, 3, 12])
def test_the_ends_are_multiples_of_the_estimate(k: int) -> None:
    energies = np.random.default_rng(0).exponential(size=k)
    found, unit = frobenius_interval(energies, 20), frobenius_interval(np.full(k, 1 / 20), 20)
    assert found.value == pytest.approx(energies.mean() * 20, rel=1e-12)
    assert found.low == pytest.approx(found.value * unit.low, rel=1e-12)
    assert found.high == pytest.approx(found.value * unit.high, rel=1e-12)
    scale = np.sqrt(found.value)
    assert sigma_bound(energies, 20) == pytest.approx(
        scale * sigma_bound(np.full(k, 1 / 20), 20), rel=1e-12
    )


def test_rank_one_is_the_case_the_interval_is_exact_for() -> None:
    estimates = _energies(SPECTRA["rank 1"], 4, 4000, np.random.default_rng(0)).mean(axis=1) * 20
    unit = frobenius_interval(np.full(4, 1 / 20), 20)
    held = np.mean((estimates * unit.low <= 1.0) & (estimates * unit.high >= 1.0))
    assert held == pytest.approx(0.95, abs=0.011)


def test_few_of_many_directions_give_the_chi_square_interval() -> None:
    """The quantiles of χ²₈ at 2.5 % and 97.5 % are 2.1797 and 17.5345 (any table)."""
    found = frobenius_interval(np.full(8, 2.0), size=10**7)
    assert found.value == 2e7
    assert found.low == pytest.approx(2e7 * 8 / 17.5345, rel=1e-4)
    assert found.high == pytest.approx(2e7 * 8 / 2.1797, rel=1e-4)


def test_all_directions_leave_no_doubt() -> None:
    found = frobenius_interval(np.array([1.0, 2.0, 3.0]), size=3)
    assert (found.value, found.low, found.high) == (6.0, 6.0, 6.0)
    assert sigma_bound(np.array([1.0, 2.0, 3.0]), size=3) == pytest.approx(np.sqrt(6))


def test_more_confidence_widens_the_interval() -> None:
    energies = np.array([1.0, 2.0, 3.0])
    narrow = frobenius_interval(energies, 50, confidence=0.5)
    wide = frobenius_interval(energies, 50, confidence=0.99)
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high
    assert sigma_bound(energies, 50, 0.5) < sigma_bound(energies, 50, 0.99)


def test_a_zero_jacobian_is_certain() -> None:
    found = frobenius_interval(np.zeros(3), 50)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert sigma_bound(np.zeros(3), 50) == 0.0


@pytest.mark.parametrize("k", [0, 4])
def test_directions_that_do_not_fit_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"{k} orthonormal directions do not fit 3 dimensions"):
        frobenius_interval(np.ones(k), 3)
    with pytest.raises(ValueError, match=f"{k} orthonormal directions do not fit 3 dimensions"):
        sigma_bound(np.ones(k), 3)


@pytest.mark.parametrize("wrong", [0.0, 1.0, np.nan])
def test_a_confidence_that_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="a confidence lies between 0 and 1"):
        frobenius_interval(np.ones(2), 3, confidence=wrong)


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf])
def test_energies_that_are_none_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="direction energies must be finite and not negative"):
        sigma_bound(np.array([1.0, wrong]), 3)


def test_energies_have_one_axis() -> None:
    with pytest.raises(ShapeError, match=r"direction energies must have axes \(k\)"):
        frobenius_interval(np.ones((2, 2)), 3)
    with pytest.raises(ShapeError, match=r"direction energies must have axes \(k\)"):
        sigma_bound(np.ones((2, 2)), 3)
