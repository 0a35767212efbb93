from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from onnxprobe.analysis.conductor.bisection import Bisection
from onnxprobe.analysis.conductor.findings import Findings
from onnxprobe.analysis.conductor.jacobians import Jacobians
from onnxprobe.analysis.conductor.link import WorkerLostError
from onnxprobe.analysis.conductor.stage import Stage
from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.messages import CatalogueEntry, JacobianAnswer
from onnxprobe.errors import DataError, ExposureError, RunError


def entry(name: str, *parents: str) -> CatalogueEntry:
    return CatalogueEntry(
        name=name,
        op_type="Relu",
        node=name,
        parents=list(parents),
        dtype="float32",
        shape=None,
        is_output=False,
        skip=None,
        reach="smooth",
        same_as=None,
        shift_of=None,
    )


class Call:
    """Fails for groups that hold a bad tensor."""

    def __init__(self, bad: set[str], error: type[RunError] = RunError) -> None:
        self.bad = bad
        self.error = error
        self.groups: list[list[str]] = []

    def __call__(self, names: Sequence[str]) -> list[str]:
        self.groups.append(list(names))
        if self.bad & set(names):
            raise self.error("it broke")
        return list(names)


def run(call: Call, entries: list[CatalogueEntry]) -> tuple[list[str], Findings]:
    findings = Findings()
    names = [each.name for each in entries]
    return list(Bisection(findings, entries).each(names, call)), findings


def test_a_group_that_works_is_called_once() -> None:
    call = Call(set())
    answers, findings = run(call, [entry("a"), entry("b"), entry("c")])
    assert answers == ["a", "b", "c"]
    assert len(call.groups) == 1
    assert findings.failed == {}


@pytest.mark.parametrize("bad", ["t0", "t3", "t7"])
def test_the_one_that_fails_is_found_and_the_others_are_answered(bad: str) -> None:
    call = Call({bad})
    entries = [entry(f"t{index}") for index in range(8)]
    answers, findings = run(call, entries)
    assert answers == [each.name for each in entries if each.name != bad]
    assert findings.failed == {bad: "it broke"}


def test_several_failures_are_found() -> None:
    answers, findings = run(Call({"t1", "t6"}), [entry(f"t{index}") for index in range(8)])
    assert len(answers) == 6
    assert set(findings.failed) == {"t1", "t6"}


def test_what_depends_on_a_crash_is_not_tried() -> None:
    chain = [entry("t0"), *(entry(f"t{index}", f"t{index - 1}") for index in range(1, 64))]
    call = Call({f"t{index}" for index in range(5, 64)}, WorkerLostError)
    answers, findings = run(call, chain)
    assert answers == [f"t{index}" for index in range(5)]
    assert findings.failed["t5"] == "it broke"
    assert findings.failed["t63"] == "it depends on 't5', whose computation failed"
    assert len(findings.failed) == 59
    assert len(call.groups) < 20


def test_what_depends_on_a_plain_failure_is_tried() -> None:
    answers, findings = run(Call({"a"}), [entry("a"), entry("b", "a")])
    assert answers == ["b"]
    assert set(findings.failed) == {"a"}


def test_errors_that_concern_everything_end_everything() -> None:
    with pytest.raises(ExposureError, match="it broke"):
        run(Call({"a"}, ExposureError), [entry("a"), entry("b")])

    def unfit(names: Sequence[str]) -> list[str]:
        raise DataError("wrong data")

    with pytest.raises(DataError, match="wrong data"):
        list(Bisection(Findings(), []).each(["a", "b"], unfit))


class _Exact(Jacobians):
    """Forward mode that breaks at some tensors."""

    def __init__(self, bad: set[str], *, kind: type[RunError] = WorkerLostError) -> None:
        stage = Stage(Configuration(), lambda *_: None)
        super().__init__(stage, Bisection(stage.findings, []))
        self.bad, self.kind = bad, kind
        self.asked: list[tuple[str, ...]] = []

    def _jacobians(
        self, names: Sequence[str], *, steps: list[float] | None, forward: bool
    ) -> list[JacobianAnswer]:
        assert forward
        assert steps is None
        self.asked.append(tuple(names))
        if self.bad.intersection(names):
            raise self.kind("it broke")
        fields: dict[str, Any] = {}
        return [JacobianAnswer.model_construct(name=name, **fields) for name in names]

    def run(self, names: list[str]) -> list[str]:
        self.stage.findings.forward = set(names)
        return [each.name for each in self._exact_jacobians(names)]


def test_a_crash_in_forward_mode_costs_one_tensor_its_exactness() -> None:
    exact = _Exact({"c"})
    assert exact.run(["a", "b", "c", "d"]) == ["a", "b", "d"]
    # First without the graph at changed values, which may be what broke.
    assert exact.asked[:2] == [("a", "b", "c", "d")] * 2
    assert exact.stage.findings.forward == {"a", "b", "d"}
    assert exact.stage.findings.underived == {"c": "its tangents do not run: it broke"}


def test_what_never_runs_in_forward_mode_is_given_up_soon() -> None:
    names = [f"t{index}" for index in range(1000)]
    exact = _Exact(set(names), kind=RunError)
    assert exact.run(names) == []
    assert len(exact.asked) < 64
    assert set(exact.stage.findings.underived) == set(names)
