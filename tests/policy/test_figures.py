"""Rules on single figures: for a target, by what kind of figure, and what was never tried."""

from __future__ import annotations

from typing import Any

import pytest

from onnxprobe.policy import judge
from onnxprobe.record import DofRecord, RankLevels, ReleaseRecord, Report, Share
from tests.policy.judgements import TODAY, changed, policy, verdict, whole
from tests.reports import tensor


def test_enough_noise_is_bounded_for_a_target() -> None:
    found = whole(tensor(noise_for={"0.05": 4.2, "0.01": 9.0}))

    def rule(value: float, **target: float) -> dict[str, Any]:
        return {"max": {"noise_for": {"value": value, **target}}}

    assert verdict(found, rule(4.2)) == "pass"
    assert verdict(found, rule(8.9, target=0.01)) == "fail"
    assert verdict(found, rule(9, target=1e-2)) == "pass"
    assert verdict(found, rule(9, target=0.2)) == "inconclusive"


def test_what_a_policy_speaks_of_is_asked_for() -> None:
    spoken = policy({
        "max": {"noise_for": [{"target": 0.2, "value": 1}, {"target": 0.01, "value": 2}, 3.0]},
        "min": {"van_trees_share": {"noise": 0.3, "value": 0.1}},
    })
    assert spoken.policy.targets == (0.2, 0.01)
    assert spoken.policy.noise == ("0.3",)


@pytest.mark.parametrize("wrong", [0, 1, -0.1, "most", True])
def test_a_target_is_a_share(wrong: Any) -> None:
    with pytest.raises(Exception, match="target"):
        policy({"max": {"noise_for": {"target": wrong, "value": 1}}})
    with pytest.raises(Exception, match="does not depend on a target"):
        policy({"max": {"rank": {"target": 0.1, "value": 1}}})


def test_a_finding_says_what_decides_it() -> None:
    def label(found: Report, bounds: dict[str, Any]) -> str | None:
        (finding,) = judge(found, policy(bounds), TODAY).rules[0].findings
        return finding.label

    share = {"max": {"recoverable_share": {"noise": 0.1, "value": 0.3}}}
    assert label(whole(tensor()), share) == "linear-Gaussian prediction"
    released = ReleaseRecord(
        noise="0.1", s=0.1, recoverable=Share(low=0.37, high=0.62), attained=0.5
    )
    assert label(whole(tensor(release=[released])), share) == "attained by a reconstruction"
    ranks = RankLevels(min=1, median=2, max=9, at_least=True)
    assert label(whole(changed("a", rank=ranks)), {"max": {"rank": 3}}) == "certified lower bound"
    assert label(whole(tensor()), {"max": {"rank": 3}}) == "measured"


def test_what_nobody_tried_to_reconstruct_fails_and_never_passes() -> None:
    release = ReleaseRecord(noise="0.1", s=0.1, recoverable=Share(low=0.2, high=0.3))
    found = whole(tensor(release=[release]))

    def rule(value: float) -> dict[str, Any]:
        return {"max": {"recoverable_share": {"noise": 0.1, "value": value}}}

    assert verdict(found, rule(1.0)) == "inconclusive"
    assert verdict(found, rule(0.1)) == "fail"
    finding = judge(found, policy(rule(1.0)), TODAY).rules[0].findings[0]
    assert "at least 8 samples" in finding.reason


def test_what_does_not_vary_passes_only_where_inputs_do() -> None:
    still = DofRecord(value=None, ceiling=0, share=None, status="constant", samples=50)
    moving = DofRecord(value=20.0, ceiling=49, share=1.0, status="ok", samples=50)
    for source, synthetic, expected in (
        (moving, False, "pass"), (still, False, "inconclusive"), (moving, True, "inconclusive"),
        (None, False, "inconclusive"),
    ):  # fmt: skip
        found = whole(tensor(dof=still))
        assert found.source is not None
        found = found.model_copy(
            update={
                "source": found.source.model_copy(update={"dof": source}),
                "data": found.data.model_copy(update={"synthetic": synthetic}),
            }
        )
        assert verdict(found, {"max": {"dof": 0}}) == expected
