"""What cuts are worth, and which are worth looking at."""

from __future__ import annotations

from typing import Any

import pytest

from onnxprobe.policy.splits import Constraints, Cut, NodeCost, rate_cuts
from onnxprobe.record import JointRecord, ReleaseRecord, Report, Share, TensorRecord
from tests.reports import report, tensor

PARENTS = {"a": ["x"], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
COSTS = [
    NodeCost(outputs=[name], operator="Conv", multiply_adds=count)
    for name, count in (("a", 100), ("b", 20), ("c", 3), ("d", 1000))
]


def _tensor(name: str, share: float, **changes: Any) -> TensorRecord:
    release = ReleaseRecord(
        noise="0.1",
        s=0.1,
        recoverable=Share(low=share, high=share),
        attained=share / 2,
        van_trees_share=1 - share,
    )
    return tensor(name, release=[release], **changes)


def _report(**changes: Any) -> Report:
    joint = JointRecord(tensors=["c", "b"], record=_tensor("joint", 0.7))
    return report(
        _tensor("a", 0.9, shape=[1, 8]), _tensor("b", 0.6, shape=[1, 4]),
        _tensor("c", 0.5, shape=[1, 4], dtype="int8"), _tensor("d", 0.2, shape=[1, 2]),
        together=[joint], **changes,
    )  # fmt: skip


def _rated(found: Report | None = None, **limits: Any) -> dict[str, Cut]:
    cuts = [("a",), ("b", "c"), ("d",)]
    rated = rate_cuts(found or _report(), cuts, COSTS, PARENTS, Constraints(noise="0.1", **limits))
    return {" ".join(cut.tensors): cut for cut in rated}


def test_cuts_are_rated() -> None:
    found = _rated()
    assert {name: cut.bytes for name, cut in found.items()} == {"a": 32, "b c": 20, "d": 8}
    assert {name: (cut.macs_before, cut.macs_after) for name, cut in found.items()} == {
        "a": (100, 1023),
        "b c": (123, 1000),
        "d": (1123, 0),
    }
    assert [cut.recoverable_high for cut in found.values()] == [0.9, 0.7, 0.2]
    assert found["b c"].van_trees_share == pytest.approx(0.3)
    assert all(cut.on_front and cut.allowed for cut in found.values())


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        ({"max_recoverable": 0.7}, ["b c", "d"]),
        ({"max_bytes": 20}, ["b c", "d"]),
        ({"max_macs": 123}, ["a", "b c"]),
        ({"max_recoverable": 0.7, "max_macs": 123}, ["b c"]),
        ({"max_recoverable": 0.1}, []),
    ],
)
def test_limits_leave_out_cuts(limits: dict[str, Any], allowed: list[str]) -> None:
    found = _rated(**limits)
    assert [name for name, cut in found.items() if cut.allowed] == allowed
    assert [name for name, cut in found.items() if cut.on_front] == allowed


def test_what_is_worse_in_every_respect_is_not_on_the_front() -> None:
    rated = rate_cuts(
        report(_tensor("a", 0.5, shape=[1, 2]), _tensor("b", 0.6, shape=[1, 4])),
        [("a",), ("b",)], COSTS, PARENTS, Constraints(noise="0.1"),
    )  # fmt: skip
    assert [cut.on_front for cut in rated] == [True, False]


def test_what_is_not_known_keeps_no_limit() -> None:
    prior = report().prior
    assert prior is not None
    weak = prior.model_copy(update={"kind": "isotropic"})
    found = _rated(_report(prior=weak), max_recoverable=1.0)
    assert not any(cut.allowed for cut in found.values())
    assert "isotropic" in found["a"].reason
    missing = _rated(_report().model_copy(update={"together": []}))
    assert missing["b c"].reason.endswith("--together adds it")
    assert missing["b c"].recoverable_high is None
    strange = _report()
    strange.tensors[0].dtype = "string"
    assert _rated(strange)["a"].bytes is None


def test_work_that_cannot_be_counted_keeps_no_limit() -> None:
    costs = [*COSTS[1:], NodeCost(outputs=["s", "a"], operator="Einsum", multiply_adds=None)]
    limits = Constraints(noise="0.1", max_macs=10**9)
    first, *_ = rate_cuts(_report(), [("a",), ("d",)], costs, PARENTS, limits)
    assert (first.macs_before, first.macs_after, first.allowed) == (None, 1023, False)


def test_a_node_is_done_for_any_of_its_outputs() -> None:
    costs = [NodeCost(outputs=["other", "a"], operator="LSTM", multiply_adds=7)]
    first, *_ = rate_cuts(_report(), [("a",)], costs, PARENTS, Constraints(noise="0.1"))
    assert (first.macs_before, first.macs_after) == (7, 0)


def test_a_part_whose_derivative_tells_nothing_leaves_a_cut_unknown() -> None:
    found = _report()
    jacobian = found.tensors[1].jacobian
    assert jacobian is not None
    jacobian.status = "piecewise constant"
    cut = _rated(found, max_recoverable=1.0)["b c"]
    assert not cut.allowed
    assert "piecewise constant" in cut.reason
