"""Differences between reports, and which of them mean something."""

from __future__ import annotations

from typing import Any

import pytest

from onnxprobe.policy import compare, follow
from onnxprobe.policy.verification import verify
from onnxprobe.record import (
    Coverage,
    DofRecord,
    FileRecord,
    JointRecord,
    Levels,
    Omission,
    RankLevels,
    ReleaseRecord,
    Report,
    Share,
    TensorRecord,
)
from tests.reports import report, tensor


def _changed(name: str = "a", **changes: Any) -> TensorRecord:
    base = tensor(name)
    assert base.jacobian is not None
    return base.model_copy(update={"jacobian": base.jacobian.model_copy(update=changes)})


def _found(one: Report, other: Report) -> dict[str, bool]:
    return {
        f"{each.measure}{f' at {each.noise}' if each.noise else ''}": each.significant
        for each in compare(one, other).differences
    }


def test_a_report_differs_in_nothing_from_itself() -> None:
    found = compare(report(tensor()), report(tensor()))
    assert (found.differences, found.notes) == ([], [])
    assert (found.pairs, found.renamed, found.only_before, found.only_after) == (1, 0, [], [])


def test_another_rank_is_significant() -> None:
    other = report(_changed(rank=RankLevels(min=1, median=30, max=60)))
    assert _found(report(_changed()), other) == {"rank": True, "rank_share": True}


def test_what_the_floor_explains_is_not() -> None:
    levels = Levels(min=3.0, median=3.1, max=4.0 * 1.0005)
    assert _found(report(_changed()), report(_changed(stable_rank=levels))) == {
        "stable_rank": False
    }
    clear = Levels(min=3.0, median=3.1, max=4.1)
    assert _found(report(_changed()), report(_changed(stable_rank=clear))) == {"stable_rank": True}


def test_intervals_that_meet_are_not_apart() -> None:
    def found(low: float, high: float) -> Report:
        share = Share(low=low, high=high)
        release = [ReleaseRecord(noise="0.1", s=0.1, recoverable=share, attained=0.05)]
        return report(tensor("a", release=release))

    assert _found(found(0.1, 0.3), found(0.25, 0.5)) == {"recoverable_share at 0.1": False}
    assert _found(found(0.1, 0.2), found(0.25, 0.5)) == {"recoverable_share at 0.1": True}
    assert _found(found(0.3, 0.5), found(0.1, 0.2)) == {"recoverable_share at 0.1": True}


def test_a_weak_prior_hides_no_difference() -> None:
    prior = report().prior
    assert prior is not None
    weak = prior.model_copy(update={"kind": "isotropic"})

    def found(low: float, high: float) -> Report:
        share = Share(low=low, high=high)
        release = [ReleaseRecord(noise="0.1", s=0.1, recoverable=share)]
        return report(tensor("a", release=release), prior=weak)

    assert _found(found(0.1, 0.2), found(0.25, 0.5)) == {"recoverable_share at 0.1": True}


def test_a_trajectory_says_what_else_changed() -> None:
    data = report().data.model_copy(update={"digest": "ff" * 32})
    run = report().run.model_copy(update={"configuration": {"directions": 8}})
    assert follow([report(tensor()), report(tensor())]).notes == []
    assert follow([report(tensor()), report(tensor(), data=data, run=run)]).notes == [
        "model.onnx: it had other samples",
        "model.onnx: directions was None and is 8",
    ]


def test_joint_releases_and_sufficient_noise_are_compared() -> None:
    # More digits than a number is usually shown with.
    run = report().run.model_copy(update={"configuration": {"targets": [0.05123456789]}})

    def found(needed: float) -> Report:
        enough = {"0.05123456789": needed}
        joint = JointRecord(tensors=["a", "b"], record=tensor(noise_for=enough))
        return report(tensor("a"), together=[joint], run=run)

    (difference,) = compare(found(4.0), found(5.0)).differences
    assert (difference.tensor, difference.measure, difference.target) == (
        "a + b", "noise_for", "0.05123456789",
    )  # fmt: skip
    assert (difference.change, difference.significant) == (0.25, True)


def test_what_may_be_larger_is_not_apart_from_what_is() -> None:
    rank = RankLevels(min=1, median=3, max=5, at_least=True)
    assert _found(report(_changed(rank=rank)), report(_changed())) == {
        "rank": False,
        "rank_share": False,
    }


def test_other_samples_widen_what_is_compared() -> None:
    data = report().data.model_copy(update={"digest": "ff" * 32})
    rank = RankLevels(min=61, median=62, max=62)
    other = report(_changed(rank=rank), data=data)
    assert _found(report(_changed()), other) == {"rank": False, "rank_share": False}
    assert "the samples are not known to be the same" in compare(report(), other).notes[0]
    few = RankLevels(min=1, median=2, max=3)
    assert _found(report(_changed()), report(_changed(rank=few), data=data))["rank"]


def test_degrees_of_freedom_are_allowed_what_sampling_does() -> None:
    def found(value: float, digest: str) -> Report:
        dof = DofRecord(value=value, ceiling=499, share=None, status="ok", samples=500)
        data = report().data.model_copy(update={"digest": digest})
        return report(tensor("a", dof=dof), data=data)

    assert _found(found(20, "a"), found(20.5, "a")) == {"dof": True}
    assert _found(found(20, "a"), found(20.5, "b")) == {"dof": False}
    assert _found(found(20, "a"), found(25, "b")) == {"dof": True}


def test_options_that_differ_are_noted() -> None:
    run = report().run.model_copy(update={"configuration": {"directions": 7}, "interrupted": "x"})
    assert compare(report(), report(run=run)).notes == [
        "directions was None and is 7",
        "the second analysis was not complete",
    ]


def test_tensors_without_a_partner_are_named() -> None:
    found = compare(report(tensor("a")), report(tensor("b", op_type="Conv")))
    assert (found.pairs, found.only_before, found.only_after) == (0, ["a"], ["b"])


def test_a_trajectory_has_its_two_figures() -> None:
    ranks = [10, 20, 5]
    reports = [report(_changed(rank=RankLevels(min=1, median=2, max=rank))) for rank in ranks]
    found = follow(reports)
    (series,) = [each for each in found.series if each.measure == "rank"]
    assert series.values == [10, 20, 5]
    # Mean 35/3, mean of squares 175, so the variance is 350/9.
    assert series.cv == pytest.approx((350 / 9) ** 0.5 / (35 / 3))
    assert series.mcr == 1.0
    (still,) = [each for each in found.series if each.measure == "dof"]
    assert (still.cv, still.mcr) == (0.0, 0.0)


def test_what_is_unknown_or_lost_is_said() -> None:
    rank = RankLevels(min=1, median=2, max=3, at_least=True)
    reports = [
        report(_changed(rank=rank), tensor("b")),
        report(_changed(status="non-finite"), tensor("c", op_type="Conv")),
        report(_changed(rank=rank), tensor("b")),
    ]
    found = follow(reports)
    assert found.lost == ["b"]
    (series,) = [each for each in found.series if each.measure == "rank"]
    assert (series.values, series.at_least) == ([3, None, 3], [True, False, True])
    assert (series.cv, series.mcr) == (0.0, None)
    with pytest.raises(ValueError, match="two checkpoints or more, got 1"):
        follow(reports[:1])


def test_a_true_report_is_confirmed() -> None:
    found = verify(report(tensor()), report(tensor()))
    assert (found.confirmed, found.how, found.problems) == (True, "byte for byte", [])
    run = report().run.model_copy(update={"versions": {"onnxprobe": "9", "onnx": "1"}})
    close = _changed("relu", stable_rank=Levels(min=3.0, median=3.1416, max=4.0 * 1.0005))
    found = verify(report(tensor()), report(close, run=run))
    assert (found.confirmed, found.how) == (True, "within the noise floors")
    assert found.notes == ["onnx was absent and is 1", "onnxprobe was 0.1.0 and is 9"]


def test_a_false_report_is_not() -> None:
    true = report(tensor())
    model = true.model.model_copy(
        update={"files": [FileRecord(name="m.onnx", sha256="cd" * 32, size_bytes=9)]}
    )
    data = true.data.model_copy(update={"digest": "00" * 32})
    coverage = Coverage(tensors=2, analysed=1, skipped=[Omission(name="x", reason="no")], failed=[])
    for changes, sentence in (
        ({"model": model}, "model.onnx is another file than the report's: sha256 cdcdcdcdcdcd"),
        ({"data": data}, "the samples are others than those of the report"),
        ({"coverage": coverage}, "tensor 'x' is left out now"),
        ({"tensors": [_changed("relu", rank=RankLevels(min=1, median=1, max=1))]},
         "rank of 'relu' is 1, not 64"),
        ({"tensors": [tensor("other", op_type="Conv")]}, "tensor 'relu' is not in the model"),
    ):  # fmt: skip
        found = verify(true, true.model_copy(update=changes))
        assert not found.confirmed
        assert found.how == "not"
        assert any(problem.startswith(sentence) for problem in found.problems), found.problems


def test_a_report_cannot_choose_how_it_is_judged() -> None:
    """Nor hide what decides a verdict: wide floors, ends, roles, priors, releases."""
    true = report(tensor(), together=[JointRecord(tensors=["relu"], record=tensor("j"))])
    floor, few = Levels(min=1e9, median=1e9, max=1e9), RankLevels(min=1, median=1, max=1)
    share = [ReleaseRecord(noise="0.1", s=0.1, recoverable=Share(low=0.0, high=0.001))]
    joint = JointRecord(tensors=["relu"], record=tensor("j", release=share))
    assert true.prior is not None
    doctored: dict[str, dict[str, Any]] = {
        "a floor": {"tensors": [_changed("relu", noise_floor=floor, rank=few)]},
        "a release": {"tensors": [tensor(release=share)]},
        "a bound": {"tensors": [tensor(noise_for={"0.05": 1e-6})]},
        "a status": {"tensors": [tensor(status="at least")]},
        "a joint release": {"together": [joint]},
        "no joint release": {"together": []},
        "outputs": {"model": true.model.model_copy(update={"outputs": ["other"]})},
        "the graph": {"graph": {"relu": ["x"]}},
        "the prior": {"prior": true.prior.model_copy(update={"kind": "image"})},
        "the range": {"prior": true.prior.model_copy(update={"range_assumed": True})},
    }
    for what, changes in doctored.items():
        found = verify(true.model_copy(update=changes), true)
        assert not found.confirmed, what
        assert found.how == "not"


def test_a_report_without_a_digest_is_held_to_its_number_of_samples() -> None:
    hidden = report().data.model_copy(update={"digest": None})
    fewer = hidden.model_copy(update={"samples": 3})
    assert verify(report(tensor(), data=hidden), report(tensor(), data=hidden)).confirmed
    found = verify(report(tensor(), data=hidden), report(tensor(), data=fewer))
    assert found.problems == ["there are 3 samples, not 500"]
