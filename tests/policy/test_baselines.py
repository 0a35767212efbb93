"""Baselines: what an older report excuses, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from onnxprobe.policy import judge
from onnxprobe.record import PriorRecord, RankLevels, ReleaseRecord, Report, Share
from tests.policy.judgements import TODAY, changed, policy, verdict, whole
from tests.reports import COHORTS, report, tensor


def test_only_regressions_fail_beside_a_baseline() -> None:
    rule = {"max": {"rank": 60}}
    found = whole(tensor("a"), tensor("b"))
    worse = whole(changed("a", rank=RankLevels(min=1, median=2, max=62)), tensor("b"))
    judgement = judge(found, policy(rule), TODAY, worse)
    by_name = {each.tensor: each for each in judgement.rules[0].findings}
    assert (by_name["a"].verdict, by_name["a"].known) == ("fail", False)
    assert by_name["a"].reason == "the baseline had 62"
    assert (by_name["b"].verdict, by_name["b"].known) == ("warn", True)
    assert verdict(found, rule, baseline=found) == "warn"
    met = whole(changed("a", rank=RankLevels(min=1, median=2, max=60)), tensor("b"))
    assert verdict(found, rule, baseline=met) == "fail"
    assert verdict(found, rule, baseline=whole(tensor("b"))) == "fail"


def _between(low: float, high: float) -> Report:
    share = Share(low=low, high=high)
    release = [ReleaseRecord(noise="0.1", s=0.1, recoverable=share, attained=0.0)]
    return whole(tensor("a", release=release))


@pytest.mark.parametrize(
    ("now", "expected"),
    [((0.4, 0.4), "warn"), ((0.39, 0.4), "warn"), ((0.39, 0.95), "fail"), ((0.3, 0.39), "warn")],
)
def test_a_baseline_excuses_nothing_that_may_be_worse(
    now: tuple[float, float], expected: str
) -> None:
    rule = {"max": {"recoverable_share": {"noise": 0.1, "value": 0.2}}}
    assert verdict(_between(*now), rule, baseline=_between(0.4, 0.4)) == expected
    # What was no better known is no worse.
    assert verdict(_between(*now), rule, baseline=_between(0.4, 0.95)) == "warn"


def test_a_rank_that_is_no_more_than_a_lower_bound_is_not_excused_by_an_exact_one() -> None:
    few = RankLevels(min=1, median=2, max=62, at_least=True)
    rule = {"max": {"rank": 60}}
    assert verdict(whole(changed("a", rank=few)), rule, baseline=whole(tensor("a"))) == "fail"
    assert verdict(whole(changed("a", rank=few)), rule, baseline=whole(changed("a", rank=few))) == (
        "warn"
    )


def test_what_is_not_with_respect_to_the_input_is_noted() -> None:
    run = report().run.model_copy(update={"configuration": {"wrt": "relu"}})
    notes = judge(whole(tensor(), run=run), policy({"max": {"rank": 64}}), TODAY).notes
    assert notes == [
        "figures are with respect to 'relu', as --wrt asked, and say nothing of what comes before "
        "it"
    ]


def test_one_tensor_is_a_release_of_its_own() -> None:
    rule = {"role": None, "together": ["relu"], "max": {"rank": 63}}
    assert verdict(whole(tensor()), rule) == "fail"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"membership": COHORTS}, "it had other members or non-members"),
        (
            {"data": report().data.model_copy(update={"labels_digest": "99" * 32})},
            "it had other labels",
        ),
        ({"data": report().data.model_copy(update={"digest": "99" * 32})}, "other samples"),
        (
            {"run": report().run.model_copy(update={"configuration": {"directions": 8}})},
            "directions was 8 and is None",
        ),
        (
            {"prior": PriorRecord(kind="isotropic", variance=1.0, directions=64, share=1.0)},
            "the prior was isotropic and is data",
        ),
        ({"data": report().data.model_copy(update={"digest": None})}, "other samples"),
    ],
)
def test_a_baseline_that_was_measured_otherwise_excuses_nothing(
    changes: dict[str, Any], said: str
) -> None:
    found = whole(tensor())
    judgement = judge(found, policy({"max": {"rank": 60}}), TODAY, whole(tensor(), **changes))
    assert judgement.verdict == "fail"
    assert said in judgement.notes[0]


def test_a_verdict_names_its_baseline_and_its_day() -> None:
    found = whole(tensor())
    rules = policy({"max": {"rank": 60}})
    judgement = judge(found, rules, TODAY, found)
    assert (judgement.baseline, judgement.day) == (judgement.report, TODAY)
    assert judge(found, rules, TODAY).baseline is None
