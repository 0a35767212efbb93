"""Tokens: which embedding is the nearest, and the reconstruction that is looked up."""

from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.risk import FOLDS, held_out_weights, nearest_rows, ridge_floor, tokens


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
    floor = ridge_floor(z @ z.T, x @ x.T, [variance])
    assert floor is not None
    wanted = []
    for seed in range(60 if variance else 1):
        weights = held_out_weights(z @ z.T, floor.penalties[0], variance, seed)
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
    weights = held_out_weights(np.zeros((20, 20)), [1.0] * FOLDS, 0.0)
    x = np.random.default_rng(0).normal(size=(20, 3))
    for fold in range(FOLDS):
        test = np.arange(20) % FOLDS == fold
        assert weights[test] @ x == pytest.approx(np.tile(x[~test].mean(axis=0), (test.sum(), 1)))


def test_every_part_needs_its_penalty() -> None:
    with pytest.raises(ValueError, match="4 parts, and 2 penalties"):
        held_out_weights(np.eye(8), [1.0, 1.0], 0.0)
