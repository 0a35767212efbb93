"""Statistics of the evidence, on values whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from scripts.evidence.statistics import (
    bootstrap,
    leave_one_out,
    mean_absolute_error,
    reliability,
    spearman,
)


def test_spearman_sees_order_alone() -> None:
    """Any growing function of a value is in perfect order with it."""
    values = np.array([0.1, 0.2, 0.5, 0.9])
    assert spearman(values, np.exp(9 * values)) == pytest.approx(1)
    assert spearman(values, -values) == pytest.approx(-1)


def test_spearman_agrees_with_scipy_where_values_tie() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5, 60), rng.integers(0, 5, 60)
    assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)


def test_what_never_varies_orders_nothing() -> None:
    assert spearman(np.ones(5), np.arange(5)) == 0.0


def test_mean_absolute_error_of_a_known_case() -> None:
    assert mean_absolute_error(np.array([0.5, 0.1]), np.array([0.7, 0.1])) == pytest.approx(0.1)


def test_networks_that_agree_leave_no_interval() -> None:
    """If every network says the same, it does not matter which are drawn."""
    pair = (np.array([0.2, 0.4]), np.array([0.3, 0.3]))
    found = bootstrap({"a": pair, "b": pair, "c": pair}, mean_absolute_error, draws=50)
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_the_bootstrap_draws_whole_networks() -> None:
    """Of two networks, all draws are one of three: the first twice, both, the second twice."""
    groups = {"a": (np.zeros(9), np.zeros(9)), "b": (np.zeros(9), np.ones(9))}
    seen = set()

    def record(predicted: np.ndarray, attained: np.ndarray) -> float:
        seen.add(round(mean_absolute_error(predicted, attained), 6))
        return mean_absolute_error(predicted, attained)

    found = bootstrap(groups, record, draws=200)
    assert seen == {0.0, 0.5, 1.0}
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_reliability_puts_ends_into_the_outer_bins() -> None:
    bins = reliability(np.array([0.0, 0.1, 0.95, 1.0]), np.array([0.2, 0.4, 0.5, 0.7]), bins=5)
    assert [(part.low, part.count) for part in bins] == [(0.0, 2), (0.8, 2)]
    assert bins[0].predicted == pytest.approx(0.05)
    assert bins[0].attained == pytest.approx(0.3)
    assert bins[1].attained == pytest.approx(0.6)


def test_the_fit_to_others_finds_a_common_law_and_stays_within_0_and_1() -> None:
    rng = np.random.default_rng(0)
    features = {name: rng.random((20, 2)) for name in "abc"}
    attained = {name: 0.2 + value @ np.array([0.3, 0.1]) for name, value in features.items()}
    features["d"] = np.array([[0.5, 0.5], [90.0, 0.0], [-90.0, 0.0]])
    attained["d"] = np.zeros(3)
    assert leave_one_out(features, attained)["d"] == pytest.approx([0.4, 1.0, 0.0])


def test_the_fit_does_not_see_the_network_that_it_predicts() -> None:
    features = {name: np.arange(4.0)[:, None] for name in "ab"}
    attained = {"a": np.full(4, 0.2), "b": np.full(4, 0.8)}
    found = leave_one_out(features, attained)
    assert found["a"] == pytest.approx(np.full(4, 0.8))
    assert found["b"] == pytest.approx(np.full(4, 0.2))
