"""Measures beside the reconstruction of inputs: tokens, classes, membership."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from onnxprobe.policy.questions import Measure, Question, Reader, Reading, exactly, same_noise
from onnxprobe.record import SeparationRecord, Statistic

__all__ = ["BESIDE"]

_NO_MEMBERS = (
    "membership was not measured, which says nothing of it: give --members and --non-members"
)
_STATISTICS: frozenset[Statistic] = frozenset(get_args(Statistic))
_FEW = "the true positive rate needs 100 non-members: give more --non-members"


def _tokens(question: Question) -> Reading:
    source = question.report.source
    if source is None or source.tokens is None:
        return exactly(None, "the source is no lookup of tokens in a table")
    for each in question.tensor.release:
        if same_noise(each.noise, question.noise):
            share = each.tokens_reidentified
            if question.is_judged and question.report.data.synthetic:
                reason = "the samples were drawn, and say nothing of texts: give --data"
                return Reading(None if question.side == "min" else share, None, reason)
            return exactly(share, "it was not measured for this tensor")
    return exactly(None, f"the report has no figures at noise {question.noise}: --noise adds them")


def _class_share(question: Question) -> Reading:
    classes = question.tensor.classes
    return exactly(
        classes.share if classes else None, "nobody said which sample is of which class: --labels"
    )


def _membership(read: Callable[[SeparationRecord], Reading]) -> Reader:
    """Take the statistic that tells most; another one may tell more still."""

    def over_all(question: Question) -> Reading:
        if question.report.membership is None:
            return exactly(None, _NO_MEMBERS)
        found = [read(each) for each in question.tensor.membership]
        lows = [each.low for each in found if each.low is not None]
        highs = [each.high for each in found if each.high is not None]
        if len(lows) < len(found) or not found:
            return exactly(None, _FEW if found else "no statistic of it could be compared")
        known = {each.statistic for each in question.tensor.membership}
        if question.is_judged and known != _STATISTICS:
            # What could not be compared may tell more.
            missing = ", ".join(sorted(_STATISTICS - known))
            return Reading(max(lows), None, f"nobody could compare its {missing}")
        return Reading(max(lows), max(highs), "give more --members and --non-members")

    return over_all


def _auc(found: SeparationRecord) -> Reading:
    """An AUC below a half tells as much as one above."""
    ends = (abs(found.low - 0.5), abs(found.high - 0.5))
    crosses = found.low <= 0.5 <= found.high
    return Reading(0.5 if crosses else 0.5 + min(ends), 0.5 + max(ends))


def _rate(found: SeparationRecord) -> Reading:
    return exactly(found.tpr_at_1_percent_fpr)


BESIDE: dict[str, Measure] = {
    "tokens_reidentified": Measure(
        _tokens,
        "share of tokens that a reconstruction re-identifies at this release noise",
        needs_noise=True,
        label="attained by a reconstruction",
    ),
    "intra_class_share": Measure(
        _class_share, "share of the variance within classes (needs labels)"
    ),
    "membership_auc": Measure(
        _membership(_auc),
        "how well an untrained statistic tells members from non-members: the largest AUC, from 0.5 "
        "to 1",
    ),
    "membership_tpr": Measure(
        _membership(_rate), "the largest share of members found at 1 % false positives"
    ),
}
