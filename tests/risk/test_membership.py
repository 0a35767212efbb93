"""Membership: against other people's AUC, other people's bootstrap, and what cannot be told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from onnxprobe.risk import LEAST_FOR_TPR, LEAST_SAMPLES, leverages, separation, tied
from onnxprobe.types import Floats


def _auc(members: Floats, others: Floats) -> float:
    """Count pairs, one by one."""
    won = sum((a < b) + 0.5 * (a == b) for a in members for b in others)
    return float(won) / (len(members) * len(others))


def _rate(members: Floats, others: Floats) -> float:
    """Try every threshold."""
    best = 0.0
    for threshold in np.concatenate([members, others, [np.inf]]):
        if np.mean(others < threshold) <= 0.01:
            best = max(best, float(np.mean(members < threshold)))
    return best


@pytest.mark.parametrize("shift", [-3.0, -0.5, 0.0, 0.4, 2.0])
@pytest.mark.parametrize("rounded", [False, True])
def test_it_is_the_area_under_the_curve(shift: float, rounded: bool) -> None:
    rng = np.random.default_rng(7)
    members, others = rng.normal(size=60), rng.normal(size=130) + shift
    if rounded:
        members, others = members.round(), others.round()
    found = separation(members, others)
    assert found.auc == pytest.approx(_auc(members, others), abs=1e-12)
    sign = 1 if found.auc >= 0.5 else -1
    assert found.tpr == _rate(sign * members, sign * others)
    u = stats.mannwhitneyu(others, members).statistic
    assert found.auc == pytest.approx(u / (60 * 130), abs=1e-12)


def test_the_interval_is_that_of_the_percentile_bootstrap() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.normal(size=80), rng.normal(size=90) + 0.6
    found = separation(members, others)
    slow = stats.bootstrap(
        (members, others),
        lambda a, b: stats.mannwhitneyu(b, a).statistic / (len(a) * len(b)),
        vectorized=False,
        paired=False,
        method="percentile",
        n_resamples=1000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((slow.low, slow.high), abs=0.015)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    truth = float(stats.norm.cdf(0.7 / np.sqrt(2)))
    held = 0
    for _ in range(300):
        found = separation(rng.normal(size=60), rng.normal(size=60) + 0.7)
        held += found.low <= truth <= found.high
    # 95 % of 300 with four standard errors, and a percentile interval is a little narrow.
    assert held >= 0.95 * 300 - 4 * np.sqrt(300 * 0.95 * 0.05)


def test_what_tells_nothing_has_a_half_in_its_interval_mostly() -> None:
    rng = np.random.default_rng(4)
    runs = [separation(rng.normal(size=100), rng.normal(size=100)) for _ in range(100)]
    assert sum(each.low <= 0.5 <= each.high for each in runs) >= 86


def test_complete_separation_is_one() -> None:
    found = separation(np.arange(100.0), np.arange(100.0) + 1000)
    assert (found.auc, found.low, found.high, found.tpr) == (1.0, 1.0, 1.0, 1.0)
    turned = separation(np.arange(100.0) + 1000, np.arange(100.0))
    assert (turned.auc, turned.tpr) == (0.0, 1.0)


def test_equal_values_tell_nothing() -> None:
    found = separation(np.ones(200), np.ones(200))
    assert (found.auc, found.low, found.high, found.tpr) == (0.5, 0.5, 0.5, 0.0)


def test_few_non_members_give_no_rate() -> None:
    assert separation(np.arange(50.0), np.arange(LEAST_FOR_TPR - 1.0)).tpr is None
    assert separation(np.arange(50.0), np.arange(float(LEAST_FOR_TPR))).tpr is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad: float) -> None:
    values = np.ones(20)
    values[3] = bad
    with pytest.raises(ValueError, match="finite"):
        separation(values, np.ones(20))


def test_too_few_are_refused() -> None:
    with pytest.raises(ValueError, match=f"needs {LEAST_SAMPLES} of each"):
        separation(np.ones(LEAST_SAMPLES - 1), np.ones(50))


@pytest.mark.parametrize(("count", "d"), [(40, 5), (30, 200)])
def test_leverage_is_a_mahalanobis_distance(count: int, d: int) -> None:
    rng = np.random.default_rng(d)
    x = rng.normal(size=(count, d)) * np.geomspace(1, 0.1, d)
    x -= x.mean(axis=0)
    penalty = np.sum(x**2) / count
    slow = np.einsum("nd,de,ne->n", x, np.linalg.inv(x.T @ x + penalty * np.eye(d)), x)
    assert leverages(x @ x.T) == pytest.approx(slow, rel=1e-9)


def test_an_outlier_stands_out_and_constants_do_not() -> None:
    x = np.random.default_rng(0).normal(size=(50, 4))
    x[17] *= 20
    x -= x.mean(axis=0)
    assert int(np.argmax(leverages(x @ x.T))) == 17
    assert leverages(np.zeros((12, 12))).tolist() == [0.0] * 12


def test_a_gram_matrix_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite"):
        leverages(np.full((3, 3), np.nan))


def test_what_is_no_better_known_is_equal() -> None:
    rng = np.random.default_rng(0)
    noise = 1 + 1e-6 * rng.normal(size=50)
    same = tied(7 * noise, 1e-5)
    assert len(np.unique(same)) == 1
    assert same[0] == pytest.approx(7, rel=1e-5)
    apart = tied(np.geomspace(1, 2, 50) * noise, 1e-5)
    assert len(np.unique(apart)) == 50
    assert apart == pytest.approx(np.geomspace(1, 2, 50), rel=3e-5)
    assert tied(np.zeros(4), 0.1).tolist() == [0.0] * 4


@pytest.mark.parametrize(("values", "precision"), [([-1.0], 0.1), ([np.nan], 0.1), ([1.0], 0.0)])
def test_what_cannot_be_compared_is_refused(values: list[float], precision: float) -> None:
    with pytest.raises(ValueError, match="finite and not negative"):
        tied(np.array(values), precision)
