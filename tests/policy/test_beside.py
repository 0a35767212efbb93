"""Rules on tokens, classes and membership: what passes, what fails, what nobody measured."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.policy import MEASURES, compare
from onnxprobe.policy.questions import Question
from onnxprobe.record import ClassRecord, ReleaseRecord, Report, SeparationRecord
from tests.policy.judgements import verdict, whole
from tests.reports import COHORTS, tensor

_STATISTICS = ("activation typicality", "Jacobian energy", "Jacobian effective rank")


def _separation(
    statistic: Any, auc: float, low: float, high: float, tpr: float | None = 0.02
) -> SeparationRecord:
    return SeparationRecord(
        statistic=statistic, auc=auc, low=low, high=high, tpr_at_1_percent_fpr=tpr
    )


def _told(*separations: SeparationRecord) -> Report:
    """Statistics that are not given tell nothing."""
    given = {each.statistic for each in separations}
    idle = [_separation(each, 0.5, 0.48, 0.52, 0.01) for each in _STATISTICS if each not in given]
    found = whole(tensor(membership=[*separations, *idle] if separations else []))
    return found.model_copy(update={"membership": COHORTS})


def _reason(found: Report, measure: str, noise: str = "") -> str:
    return MEASURES[measure].read(Question(found, found.tensors[0], noise)).reason


def test_membership_counts_the_statistic_that_tells_most() -> None:
    found = _told(
        _separation("activation typicality", 0.52, 0.47, 0.57),
        _separation("Jacobian energy", 0.65, 0.6, 0.7, tpr=0.08),
    )
    assert verdict(found, {"max": {"membership_auc": 0.7}}) == "pass"
    assert verdict(found, {"max": {"membership_auc": 0.65}}) == "inconclusive"
    assert verdict(found, {"max": {"membership_auc": 0.59}}) == "fail"
    assert verdict(found, {"max": {"membership_tpr": 0.08}}) == "pass"
    assert verdict(found, {"max": {"membership_tpr": 0.07}}) == "fail"


def test_below_a_half_tells_as_much_as_above() -> None:
    found = _told(_separation("Jacobian energy", 0.3, 0.25, 0.35))
    assert verdict(found, {"max": {"membership_auc": 0.64}}) == "fail"
    assert verdict(found, {"max": {"membership_auc": 0.75}}) == "pass"
    crossing = _told(_separation("Jacobian energy", 0.5, 0.3, 0.6))
    assert verdict(crossing, {"max": {"membership_auc": 0.69}}) == "inconclusive"
    assert verdict(crossing, {"max": {"membership_auc": 0.71}}) == "pass"


def test_what_was_not_measured_is_not_safe() -> None:
    for measure in ("membership_auc", "membership_tpr"):
        assert verdict(whole(tensor()), {"max": {measure: 1.0}}) == "inconclusive"
        assert "give --members" in _reason(whole(tensor()), measure)
        assert "no statistic" in _reason(_told(), measure)
    few = _told(_separation("Jacobian energy", 0.5, 0.4, 0.6, tpr=None))
    assert verdict(few, {"max": {"membership_tpr": 1.0}}) == "inconclusive"
    assert "100 non-members" in _reason(few, "membership_tpr")


def test_a_statistic_that_nobody_could_compare_may_tell_more() -> None:
    told = _separation("activation typicality", 0.65, 0.6, 0.7)
    found = whole(tensor(membership=[told])).model_copy(update={"membership": COHORTS})
    assert verdict(found, {"max": {"membership_auc": 0.9}}) == "inconclusive"
    assert verdict(found, {"max": {"membership_auc": 0.55}}) == "fail"
    assert "Jacobian energy" in _reason(found, "membership_auc")


def test_classes_need_labels() -> None:
    found = whole(tensor(classes=ClassRecord(classes=10, radius=0.1, share=0.3)))
    assert verdict(found, {"max": {"intra_class_share": 0.3}}) == "pass"
    assert verdict(found, {"min": {"intra_class_share": 0.31}}) == "fail"
    assert verdict(whole(tensor()), {"max": {"intra_class_share": 1}}) == "inconclusive"
    assert "--labels" in _reason(whole(tensor()), "intra_class_share")


def _tokens(share: float | None, *, synthetic: bool = False) -> Report:
    released = [ReleaseRecord(noise="0.1", s=0.1, tokens_reidentified=share)]
    found = whole(tensor(release=released))
    assert found.source is not None
    changes: dict[str, Any] = {
        "source": found.source.model_copy(update={"tokens": 256, "vocabulary": 1000}),
        "data": found.data.model_copy(update={"synthetic": synthetic}),
    }
    return found.model_copy(update=changes)


def test_tokens_are_bounded_at_a_noise() -> None:
    def rule(value: float, noise: float = 0.1) -> dict[str, Any]:
        return {"max": {"tokens_reidentified": {"noise": noise, "value": value}}}

    assert verdict(_tokens(0.4), rule(0.4)) == "pass"
    assert verdict(_tokens(0.4), rule(0.39)) == "fail"
    assert verdict(_tokens(None), rule(1)) == "inconclusive"
    assert verdict(_tokens(0.4), rule(1, noise=0.3)) == "inconclusive"
    assert verdict(whole(tensor()), rule(1)) == "inconclusive"


def test_tokens_that_were_drawn_can_fail_and_never_pass() -> None:
    def rule(value: float) -> dict[str, Any]:
        return {"max": {"tokens_reidentified": {"noise": 0.1, "value": value}}}

    assert verdict(_tokens(0.4, synthetic=True), rule(0.5)) == "inconclusive"
    assert verdict(_tokens(0.4, synthetic=True), rule(0.3)) == "fail"


@pytest.mark.parametrize(
    ("other", "significant"), [((0.55, 0.51, 0.6), False), ((0.8, 0.75, 0.85), True)]
)
def test_a_change_of_membership_is_significant_beyond_both_intervals(
    other: tuple[float, float, float], significant: bool
) -> None:
    before = _told(_separation("Jacobian energy", 0.6, 0.55, 0.65))
    after = _told(_separation("Jacobian energy", *other))
    (found,) = (each for each in compare(before, after).differences if each.measure != "rank")
    assert (found.measure, found.significant) == ("membership_auc", significant)


@given(
    low=st.floats(0, 0.5), width=st.floats(0, 0.5), worse=st.floats(0, 0.5),
    limit=st.floats(0, 1), synthetic=st.booleans(), statistic=st.booleans(),
)  # fmt: skip
def test_worse_figures_never_turn_a_fail_into_a_pass(
    low: float, width: float, worse: float, limit: float, synthetic: bool, statistic: bool
) -> None:
    """Tokens, membership either way from a half, classes, and the noise that is enough."""

    def found(extra: float) -> Report:
        half = 0.5 + min(0.5, (low + extra) / 2)
        top = min(1.0, half + width / 2)
        ends = (half, top) if statistic else (1 - top, 1 - half)
        told = _separation("Jacobian energy", ends[0], *ends, tpr=min(1.0, low + extra))
        share = min(1.0, low + extra)
        made = tensor(
            release=[ReleaseRecord(noise="0.1", s=0.1, tokens_reidentified=share)],
            membership=[told],
            classes=ClassRecord(classes=2, radius=1.0, share=share),
            noise_for={"0.05": low + extra},
        )
        whole_report = _tokens(share, synthetic=synthetic)
        return whole_report.model_copy(update={"tensors": [made], "membership": COHORTS})

    order = ["pass", "inconclusive", "fail"]
    for name in ("tokens_reidentified", "membership_auc", "membership_tpr", "intra_class_share",
                 "noise_for"):  # fmt: skip
        noise = {"noise": 0.1} if MEASURES[name].needs_noise else {}
        rule = {"max": {name: {"value": limit, **noise}}}
        before, after = verdict(found(0.0), rule), verdict(found(worse), rule)
        assert order.index(after) >= order.index(before), name
