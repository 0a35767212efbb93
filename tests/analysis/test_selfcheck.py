"""The self-check: dominators, ranks that exceed them, and ranks that gains bring up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe.analysis.conductor.dominators import immediate_dominators
from onnxprobe.analysis.conductor.findings import Findings, group_tensors
from onnxprobe.analysis.conductor.selfcheck import check_ranks
from onnxprobe.analysis.messages import CatalogueEntry, JacobianAnswer, Layout, Opening
from onnxprobe.record import DataRecord, JacobianRecord, JacobianSample, ModelRecord
from tests.analysis import networks
from tests.analysis.test_conduct import analyse, by_name, normal


def _oracle(parents: Mapping[str, Sequence[str]], sources: Sequence[str]) -> dict[str, set[str]]:
    """By tensor that a source reaches, the tensors without which none would."""

    def reached(without: str | None) -> set[str]:
        found = set(sources) - {without}
        for _ in parents:
            found |= {
                name
                for name, read in parents.items()
                if name != without and not found.isdisjoint(read)
            }
        return found

    whole = reached(None)
    return {
        name: {other for other in whole - {name} if name not in reached(other)} for name in whole
    }


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[dict[str, list[str]], list[str]]:
    sources = [f"x{index}" for index in range(draw(st.integers(1, 2)))]
    names = [f"t{index}" for index in range(draw(st.integers(1, 9)))]
    parents = {}
    for index, name in enumerate(names):
        known = [*sources, "constant", *names[:index]]
        parents[name] = draw(st.lists(st.sampled_from(known), max_size=3))
    order = draw(st.permutations(names))
    return {name: parents[name] for name in order}, sources


@given(_graphs())
def test_dominators_are_those_without_which_nothing_is_reached(
    graph: tuple[dict[str, list[str]], list[str]],
) -> None:
    parents, sources = graph
    found = immediate_dominators(parents, sources)
    wanted = _oracle(parents, sources)
    assert set(found) == set(wanted)
    for name in found:
        chain = set()
        last = found[name]
        while last is not None:
            chain.add(last)
            last = found[last]
        assert chain == wanted[name]


def _entry(name: str, *parents: str) -> CatalogueEntry:
    return CatalogueEntry(
        name=name, op_type="MatMul", node=name, parents=list(parents), dtype="float32", shape=None,
        is_output=False, skip=None, reach="smooth", same_as=None, shift_of=None,
    )  # fmt: skip


def _answer(name: str, size: int, resolved: int, rank: int, *, complete: bool) -> JacobianAnswer:
    sample = JacobianSample(
        sample=3, status="ok", rank=rank, resolved=resolved, rank_at_rounding=resolved
    )
    record = JacobianRecord(
        method="forward mode", inputs=8, outputs=size, complete=complete, directions=8, status="ok",
        samples=[sample],
    )  # fmt: skip
    return JacobianAnswer(name=name, jacobian=record, release={}, noise_for={})


def _findings(
    ranks: Mapping[str, tuple[int, int, int]],
    parents: Mapping[str, Sequence[str]],
    *,
    complete: bool,
) -> Findings:
    """By tensor: its size, its rank above the floor, and its rank at the tolerance."""
    entries = [_entry(name, *parents[name]) for name in ranks]
    findings = Findings()
    findings.opening = Opening(
        model=ModelRecord(
            name="m", files=[], producer="", ir_version=8, opsets={}, inputs=[], outputs=[],
            nodes=0, local_functions=0, random_nodes=[],
        ),
        data=DataRecord(synthetic=True, samples=4, digest=None, jacobian_samples=[3]),
        entries=entries, source_names=["x"], source_tensor=False, source_chosen="", provider="",
        provider_reason="", provider_options={}, upcast_difference=None, assumptions=[],
        versions={}, samples_digest="",
    )  # fmt: skip
    for name, (size, resolved, rank) in ranks.items():
        findings.layouts[name] = Layout(
            name=name, dtype="float32", shape=[size], axis=None, batched=False, repeatability=0.0
        )
        findings.jacobians[name] = _answer(name, size, resolved, rank, complete=complete)
    findings.groups = group_tensors(entries, findings.layouts)
    return findings


CHAIN = {"a": ["x"], "b": ["a"], "c": ["b"]}


@pytest.mark.parametrize("complete", [True, False])
def test_a_rank_above_the_size_of_a_bottleneck_is_failed(complete: bool) -> None:
    ranks = {"a": (20, 8, 8), "b": (4, 4, 4), "c": (20, 5, 4)}
    findings = _findings(ranks, CHAIN, complete=complete)
    record = check_ranks(findings)
    assert record is not None
    assert record.checked == 3
    assert record.failed == ["c"]
    assert findings.failed["c"] == (
        "it fails the self-check: at sample 3 it has rank 5 above its noise floor, but everything "
        "that reaches it passes 'b' with 4 elements"
    )


def test_a_rank_above_that_of_a_complete_dominator_is_failed() -> None:
    """The dominator need not be the last one."""
    ranks = {"a": (20, 3, 3), "b": (20, 3, 3), "c": (20, 4, 3)}
    record = check_ranks(_findings(ranks, CHAIN, complete=True))
    assert record is not None
    assert record.failed == ["c"]
    incomplete = check_ranks(_findings(ranks, CHAIN, complete=False))
    assert incomplete is not None
    assert incomplete.failed == [], "through some directions, a rank bounds nothing"


def test_what_goes_around_a_bottleneck_is_not_held_against_it() -> None:
    parents = {"a": ["x"], "b": ["a"], "c": ["b", "a"]}
    ranks = {"a": (20, 8, 8), "b": (4, 4, 4), "c": (20, 8, 8)}
    record = check_ranks(_findings(ranks, parents, complete=True))
    assert record is not None
    assert record.failed == []


def test_a_rank_that_grows_at_a_tolerance_is_rescaled() -> None:
    ranks = {"a": (20, 8, 2), "b": (20, 8, 5), "c": (20, 8, 2)}
    findings = _findings(ranks, CHAIN, complete=True)
    record = check_ranks(findings)
    assert record is not None
    assert record.failed == []
    assert record.rescaled == ["b"]
    assert findings.jacobians["b"].jacobian.status == "rescaled"


def test_without_jacobians_nothing_is_checked() -> None:
    assert check_ranks(Findings()) is None


def test_gains_that_bring_up_what_was_small_are_no_error() -> None:
    """diag(1, 1e-5), then gains of 1 and 1e5: the rank at 1e-3 doubles."""
    nodes = [networks.node("Mul", ["x", "small"], ["y"]), networks.node("Mul", ["y", "big"], ["z"])]
    weights = {
        "small": np.array([1, 1e-5], np.float32),
        "big": np.array([1, 1e5], np.float32),
    }
    proto = networks.model(nodes, {"x": (networks.FLOAT, ["N", 2])}, ["z"], weights)
    report = analyse(proto, normal(20, 2))
    found = by_name(report)
    assert found["y"].jacobian is not None
    assert found["z"].jacobian is not None
    assert [found[name].jacobian.rank.median for name in "yz"] == [1, 2]  # type: ignore[union-attr]
    assert found["z"].jacobian.status == "rescaled"
    assert found["z"].status == "rescaled"
    assert report.self_check is not None
    assert report.self_check.failed == []
    assert report.self_check.rescaled == ["z"]
    assert report.self_check.checked == 2
