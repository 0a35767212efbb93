"""Verdicts: every kind, every way to soften one, and that worse figures never help."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.errors import PolicyError
from onnxprobe.policy import MEASURES, Judgement, judge
from onnxprobe.policy.verdict import EXIT_CODES
from onnxprobe.record import (
    Coverage,
    DofRecord,
    Levels,
    Omission,
    RankLevels,
    ReleaseRecord,
    Report,
    Share,
)
from tests.policy.judgements import TODAY, changed, policy, verdict, whole
from tests.reports import report, tensor


def test_a_bound_passes_or_fails() -> None:
    found = whole(tensor())
    assert verdict(found, {"max": {"rank": 64}}) == "pass"
    # The worst sample counts, not the median.
    assert verdict(found, {"max": {"rank": 63}}) == "fail"
    assert verdict(found, {"max": {"rank_share": 1.0}}) == "pass"
    assert verdict(found, {"max": {"rank": {"tolerance": 0.01, "value": 52}}}) == "pass"
    assert verdict(found, {"max": {"rank": {"tolerance": "1e-2", "value": 51}}}) == "fail"
    # From below, it is the lowest that counts.
    assert verdict(found, {"min": {"rank": 60}}) == "pass"
    assert verdict(found, {"min": {"rank": 61}}) == "fail"
    assert verdict(found, {"min": {"stable_rank": 3.1}}) == "fail"


def test_between_the_ends_it_is_inconclusive() -> None:
    found = whole(tensor())

    def share(value: float) -> dict[str, Any]:
        return {"max": {"recoverable_share": {"noise": 0.1, "value": value}}}

    assert verdict(found, share(0.62)) == "pass"
    assert verdict(found, share(0.5)) == "inconclusive"
    assert verdict(found, share(0.36)) == "fail"


@pytest.mark.parametrize("noise", ["0.1", "1e-1", 0.1, "0.10"])
def test_a_level_of_noise_is_known_however_it_is_spelled(noise: str | float) -> None:
    rule = {"max": {"recoverable_share": {"noise": noise, "value": 0.7}}}
    assert verdict(whole(tensor()), rule) == "pass"


def test_what_a_reconstruction_attains_counts_whatever_is_predicted() -> None:
    def found(attained: float, **changes: Any) -> Report:
        made = changed("a", **changes)
        share = Share(low=0.1, high=0.2)
        made.release[0] = ReleaseRecord(noise="0.1", s=0.1, recoverable=share, attained=attained)
        return whole(made)

    rule = {"max": {"recoverable_share": {"noise": 0.1, "value": 0.3}}}
    assert verdict(found(0.25), rule) == "pass"
    assert verdict(found(0.35), rule) == "fail"
    # Where no derivative tells anything, it can still fail a rule, and never pass one.
    assert verdict(found(0.35, status="piecewise constant"), rule) == "fail"
    assert verdict(found(0.0, status="piecewise constant"), rule) == "inconclusive"


def test_a_noise_that_was_not_measured_is_asked_for() -> None:
    rule = {"max": {"recoverable_share": {"noise": 3, "value": 1}}}
    judgement = judge(whole(tensor()), policy(rule), TODAY)
    assert judgement.verdict == "inconclusive"
    assert judgement.rules[0].findings[0].reason == (
        "the report has no figures at noise 3: --noise adds them"
    )


def test_lower_bounds_fail_a_rule_and_never_pass_one() -> None:
    rank = RankLevels(min=60, median=62.5, max=64, at_least=True)
    found = whole(changed("a", rank=rank))
    assert verdict(found, {"max": {"rank": 63}}) == "fail"
    assert verdict(found, {"max": {"rank": 1000}}) == "inconclusive"
    saturated = DofRecord(value=21.0, ceiling=22, share=0.8, status="saturated", samples=23)
    found = whole(tensor("a", dof=saturated))
    assert verdict(found, {"max": {"dof": 20}}) == "fail"
    assert verdict(found, {"max": {"dof": 1000}}) == "inconclusive"
    partial = changed("a", complete=False)
    levels = Levels(min=1.0, median=2.0, max=3.0)
    partial.release[0] = ReleaseRecord(noise="0.1", s=0.1, bits=levels)
    found = whole(partial)
    assert verdict(found, {"max": {"bits": {"noise": 0.1, "value": 2}}}) == "fail"
    assert verdict(found, {"max": {"bits": {"noise": 0.1, "value": 4}}}) == "inconclusive"


@pytest.mark.parametrize(
    ("kind", "assumed", "advice"),
    [
        ("isotropic", False, "give --data"),
        ("image", True, "the range of the pixels was assumed"),
    ],
)
def test_a_weak_prior_never_passes_a_rule(kind: str, assumed: bool, advice: str) -> None:
    prior = report().prior
    assert prior is not None
    weak = prior.model_copy(update={"kind": kind, "range_assumed": assumed})
    found = whole(tensor(), prior=weak)
    rule = {"max": {"recoverable_share": {"noise": 0.1, "value": 0.99}}}
    judgement = judge(found, policy(rule), TODAY)
    assert judgement.verdict == "inconclusive"
    assert advice in judgement.rules[0].findings[0].reason
    fails = {"max": {"recoverable_share": {"noise": 0.1, "value": 0.1}}}
    assert verdict(found, fails) == "fail"
    bound = {"min": {"van_trees_share": {"noise": 0.1, "value": 0.0}}}
    assert verdict(found, bound) == "inconclusive"
    assert verdict(whole(tensor(), prior=None), rule) == "inconclusive"
    founded = prior.model_copy(update={"kind": "image"})
    assert verdict(whole(tensor(), prior=founded), rule) == "pass"


@pytest.mark.parametrize(
    "status",
    ["independent", "piecewise constant", "not differentiable", "not repeatable", "non-finite"],
)
def test_a_jacobian_that_tells_nothing_passes_nothing(status: str) -> None:
    found = whole(changed("a", status=status))
    for measure, limit in (("rank", 1000), ("rank_share", 1), ("noise_for", 1000)):
        assert verdict(found, {"max": {measure: limit}}) == "inconclusive"
    without = whole(tensor("a", jacobian=None))
    assert verdict(without, {"max": {"rank": 1000}}) == "inconclusive"


def test_what_is_not_comparable_is_inconclusive() -> None:
    found = whole(changed("a", not_comparable=["stable_rank"]))
    assert verdict(found, {"max": {"stable_rank": 1000}}) == "inconclusive"
    assert verdict(whole(tensor()), {"max": {"stable_rank": 4}}) == "pass"
    assert verdict(whole(tensor()), {"max": {"stable_rank": 3.9}}) == "fail"


def test_no_noise_is_enough_is_inconclusive() -> None:
    rule = {"max": {"noise_for": 100}}
    assert verdict(whole(tensor(noise_for={"0.05": None})), rule) == "inconclusive"
    assert verdict(whole(tensor()), rule) == "pass"
    assert verdict(whole(tensor()), {"max": {"noise_for": 4}}) == "fail"


def test_error_bounds_are_bounded_from_below() -> None:
    release = ReleaseRecord(
        noise="0.1", s=0.1, van_trees_mse=0.5, van_trees_share=0.8, unbiased_mse=0.25,
        dfil=Levels(min=3.0, median=3.5, max=4.0),
    )  # fmt: skip
    found = whole(tensor(release=[release]))
    for measure, value in (
        ("van_trees_mse", 0.5),
        ("van_trees_share", 0.8),
        ("unbiased_mse", 0.25),
    ):
        assert verdict(found, {"min": {measure: {"noise": 0.1, "value": value}}}) == "pass"
        assert verdict(found, {"min": {measure: {"noise": 0.1, "value": value + 0.1}}}) == "fail"
    assert verdict(found, {"max": {"dfil": {"noise": 0.1, "value": 4}}}) == "pass"
    assert verdict(found, {"max": {"dfil": {"noise": 0.1, "value": 3.9}}}) == "fail"


def test_warnings_do_not_fail() -> None:
    rule = {"max": {"rank": 1}, "severity": "warning"}
    judgement = judge(whole(tensor()), policy(rule), TODAY)
    assert (judgement.verdict, judgement.exit_code) == ("warn", 0)


def test_the_worst_verdict_counts() -> None:
    passing, failing = {"max": {"rank": 64}}, {"max": {"rank": 1}}
    warning = failing | {"severity": "warning"}
    open_rule = {"max": {"recoverable_share": {"noise": 0.1, "value": 0.5}}}
    absent = {"tensors": "none", "max": {"rank": 1}, "optional": True}
    found = whole(tensor())
    cases: list[tuple[list[dict[str, Any]], str, int]] = [
        ([absent], "not applicable", 0),
        ([absent, passing], "pass", 0),
        ([passing, warning], "warn", 0),
        ([passing, warning, open_rule], "inconclusive", 4),
        ([passing, warning, open_rule, failing], "fail", 1),
    ]
    for rules, expected, code in cases:
        judgement = judge(found, policy(*rules), TODAY)
        assert (judgement.verdict, judgement.exit_code) == (expected, code)
    assert EXIT_CODES == {"pass": 0, "warn": 0, "not applicable": 0, "fail": 1, "inconclusive": 4}


def test_incomplete_analyses_never_pass() -> None:
    run = report().run.model_copy(update={"interrupted": "interrupted"})
    found = whole(tensor(), run=run)
    assert verdict(found, {"max": {"rank": 64}}) == "inconclusive"
    assert verdict(found, {"max": {"rank": 1}}) == "fail"
    failed = Coverage(
        tensors=2, analysed=1, skipped=[], failed=[Omission(name="b", reason="it crashed")]
    )
    found = whole(tensor(), coverage=failed)
    judgement = judge(found, policy({"tensors": "relu", "max": {"rank": 64}}), TODAY)
    assert (judgement.verdict, judgement.complete) == ("inconclusive", False)
    assert judgement.notes == ["the analysis was not complete: 1 tensors failed"]


def test_what_was_not_analysed_is_inconclusive_unless_no_input_reaches_it() -> None:
    skipped = Coverage(
        tensors=3, analysed=1, failed=[],
        skipped=[
            Omission(name="text", reason="a string tensor"),
            Omission(name="size", reason="constant: no input reaches it", constant=True),
        ],
    )  # fmt: skip
    found = whole(tensor(), coverage=skipped)
    judgement = judge(found, policy({"max": {"rank": 64}}), TODAY)
    (finding,) = judgement.rules[0].findings
    assert (finding.tensor, finding.verdict) == ("text", "inconclusive")
    assert finding.reason == "it was not analysed: a string tensor"
    only = {"tensors": "size", "role": "all", "max": {"rank": 0}}
    with pytest.raises(PolicyError, match="matches only tensors that no input reaches"):
        judge(found, policy(only), TODAY)
    assert judge(found, policy(only | {"optional": True}), TODAY).verdict == "not applicable"


def test_a_tensor_of_zeros_proves_nothing() -> None:
    zero = ReleaseRecord(noise="0.1", s=None)
    found = whole(tensor(release=[zero]))
    for bounds in (
        {"max": {"recoverable_share": {"noise": 0.1, "value": 1}}},
        {"min": {"van_trees_share": {"noise": 0.1, "value": 0}}},
    ):
        assert verdict(found, bounds) == "inconclusive"


def test_too_few_samples_are_no_prior() -> None:
    prior = report().prior
    assert prior is not None
    rule = {"max": {"recoverable_share": {"noise": 0.1, "value": 0.99}}}
    for share, expected in ((0.25, "inconclusive"), (0.9, "pass"), (None, "inconclusive")):
        known = prior.model_copy(update={"held_out_share": share})
        assert verdict(whole(tensor(), prior=known), rule) == expected


def test_degrees_of_freedom_of_drawn_samples_pass_nothing() -> None:
    data = report().data.model_copy(update={"synthetic": True})
    assert verdict(whole(tensor(), data=data), {"max": {"dof": 1000}}) == "inconclusive"
    assert verdict(whole(tensor(), data=data), {"max": {"dof": 1}}) == "fail"


def test_an_exact_name_in_a_waiver_is_no_glob() -> None:
    waiver = {"rule": "rule 0", "tensors": ["a[0]"], "reason": "x", "expires": TODAY}
    found = whole(tensor("a[0]"), tensor("a0"), graph={"a[0]": [], "a0": []})
    rule = {"tensors": ["a0"], "max": {"rank": 1}}
    assert judge(found, policy(rule, waivers=[waiver]), TODAY).verdict == "fail"


def test_waivers_count_until_they_end() -> None:
    waiver = {"rule": "rule 0", "tensors": ["re*"], "reason": "known", "expires": TODAY}
    rule = {"max": {"rank": 1}}

    def judged(**changes: Any) -> Judgement:
        return judge(whole(tensor()), policy(rule, waivers=[waiver | changes]), TODAY)

    waived = judged()
    assert (waived.verdict, waived.exit_code, waived.notes) == ("warn", 0, [])
    assert waived.rules[0].findings[0].waived == "known (until 2026-06-01)"
    late = judged(expires=date(2026, 5, 31))
    assert late.verdict == "fail"
    assert late.notes == ["the waiver of 'rule 0' ended on 2026-05-31"]
    other = judged(tensors=["other"])
    assert other.verdict == "fail"
    assert other.notes == ["the waiver of 'rule 0' until 2026-06-01 was not needed"]
    assert judged(tensors=None).verdict == "warn"
    idle = judge(whole(tensor()), policy({"max": {"rank": 64}}, waivers=[waiver]), TODAY)
    assert idle.verdict == "pass"
    assert idle.notes == ["the waiver of 'rule 0' until 2026-06-01 was not needed"]


RANKS = st.integers(0, 64)
SHARES = st.floats(0, 1)


@given(
    rank=RANKS, more=RANKS, low=SHARES, width=SHARES, worse=SHARES, at_least=st.booleans(),
    limit=SHARES, kind=st.sampled_from(["data", "image", "isotropic"]), side=st.booleans(),
)  # fmt: skip
def test_worse_figures_never_turn_a_fail_into_a_pass(
    rank: int, more: int, low: float, width: float, worse: float, at_least: bool, limit: float,
    kind: str, side: bool,
) -> None:  # fmt: skip
    """Raising what is bounded from above, or lowering what is bounded from below."""
    prior = report().prior
    assert prior is not None

    def found(extra_rank: int, extra: float) -> Report:
        levels = RankLevels(min=0, median=1, max=rank + extra_rank, at_least=at_least)
        made = changed("a", rank=levels)
        share = Share(low=min(1, low + extra), high=min(1, low + width + extra))
        error = max(0.0, 1 - low - extra)
        made.release[0] = ReleaseRecord(
            noise="0.1", s=0.1, recoverable=share, van_trees_share=error
        )
        return whole(made, prior=prior.model_copy(update={"kind": kind}))

    bounds = (
        {"max": {"rank_share": limit, "recoverable_share": {"noise": 0.1, "value": limit}}}
        if side
        else {"min": {"van_trees_share": {"noise": 0.1, "value": limit}}}
    )
    order = ["pass", "inconclusive", "fail"]
    before, after = verdict(found(0, 0.0), bounds), verdict(found(more, worse), bounds)
    assert order.index(after) >= order.index(before)


def test_the_worst_finding_comes_first() -> None:
    found = whole(changed("a", rank=RankLevels(min=1, median=2, max=5)), tensor("b"))
    judgement = judge(found, policy({"max": {"rank": 1}}), TODAY)
    assert [each.tensor for each in judgement.rules[0].findings] == ["b", "a"]


def test_every_measure_can_be_read_of_any_tensor() -> None:
    for made in (tensor(), tensor(jacobian=None, dof=None, release=[])):
        for name, measure in MEASURES.items():
            bound = {"value": 0.0} | ({"noise": 0.1} if measure.needs_noise else {})
            for side in ("max", "min"):
                assert verdict(whole(made), {side: {name: bound}}) in {
                    "pass", "fail", "inconclusive",
                }  # fmt: skip
