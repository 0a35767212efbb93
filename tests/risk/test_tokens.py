"""Tokens: which embedding is the nearest, and the reconstruction that is looked up."""

from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.risk import (
    FOLDS,
    PositionAttack,
    nearest_rows,
    ridge_attack,
    tokens,
)


@pytest.mark.parametrize("elements", [1, 64, 2**24])
def test_the_nearest_row_is_the_nearest(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_BLOCK_ELEMENTS", elements)
    rng = np.random.default_rng(0)
    table, vectors = rng.normal(size=(50, 6)) + 2, rng.normal(size=(30, 6)) + 2
    slow = [int(np.argmin(np.sum((table - each) ** 2, axis=1))) for each in vectors]
    assert nearest_rows(table, vectors).tolist() == slow


def test_of_equal_rows_the_first_counts() -> None:
    table = np.ones((5, 2), np.float32)
    assert nearest_rows(table, np.ones((3, 2), np.float32)).tolist() == [0, 0, 0]


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        nearest_rows(np.eye(2), np.full((1, 2), np.nan))


@pytest.mark.parametrize("variance", [0.0, 0.4])
def test_weights_make_the_reconstruction_that_is_scored(variance: float) -> None:
    """On average over the noise, their error is the one that the floor states."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(90, 6)) + 4
    z = x @ rng.normal(size=(6, 12)) - 3
    attack = ridge_attack(z @ z.T, x @ x.T)
    assert attack is not None
    floor = attack.floor([variance])
    wanted = []
    for seed in range(60 if variance else 1):
        weights = attack.weights(floor.penalties[0], variance, seed)
        assert weights.sum(axis=1) == pytest.approx(np.ones(90), abs=1e-9)
        error = total = 0.0
        for fold in range(FOLDS):
            test = np.arange(90) % FOLDS == fold
            assert not weights[np.ix_(test, test)].any()
            error += np.sum((weights[test] @ x - x[test]) ** 2)
            total += np.sum((x[test] - x[~test].mean(axis=0)) ** 2)
        wanted.append(1 - error / total)
    spread = np.std(wanted) / np.sqrt(len(wanted))
    assert abs(np.mean(wanted) - floor.r2[0]) < 4 * spread + 1e-9


def test_a_tensor_that_does_not_vary_gives_the_mean() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    attack = ridge_attack(np.zeros((20, 20)), x @ x.T)
    assert attack is not None
    weights = attack.weights([1.0] * FOLDS, 0.0)
    for fold in range(FOLDS):
        test = np.arange(20) % FOLDS == fold
        assert weights[test] @ x == pytest.approx(np.tile(x[~test].mean(axis=0), (test.sum(), 1)))


def test_every_part_needs_its_penalty() -> None:
    attack = ridge_attack(np.eye(8), np.eye(8))
    assert attack is not None
    with pytest.raises(ValueError, match="4 parts, and 2 penalties"):
        attack.weights([1.0, 1.0], 0.0)


@pytest.mark.parametrize(("positions", "f"), [(60, 5), (30, 90)])
@pytest.mark.parametrize("variance", [0.0, 0.3])
def test_positions_are_reconstructed_by_ridge_regression(
    positions: int, f: int, variance: float
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(positions, 4)) + 5
    z = np.tanh(x @ rng.normal(size=(4, f))) - 2
    folds, wanted = np.arange(positions) % FOLDS, np.arange(7)
    made = PositionAttack(z, x, folds, wanted).reconstruct(variance, seed=3)
    noise = np.random.default_rng(3)
    for fold in range(FOLDS):
        here = np.flatnonzero(folds[wanted] == fold)
        train = folds != fold
        centre, mean = z[train].mean(axis=0), x[train].mean(axis=0)
        known = z[train] - centre
        penalty = train.sum() * variance + 1e-6 * np.sum(known**2) / f
        weights = np.linalg.solve(
            known.T @ known + penalty * np.eye(f), known.T @ (x[train] - mean)
        )
        drawn = variance**0.5 * noise.standard_normal((len(here), f))
        slow = mean + (z[here] + drawn - centre) @ weights
        assert made[here] == pytest.approx(slow, abs=1e-6)


def test_noise_is_weighed_as_the_best_linear_estimate_does() -> None:
    """On Gaussian data no other penalty does better by more than sampling error."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, 3))
    z = x @ rng.normal(size=(3, 8))
    folds, wanted = np.arange(4000) % FOLDS, np.arange(4000)
    made = PositionAttack(z, x, folds, wanted).reconstruct(2.0)
    error = np.mean((made - x) ** 2)
    # cov(x | z + e) with a unit prior.
    mixing = np.linalg.lstsq(x, z, rcond=None)[0]
    posterior = np.linalg.inv(np.eye(3) + mixing @ mixing.T / 2.0)
    assert error == pytest.approx(np.trace(posterior) / 3, rel=0.03)


def test_a_position_that_does_not_vary_gives_the_mean() -> None:
    x = np.random.default_rng(0).normal(size=(16, 2))
    made = PositionAttack(np.ones((16, 3)), x, np.arange(16) % 4, np.array([0])).reconstruct(0.0)
    assert made[0] == pytest.approx(x[np.arange(16) % 4 != 0].mean(axis=0))


def test_one_part_teaches_nothing_about_itself() -> None:
    with pytest.raises(ValueError, match="teach nothing"):
        PositionAttack(np.eye(4), np.eye(4), np.zeros(4, int), np.array([0]))
    with pytest.raises(ValueError, match="finite"):
        PositionAttack(np.full((4, 1), np.nan), np.eye(4), np.arange(4), np.array([0]))
