"""Minimal cuts, against all sets of tensors tried one by one."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxprobe.analysis.conductor.cuts import minimal_cuts

Parents = dict[str, list[str]]


def _separates(parents: Parents, sources: set[str], targets: set[str], cut: set[str]) -> bool:
    seen, pending = set(targets - cut), [*(targets - cut)]
    while pending:
        name = pending.pop()
        if name in sources:
            return False
        for each in parents.get(name, ()):
            if each not in seen and each not in cut:
                seen.add(each)
                pending.append(each)
    return True


def _slow(
    parents: Parents, sources: set[str], targets: set[str], candidates: set[str], size: int
) -> set[tuple[str, ...]]:
    """Every subset, smallest first; none that holds another."""
    found: list[set[str]] = []
    names = [name for name in parents if name in candidates]
    for count in range(size + 1):
        for each in combinations(names, count):
            cut = set(each)
            if not any(less <= cut for less in found) and _separates(
                parents, sources, targets, cut
            ):
                found.append(cut)
    return {tuple(name for name in parents if name in cut) for cut in found if cut}


def _fast(
    parents: Parents, sources: set[str], targets: set[str], candidates: set[str], size: int
) -> set[tuple[str, ...]]:
    found, is_cut_short = minimal_cuts(
        parents, sources, targets, candidates, max_size=size, limit=10_000
    )
    assert not is_cut_short
    assert len(found) == len(set(found))
    return {cut for cut in found if cut}


def _residual(blocks: int) -> Parents:
    parents: Parents = {"stem": ["x"]}
    last = "stem"
    for n in range(blocks):
        parents |= {
            f"c{n}": [last],
            f"r{n}": [f"c{n}"],
            f"d{n}": [f"r{n}"],
            f"a{n}": [f"d{n}", last],
        }
        last = f"a{n}"
    return parents | {"y": [last]}


def _unet(depth: int) -> Parents:
    parents: Parents = {"e0": ["x"]}
    for n in range(1, depth + 1):
        parents |= {f"p{n}": [f"e{n - 1}"], f"e{n}": [f"p{n}"]}
    last = f"e{depth}"
    for n in reversed(range(depth)):
        parents |= {f"u{n}": [last], f"j{n}": [f"u{n}", f"e{n}"], f"d{n}": [f"j{n}"]}
        last = f"d{n}"
    return parents | {"y": [last]}


def _attention(layers: int) -> Parents:
    parents: Parents = {"h": ["x"]}
    last = "h"
    for n in range(layers):
        parents |= {f"q{n}": [last], f"k{n}": [last], f"v{n}": [last], f"s{n}": [f"q{n}", f"k{n}"]}
        parents |= {f"o{n}": [f"s{n}", f"v{n}"], f"a{n}": [f"o{n}", last]}
        last = f"a{n}"
    return parents | {"y": [last]}


@pytest.mark.parametrize(
    "parents",
    [_residual(3), _unet(2), _attention(2), {"a": ["x"], "b": ["a"], "c": ["b"], "y": ["c"]}],
    ids=["residual", "unet", "attention", "chain"],
)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_networks_have_the_cuts_of_brute_force(parents: Parents, size: int) -> None:
    slow = _slow(parents, {"x"}, {"y"}, set(parents), size)
    assert _fast(parents, {"x"}, {"y"}, set(parents), size) == slow
    assert slow


@st.composite
def _graphs(draw: st.DrawFn) -> tuple[Parents, set[str], set[str], set[str], int]:
    inputs = [f"x{n}" for n in range(draw(st.integers(1, 2)))]
    parents: Parents = {}
    for n in range(draw(st.integers(1, 8))):
        known = [*inputs, *parents]
        read = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3))
        parents[f"t{n}"] = read
    names = [*parents]
    targets = set(draw(st.lists(st.sampled_from(names), min_size=1, max_size=2)))
    candidates = (
        set(draw(st.lists(st.sampled_from(names), max_size=8))) if draw(st.booleans()) else {*names}
    )
    return parents, set(inputs), targets, candidates, draw(st.integers(1, 4))


@settings(max_examples=400, deadline=None)
@given(_graphs())
def test_any_graph_has_the_cuts_of_brute_force(
    case: tuple[Parents, set[str], set[str], set[str], int],
) -> None:
    parents, sources, targets, _, _ = case
    # Sources that reach nothing separate nothing.
    if _separates(parents, sources, targets, set()):
        return
    assert _fast(*case) == _slow(*case)


def test_the_nearest_come_first_and_a_limit_is_told() -> None:
    parents = _residual(2)
    found, more = minimal_cuts(parents, ["x"], ["y"], parents, max_size=2, limit=100)
    assert found[0] == ("stem",)
    assert found[-1] == ("y",)
    assert not more
    some, more = minimal_cuts(parents, ["x"], ["y"], parents, max_size=2, limit=3)
    assert len(some) == 3
    assert more


def test_large_networks_take_seconds_at_most() -> None:
    import time

    parents = _residual(50)
    start = time.process_time()
    found, _ = minimal_cuts(parents, ["x"], ["y"], parents, max_size=2, limit=10_000)
    assert time.process_time() - start < 20
    # Inside a block a cut needs the block's own input as well, which is a cut by itself.
    assert len(found) == 50 + 2
