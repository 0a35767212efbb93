from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import (
    Prior,
    Spectrum,
    eigenvalues,
    gram,
    isotropic_prior,
    join_priors,
    prior_spectrum,
    prior_spectrum_of_factor,
)
from onnxprobe.types import Floats

SHAPES = [(3, 8), (8, 8), (20, 8), (1, 8)]


def _basis(n: int, seed: int = 1) -> Floats:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def _prior(n: int, kept: int | None = None) -> Prior:
    variances = np.geomspace(9, 0.1, n)
    return Prior("data", n, float(variances.sum()), _basis(n)[:kept], variances[:kept])


def _jacobian(m: int, n: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal((m, n)) * np.geomspace(1, 0.01, n)


def _covariance(prior: Prior) -> Floats:
    assert prior.directions is not None
    return prior.directions.T * prior.variances @ prior.directions


def _dense_rho(jacobian: Floats, covariance: Floats, trace: float, noise: float) -> float:
    """1 − tr(posterior)/tr(prior), by the textbook gain, with no eigenvalue in sight."""
    innovation = jacobian @ covariance @ jacobian.T + noise**2 * np.eye(len(jacobian))
    gain = np.linalg.solve(innovation, jacobian @ covariance)
    return float(np.trace(covariance @ jacobian.T @ gain)) / trace


def _rho(spectrum: Spectrum | None, noise: float) -> float:
    assert spectrum is not None
    assert spectrum.weights is not None
    a = np.square(spectrum.values / noise)
    return float(spectrum.weights @ (a / (1 + a)))


@pytest.mark.parametrize(("m", "n"), SHAPES)
@pytest.mark.parametrize("noise", [0.01, 1.0, 10.0])
def test_all_coordinates_give_the_dense_posterior(m: int, n: int, noise: float) -> None:
    prior, jacobian = _prior(n), _jacobian(m, n)
    expected = _dense_rho(jacobian, _covariance(prior), prior.trace, noise)
    by_gram = prior_spectrum(
        jacobian.T @ jacobian, prior, prior_in_directions=prior.directions, outputs=m
    )
    by_factor = prior_spectrum_of_factor(jacobian.T, prior, prior_in_directions=prior.directions)
    for found in (by_gram, by_factor):
        assert found is not None
        assert found.complete
        assert _rho(found, noise) == pytest.approx(expected, rel=1e-9)
        assert expected <= found.ceiling + 1e-12


@pytest.mark.parametrize(("m", "n"), SHAPES)
@pytest.mark.parametrize("k", [1, 3, 8])
def test_the_priors_own_directions_give_the_posterior_of_what_they_span(
    m: int, n: int, k: int
) -> None:
    """With k of the n directions, the dense posterior of the input within their span."""
    prior, jacobian = _prior(n), _jacobian(m, n)
    assert prior.directions is not None
    tangents = prior.directions[:k] @ jacobian.T
    expected = _dense_rho(jacobian, _covariance(prior.leading(k)), prior.trace, 0.3)
    for found in (
        prior_spectrum(gram(tangents), prior),
        prior_spectrum_of_factor(tangents, prior),
    ):
        assert found is not None
        assert found.weights is not None
        assert found.values.size == k
        assert found.complete == (k == n)
        assert _rho(found, 0.3) == pytest.approx(expected, rel=1e-9)
        assert found.weights.sum() == pytest.approx(prior.leading(k).share, rel=1e-12)


def test_directions_that_span_the_priors_may_be_any() -> None:
    """Five orthonormal directions around a prior of three."""
    prior, jacobian = _prior(8, kept=3), _jacobian(6, 8)
    assert prior.directions is not None
    mixing = _basis(5, seed=7)
    directions = mixing @ _basis(8)[:5]
    tangents = directions @ jacobian.T
    rotation = prior.directions @ directions.T
    expected = _dense_rho(jacobian, _covariance(prior), prior.trace, 0.3)
    for found in (
        prior_spectrum(gram(tangents), prior, prior_in_directions=rotation),
        prior_spectrum_of_factor(tangents, prior, prior_in_directions=rotation),
    ):
        assert _rho(found, 0.3) == pytest.approx(expected, rel=1e-9)


def test_directions_that_miss_part_of_the_priors_are_refused() -> None:
    prior = _prior(8, kept=3)
    assert prior.directions is not None
    directions = _basis(8, seed=5)[:5]
    rotation = prior.directions @ directions.T
    with pytest.raises(ValueError, match=r"do not span the prior's: up to 0\.\d+ of a unit"):
        prior_spectrum(np.eye(5), prior, prior_in_directions=rotation)
    with pytest.raises(ValueError, match="do not span the prior's"):
        prior_spectrum_of_factor(np.eye(5), prior, prior_in_directions=rotation * np.nan)


@pytest.mark.parametrize(("m", "n"), SHAPES)
@pytest.mark.parametrize("k", [2, 8])
def test_an_isotropic_prior_scales_the_jacobians_own_spectrum(m: int, n: int, k: int) -> None:
    jacobian = _jacobian(m, n)
    tangents = _basis(n)[:k] @ jacobian.T
    truth = np.zeros(k)
    singular = np.linalg.svd(tangents, compute_uv=False)
    truth[: len(singular)] = 0.5 * singular
    prior = isotropic_prior(n, 0.25)
    by_gram = prior_spectrum(gram(tangents), prior, outputs=m)
    by_factor = prior_spectrum_of_factor(tangents, prior)
    for found in (by_gram, by_factor):
        assert found is not None
        assert found.weights is not None
        np.testing.assert_allclose(found.values, truth, atol=1e-7 * truth[0])
        assert found.weights.tolist() == [1 / n] * k
        assert found.complete == (k == n)
        assert found.ceiling == min(1.0, m / n)


@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_factor_and_gram_matrix_agree_value_by_value(m: int, n: int) -> None:
    prior, jacobian = _prior(n), _jacobian(m, n)
    by_gram = prior_spectrum(jacobian.T @ jacobian, prior, prior_in_directions=prior.directions)
    by_factor = prior_spectrum_of_factor(jacobian.T, prior, prior_in_directions=prior.directions)
    assert by_gram is not None
    assert by_factor is not None
    assert by_gram.weights is not None
    assert by_factor.weights is not None
    resolved = by_gram.resolved_count
    np.testing.assert_allclose(by_factor.values[:resolved], by_gram.resolved, rtol=1e-6)
    np.testing.assert_allclose(by_factor.weights[:resolved], by_gram.weights[:resolved], rtol=1e-6)
    assert by_factor.weights.sum() == pytest.approx(by_gram.weights.sum(), rel=1e-12)


def test_the_floor_is_scaled_to_prior_deviations() -> None:
    prior, jacobian = _prior(8), _jacobian(3, 8)
    tangents = prior.directions @ jacobian.T if prior.directions is not None else jacobian.T
    for found in (
        prior_spectrum(gram(tangents), prior, floor=0.01),
        prior_spectrum_of_factor(tangents, prior, floor=0.01),
        prior_spectrum_of_factor(jacobian.T, prior, prior_in_directions=_basis(8), floor=0.01),
    ):
        assert found is not None
        assert found.floor == pytest.approx(0.01 * 3.0, rel=1e-12)
    for flat in (
        prior_spectrum(gram(tangents), isotropic_prior(8, 4.0), floor=0.01),
        prior_spectrum_of_factor(tangents, isotropic_prior(8, 4.0), floor=0.01),
    ):
        assert flat is not None
        assert flat.floor == pytest.approx(0.02, rel=1e-12)


def test_rounding_never_rises_above_the_floor_where_the_prior_hides_the_jacobian() -> None:
    """J is strong only where the prior has little variance: rotating G leaves its rounding."""
    n = 40
    variances = np.geomspace(1, 1e-14, n)
    basis = _basis(n)
    prior = Prior("data", n, float(variances.sum()), basis, variances)
    jacobian = 1e3 * basis[-3:]
    found = prior_spectrum(jacobian.T @ jacobian, prior, prior_in_directions=basis)
    assert found is not None
    truth = np.sqrt(variances[-3:]) * 1e3
    assert np.all(found.values[3:] <= found.floor)
    assert found.floor > truth[0] / 100


def test_rounding_of_a_rotated_factor_stays_below_the_floor() -> None:
    """J is strong only where the prior has next to no variance: what is left is rounding."""
    variances = np.append(np.ones(37), np.full(3, 1e-40))
    basis = _basis(40)
    prior = Prior("data", 40, float(variances.sum()), basis, variances)
    jacobian = 1e3 * basis[-3:]
    found = prior_spectrum_of_factor(jacobian.T, prior, prior_in_directions=basis)
    assert found is not None
    assert found.values[0] > 1e-15
    assert found.resolved_count == 0


def test_variance_that_cannot_be_placed_weighs_on_the_strongest_unresolved_direction() -> None:
    """Three outputs, of which the floor hides two: the rest counts at the first of them."""
    prior = Prior("data", 5, 5.0, np.eye(5), np.ones(5))
    factor = np.zeros((5, 3))
    factor[0, 0], factor[1, 1], factor[2, 2] = 1.0, 0.05, 0.01
    found = prior_spectrum_of_factor(factor, prior, floor=0.1)
    assert found is not None
    assert found.weights is not None
    np.testing.assert_allclose(found.weights, [0.2, 0.8, 0, 0, 0], atol=1e-12)


def test_few_outputs_bound_what_can_be_revealed() -> None:
    """Whatever the Jacobian: no map of m outputs reveals more than the m largest variances."""
    prior = _prior(8)
    top = prior.variances[:2].sum() / prior.trace
    found = prior_spectrum_of_factor(np.zeros((8, 2)), prior)
    assert found is not None
    assert found.ceiling == pytest.approx(top, rel=1e-12)
    for seed in range(20):
        jacobian = 1e4 * _jacobian(2, 8, seed)
        assert _dense_rho(jacobian, _covariance(prior), prior.trace, 1e-3) <= top + 1e-9
    truncated = prior_spectrum_of_factor(np.zeros((3, 2)), prior.leading(3))
    assert truncated is not None
    assert truncated.ceiling == pytest.approx(top, rel=1e-12)
    beyond = prior_spectrum_of_factor(np.zeros((3, 5)), prior.leading(3))
    assert beyond is not None
    assert beyond.ceiling == 1.0


def test_a_ceiling_counts_what_a_joint_prior_left_out() -> None:
    """The second output may show what was left out of the first input, not the weak second one."""
    first = Prior("image", 2, 5.0, np.eye(2)[:1], np.array([3.0]))
    joint = join_priors([first, isotropic_prior(1, 0.1)], limit=2)
    found = prior_spectrum_of_factor(np.zeros((2, 2)), joint)
    assert found is not None
    assert found.ceiling == pytest.approx(5.0 / 5.1, rel=1e-12)


@pytest.mark.parametrize("shape", [(8, 0), (8, 3), (8, 20)])
def test_a_zero_jacobian_reveals_nothing(shape: tuple[int, int]) -> None:
    found = prior_spectrum_of_factor(np.zeros(shape), _prior(8))
    assert found is not None
    assert found.weights is not None
    assert not found.values.any()
    assert found.weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e200])
def test_a_jacobian_that_is_not_finite_has_no_spectrum(wrong: float) -> None:
    for prior, rotation in (
        (_prior(4), None),
        (_prior(4), _basis(4)),
        (isotropic_prior(4), None),
    ):
        for shape in [(4, 2), (4, 6)]:
            factor = np.ones(shape)
            factor[1, 1] = wrong
            with np.errstate(over="ignore", invalid="ignore"):
                square = factor @ factor.T
            assert prior_spectrum(square, prior, prior_in_directions=rotation) is None
            found = prior_spectrum_of_factor(factor, prior, prior_in_directions=rotation)
            assert found is None


def test_a_jacobian_whose_floor_is_no_number_has_no_spectrum() -> None:
    assert prior_spectrum(np.eye(4), _prior(4), floor=1e308) is None
    assert prior_spectrum(np.eye(4) * 1e308, _prior(4), prior_in_directions=_basis(4)) is None


def test_a_prior_without_variance_has_no_spectrum() -> None:
    constant = Prior("data", 3, 0.0, np.zeros((0, 3)), np.zeros(0))
    assert prior_spectrum(np.zeros((0, 0)), constant) is None
    assert prior_spectrum_of_factor(np.zeros((0, 2)), isotropic_prior(3, 0.0)) is None


def test_without_directions_nothing_is_spanned() -> None:
    prior = Prior("data", 3, 2.0, np.zeros((0, 3)), np.zeros(0))
    for found in (
        prior_spectrum(np.zeros((0, 0)), prior),
        prior_spectrum(np.zeros((0, 0)), isotropic_prior(3)),
        prior_spectrum_of_factor(np.zeros((0, 2)), prior),
    ):
        assert found is not None
        assert found.values.size == 0
        assert not found.complete


def test_arguments_that_do_not_fit_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="an isotropic prior has no directions to rotate"):
        prior_spectrum(np.eye(3), isotropic_prior(3), prior_in_directions=np.eye(3))
    with pytest.raises(ValueError, match="4 directions cannot be orthonormal in 3 dimensions"):
        prior_spectrum(np.eye(4), isotropic_prior(3))
    with pytest.raises(ValueError, match="4 directions are not the prior's, which has 3"):
        prior_spectrum(np.eye(4), _prior(8, kept=3))
    with pytest.raises(ShapeError, match=r"prior_in_directions must have axes \(K, k\), k=4"):
        prior_spectrum(np.eye(4), _prior(8, kept=3), prior_in_directions=np.eye(3))
    with pytest.raises(ShapeError, match=r"prior_in_directions must have axes \(K, k\), K=3"):
        prior_spectrum(np.eye(4), _prior(8, kept=3), prior_in_directions=np.eye(4))
    with pytest.raises(ShapeError, match=r"gram must have axes \(k, k\)"):
        prior_spectrum(np.zeros((2, 3)), _prior(8))
    with pytest.raises(ShapeError, match=r"factor must have axes \(k, m\)"):
        prior_spectrum_of_factor(np.zeros(3), _prior(8))


def test_no_answer_of_the_eigensolver_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "onnxprobe.spectrum.prior_weighting"
    monkeypatch.setattr(f"{module}.eigensystem", lambda _matrix: None)
    monkeypatch.setattr(f"{module}.eigenvalues", lambda _matrix: None)
    assert eigenvalues(np.eye(2)) is not None
    assert prior_spectrum(np.eye(3), _prior(8)) is None
    assert prior_spectrum(np.eye(3), isotropic_prior(8)) is None
    assert prior_spectrum_of_factor(np.eye(3), _prior(8)) is None
