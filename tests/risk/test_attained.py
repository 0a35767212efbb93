"""The attained floor: against ridge regression written out, and against what cannot be beaten."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import solve

from onnxprobe.risk import recoverability
from onnxprobe.risk.attained import FOLDS, RidgeFloor, ridge_attack
from onnxprobe.spectrum import Spectrum
from onnxprobe.types import Floats


def ridge_floor(activations: Floats, inputs: Floats, variances: list[float]) -> RidgeFloor | None:
    attack = ridge_attack(activations, inputs)
    return None if attack is None else attack.floor(variances)


def _slow(z: Floats, x: Floats, variance: float, penalties: tuple[float, ...]) -> float:
    """Ridge regression with weights, fold by fold, and the noise averaged analytically."""
    error = total = 0.0
    for fold, penalty in enumerate(penalties):
        test = np.arange(len(z)) % FOLDS == fold
        centre, mean = z[~test].mean(axis=0), x[~test].mean(axis=0)
        train, known = z[~test] - centre, x[~test] - mean
        scale = np.sum(train**2) / len(train)
        gram = train.T @ train + penalty * scale * np.eye(z.shape[1])
        weights = solve(gram, train.T @ known, assume_a="pos")
        wrong = x[test] - mean - (z[test] - centre) @ weights
        error += np.sum(wrong**2) + variance * np.sum(weights**2) * test.sum()
        total += np.sum((x[test] - mean) ** 2)
    return 1 - error / total


@pytest.mark.parametrize("variance", [0.0, 0.1, 3.0])
@pytest.mark.parametrize(("d", "n"), [(5, 3), (40, 60), (3, 9)])
def test_the_dual_form_is_ridge_regression(variance: float, d: int, n: int) -> None:
    rng = np.random.default_rng(d)
    x = rng.normal(size=(83, n)) * np.geomspace(1, 0.1, n) + 3
    z = np.tanh(x @ rng.normal(size=(n, d))) + 0.05 * rng.normal(size=(83, d)) - 7
    found = ridge_floor(z @ z.T, x @ x.T, [variance])
    assert found is not None
    slow = _slow(z, x, variance, found.penalties[0])
    assert found.r2[0] == pytest.approx(max(0.0, slow), abs=1e-7)


def test_the_expected_error_is_that_of_drawn_noise() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 6))
    z = x @ rng.normal(size=(6, 10))
    found = ridge_floor(z @ z.T, x @ x.T, [0.5])
    assert found is not None
    drawn = []
    for _ in range(200):
        error = total = 0.0
        for fold, penalty in enumerate(found.penalties[0]):
            test = np.arange(120) % FOLDS == fold
            centre, mean = z[~test].mean(axis=0), x[~test].mean(axis=0)
            train = z[~test] - centre
            gram = train.T @ train + penalty * np.sum(train**2) / len(train) * np.eye(10)
            weights = np.linalg.solve(gram, train.T @ (x[~test] - mean))
            noisy = z[test] + rng.normal(scale=0.5**0.5, size=z[test].shape)
            error += np.sum((x[test] - mean - (noisy - centre) @ weights) ** 2)
            total += np.sum((x[test] - mean) ** 2)
        drawn.append(1 - error / total)
    spread = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - found.r2[0]) < 4 * spread


@pytest.mark.parametrize("noise", [0.1, 0.7, 3.0, 10.0])
def test_on_a_linear_gaussian_model_it_meets_what_is_predicted(noise: float) -> None:
    """ρ is the best that any attacker can do there, and ridge regression does it.

    Between two penalties of a grid of powers of ten it would miss a tenth of the variance.
    """
    rng = np.random.default_rng(1)
    n, d, count = 8, 12, 1000
    factor = rng.normal(size=(n, n)) * np.geomspace(1, 0.05, n)
    jacobian = rng.normal(size=(d, n))
    x = rng.normal(size=(count, n)) @ factor.T
    z = x @ jacobian.T
    found = ridge_floor(z @ z.T, x @ x.T, [noise**2])
    assert found is not None
    _, values, right = np.linalg.svd(jacobian @ factor)
    weights = np.sum((factor @ right.T) ** 2, axis=0) / np.sum(factor**2)
    rho = recoverability(Spectrum.of(values, weights=weights), noise)
    assert found.r2[0] == pytest.approx(rho.high, abs=0.02)
    assert found.r2[0] <= rho.high + 0.02


def test_scale_and_origin_of_either_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 5))
    z = np.maximum(x @ rng.normal(size=(5, 20)), 0)

    def floor(z: Floats, x: Floats, variance: float) -> float:
        found = ridge_floor(z @ z.T, x @ x.T, [variance])
        assert found is not None
        return found.r2[0]

    plain = floor(z, x, 0.04)
    assert floor(1e3 * z, x, 0.04e6) == pytest.approx(plain, abs=1e-6)
    assert floor(z + 100, x, 0.04) == pytest.approx(plain, abs=1e-6)
    assert floor(z, 1e-3 * x + 5, 0.04) == pytest.approx(plain, abs=1e-6)


def test_more_noise_never_helps_and_nothing_beats_everything() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(100, 4))
    z = np.tanh(x @ rng.normal(size=(4, 6)))
    found = ridge_floor(z @ z.T, x @ x.T, [0.0, 1e-4, 1e-2, 1.0, 100.0])
    assert found is not None
    assert list(found.r2) == sorted(found.r2, reverse=True)
    assert 0 <= found.r2[-1] < 0.05
    assert 0.7 < found.r2[0] <= 1


def test_noise_and_constants_teach_nothing() -> None:
    rng = np.random.default_rng(4)
    x, noise = rng.normal(size=(200, 5)), rng.normal(size=(200, 50))
    found = ridge_floor(noise @ noise.T, x @ x.T, [0.0, 1.0])
    assert found is not None
    assert max(found.r2) < 0.02
    still = ridge_floor(np.full((200, 200), 7.0), x @ x.T, [0.0])
    assert still is not None
    assert still.r2 == (0.0,)


def test_what_cannot_be_asked_is_answered_by_nothing() -> None:
    gram = np.eye(7)
    assert ridge_floor(gram, gram, [0.0]) is None
    assert ridge_floor(np.eye(20), np.zeros((20, 20)), [0.0]) is None
    with pytest.raises(ValueError, match="must be finite"):
        ridge_floor(np.full((9, 9), np.nan), np.eye(9), [0.0])
    with pytest.raises(ValueError, match="a variance is not negative"):
        ridge_floor(np.eye(9), np.eye(9), [-1.0])


@pytest.mark.parametrize("target", [0.01, 0.05, 0.3, 0.8])
def test_the_least_noise_leaves_no_more_than_the_target(target: float) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(120, 6)) * np.geomspace(1, 0.2, 6)
    z = np.tanh(x @ rng.normal(size=(6, 9))) * 30 + 2
    attack = ridge_attack(z @ z.T, x @ x.T)
    assert attack is not None
    found = attack.least_variance(target)
    scan = np.geomspace(1e-6, 1e9, 3000)
    shares = np.array([attack.floor([each]).r2[0] for each in scan])
    enough = scan[np.flatnonzero(shares > target)[-1] + 1]
    assert found == pytest.approx(enough, rel=0.02)
    assert attack.floor([found]).r2[0] <= target
    assert attack.floor([found / 1.01]).r2[0] > target


def test_no_noise_is_said_to_be_enough_that_is_not() -> None:
    x = np.random.default_rng(7).normal(size=(60, 4))
    attack = ridge_attack(x @ x.T, x @ x.T)
    assert attack is not None
    for target in (1e-2, 1e-4):
        found = attack.least_variance(target)
        assert 0 < found < np.inf
        assert attack.floor([found]).r2[0] <= target
    assert attack.least_variance(1e-12) == np.inf


def test_what_teaches_nothing_needs_no_noise() -> None:
    rng = np.random.default_rng(6)
    x, noise = rng.normal(size=(200, 5)), rng.normal(size=(200, 50))
    for activations in (noise @ noise.T, np.full((200, 200), 7.0)):
        attack = ridge_attack(activations, x @ x.T)
        assert attack is not None
        assert attack.least_variance(0.05) == 0.0
        with pytest.raises(ValueError, match="lies between 0 and 1"):
            attack.least_variance(1.0)
