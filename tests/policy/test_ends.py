"""Ends of what is known: which of them decides, and which is withheld."""

from __future__ import annotations

from typing import Any

import pytest

from onnxprobe.policy import judge
from onnxprobe.record import JacobianSample, Levels, PriorRecord, ReleaseRecord, Report
from tests.policy.judgements import TODAY, changed, policy, verdict, whole
from tests.reports import report, tensor


@pytest.mark.parametrize(
    "rule",
    [
        {"recoverable_dof": {"noise": 0.1, "value": 0.0}},
        {"bits": {"noise": 0.1, "value": 0.0}},
        {"noise_for": 0.01},
    ],
)
def test_a_weak_prior_passes_no_rule_from_below(rule: dict[str, Any]) -> None:
    levels = Levels(min=1.0, median=2.0, max=3.0)
    release = [ReleaseRecord(noise="0.1", s=0.1, recoverable_dof=levels, bits=levels)]
    weak = PriorRecord(kind="isotropic", variance=1.0, directions=64, share=1.0)
    told = tensor(release=release)
    assert verdict(whole(told), {"min": rule}) == "pass"
    assert verdict(whole(told, prior=weak), {"min": rule}) == "inconclusive"


def test_drawn_samples_pass_no_rule_on_degrees_of_freedom_from_below() -> None:
    drawn = report().data.model_copy(update={"synthetic": True, "digest": None})
    assert verdict(whole(tensor()), {"min": {"dof": 21}}) == "pass"
    assert verdict(whole(tensor(), data=drawn), {"min": {"dof": 21}}) == "inconclusive"


def test_leakage_through_few_directions_has_the_ends_of_the_norm() -> None:
    def found(**changes: Any) -> Report:
        norms = ([1.0, 1.5, 3.0], [1.0, 2.0, 2.5])
        samples = [
            JacobianSample(sample=n, status="ok", frobenius=norm) for n, norm in enumerate(norms)
        ]
        made = changed("a", samples=samples, **changes)
        # Proportional to the squares of the estimates, which are 1.5 and 2.
        levels = Levels(min=4.5, median=6.25, max=8.0)
        made.release[0] = ReleaseRecord(noise="0.1", s=0.1, dfil=levels, unbiased_mse=0.1)
        return whole(made)

    def rule(value: float, measure: str = "dfil", side: str = "max") -> dict[str, Any]:
        return {side: {measure: {"noise": 0.1, "value": value}}}

    few = found(complete=False, directions=16)
    # 8 is estimated; a norm of 1 is certain, which leaks 2, and one of 3 may be, which leaks 18.
    expected = {1.9: "fail", 2.1: "inconclusive", 17.9: "inconclusive", 18.1: "pass"}
    assert {value: verdict(few, rule(value)) for value in expected} == expected
    # From below, the sample that leaks least: between 2 and 2.5²·2.
    least = {1.9: "pass", 2.1: "inconclusive", 12.4: "inconclusive", 12.6: "fail"}
    assert {value: verdict(few, rule(value, side="min")) for value in least} == least
    assert verdict(found(), rule(7.9)) == "fail"
    assert verdict(found(), rule(8.1)) == "pass"
    # A bound on an error may be too low; it is never too high.
    assert verdict(few, rule(0.1, "unbiased_mse", "min")) == "pass"
    assert verdict(few, rule(0.2, "unbiased_mse", "min")) == "inconclusive"
    assert verdict(found(), rule(0.2, "unbiased_mse", "min")) == "fail"


def test_a_bound_of_a_mean_is_an_estimate_where_jacobians_vary() -> None:
    def label(*norms: float) -> str | None:
        samples = [
            JacobianSample(sample=n, status="ok", frobenius=[norm, norm, norm])
            for n, norm in enumerate(norms)
        ]
        made = changed("a", samples=samples, stable_rank=Levels(min=2.0, median=2.0, max=2.0))
        made.release[0] = ReleaseRecord(noise="0.1", s=0.1, van_trees_share=0.4)
        rule = {"min": {"van_trees_share": {"noise": 0.1, "value": 0.5}}}
        return judge(whole(made), policy(rule), TODAY).rules[0].findings[0].label

    assert label(3.0, 3.0) == "bound"
    assert label(3.0, 3.3) == "estimated bound"
    # Of one, nobody knows whether it is the same elsewhere.
    assert label(3.0) == "estimated bound"


def test_noise_that_is_enough_may_be_more_than_is_needed() -> None:
    few, all_seen = whole(changed("a", complete=False)), whole(tensor())
    assert verdict(few, {"max": {"noise_for": 4.3}}) == "pass"
    assert verdict(few, {"max": {"noise_for": 4.1}}) == "inconclusive"
    assert verdict(all_seen, {"max": {"noise_for": 4.1}}) == "fail"
