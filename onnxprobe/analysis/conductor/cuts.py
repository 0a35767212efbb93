"""The cuts of a graph: minimal sets of tensors that everything passes from inputs to outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise

__all__ = ["minimal_cuts"]


def minimal_cuts(
    parents: Mapping[str, Sequence[str]],
    sources: Collection[str],
    targets: Collection[str],
    candidates: Collection[str],
    *,
    max_size: int,
    limit: int,
) -> tuple[list[tuple[str, ...]], bool]:
    """Enumerate minimal cuts.

    A cut is a set of tensors such that every path from a source to a target meets one of them; it
    is minimal if it is none without any of them.

    Branching in order: for a tensor of some smallest cut, first all cuts with it, then all without
    it. A branch is followed only while a cut of the size that is left exists, which the flow from
    sources to targets tells (Menger's theorem).

    Args:
        parents: By tensor, the tensors and inputs that it is computed from.
        sources: Tensors or inputs at which paths begin; not cut themselves.
        targets: Tensors at which paths end; they may be cut.
        candidates: Tensors that may be cut.
        max_size: Tensors of a cut at most.
        limit: Cuts to find at most.

    Returns:
        The cuts, each in the order of ``parents``, those nearest to the sources first; and whether
        there may be more than the limit.

    Source:
        Menger 1927; Ford & Fulkerson 1956 for the flow.

    Example:
        >>> parents = {"a": ["x"], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
        >>> minimal_cuts(parents, ["x"], ["d"], parents, max_size=2, limit=9)[0]
        [('a',), ('b', 'c'), ('d',)]
    """
    network = _Network(parents, sources, targets, candidates)
    found: list[tuple[str, ...]] = []
    for cut in network.cuts(max_size):
        if len(found) == limit:
            return found, True
        found.append(cut)
    order = {name: place for place, name in enumerate(network.names)}
    found.sort(key=lambda cut: (max(order[name] for name in cut), len(cut)))
    return found, False


class _Network:
    """The tensors on paths from sources to targets, as vertices that carry one unit of flow."""

    def __init__(
        self,
        parents: Mapping[str, Sequence[str]],
        sources: Collection[str],
        targets: Collection[str],
        candidates: Collection[str],
    ) -> None:
        children: dict[str, list[str]] = {}
        for name, read in parents.items():
            for parent in dict.fromkeys(read):
                children.setdefault(parent, []).append(name)
        ahead = _reached(sources, children)
        behind = _reached(targets, parents)
        # In the order of the graph; sources and what no path passes is no vertex.
        self.names = [name for name in parents if name in ahead and name in behind]
        known = {*self.names, *sources} & ahead & behind
        self.children = {
            name: [child for child in children.get(name, ()) if child in known] for name in known
        }
        self.parents = {
            name: [parent for parent in parents.get(name, ()) if parent in known] for name in known
        }
        self.sources = [name for name in dict.fromkeys(sources) if name in known]
        self.targets = {name for name in targets if name in known}
        self.candidates = {name for name in self.names if name in candidates} - {*sources}
        self.order = {name: place for place, name in enumerate(self.names)}

    def cuts(self, max_size: int) -> Iterator[tuple[str, ...]]:
        """Yield every minimal cut once."""
        pending: list[tuple[frozenset[str], frozenset[str]]] = [(frozenset(), frozenset())]
        while pending:
            chosen, refused = pending.pop()
            if not self._may_be_minimal(chosen):
                continue
            smallest = self._smallest(chosen, refused, max_size - len(chosen))
            if smallest is None:
                continue
            if not smallest:
                yield tuple(sorted(chosen, key=self.order.__getitem__))
                continue
            first = min(smallest, key=self.order.__getitem__)
            pending.append((chosen, refused | {first}))
            pending.append((chosen | {first}, refused))

    def _may_be_minimal(self, chosen: frozenset[str]) -> bool:
        """Whether each tensor of a cut has a path of its own, past the others, on either side."""
        for name in chosen:
            others = chosen - {name}
            if not self._passes({name}, self.parents, others, {*self.sources}):
                return False
            if not self._passes({name}, self.children, others, self.targets):
                return False
        return True

    @staticmethod
    def _passes(
        starts: set[str], edges: Mapping[str, Sequence[str]], walls: frozenset[str], goals: set[str]
    ) -> bool:
        seen, pending = set(starts), [*starts]
        while pending:
            name = pending.pop()
            if name in goals:
                return True
            for each in edges.get(name, ()):
                if each not in seen and each not in walls:
                    seen.add(each)
                    pending.append(each)
        return False

    def _smallest(
        self, chosen: frozenset[str], refused: frozenset[str], room: int
    ) -> frozenset[str] | None:
        """Find the smallest set that completes a cut, nearest to sources; ``None`` if too large."""
        # Every vertex that may be cut has capacity one, the others have any.
        flow: dict[tuple[str, str], int] = {}
        used: set[str] = set()
        for _ in range(room + 1):
            path = self._augmenting(chosen, refused, flow, used)
            if path is None:
                return self._frontier(chosen, refused, flow, used)
            self._augment(path, refused, flow, used)
        return None

    def _is_limited(self, name: str, refused: frozenset[str]) -> bool:
        return name in self.candidates and name not in refused

    def _search(
        self,
        chosen: frozenset[str],
        refused: frozenset[str],
        flow: Mapping[tuple[str, str], int],
        used: Collection[str],
    ) -> tuple[dict[tuple[str, bool], tuple[str, bool] | None], tuple[str, bool] | None]:
        """Walk the residual network; vertices have an entrance (False) and an exit (True)."""
        came: dict[tuple[str, bool], tuple[str, bool] | None] = {}
        queue: deque[tuple[str, bool]] = deque()

        def visit(state: tuple[str, bool], before: tuple[str, bool] | None) -> None:
            if state not in came and state[0] not in chosen:
                came[state] = before
                queue.append(state)

        for name in self.sources:
            visit((name, True), None)
        while queue:
            state = queue.popleft()
            name, is_exit = state
            if is_exit:
                if name in self.targets:
                    return came, state
                for child in self.children[name]:
                    visit((child, False), state)
                if name in used or (
                    not self._is_limited(name, refused) and self._through(name, flow)
                ):
                    # Flow through the vertex can be taken back.
                    visit((name, False), state)
            else:
                if not self._is_limited(name, refused) or name not in used:
                    visit((name, True), state)
                for parent in self.parents[name]:
                    if flow.get((parent, name), 0):
                        visit((parent, True), state)
        return came, None

    def _through(self, name: str, flow: Mapping[tuple[str, str], int]) -> int:
        return sum(flow.get((parent, name), 0) for parent in self.parents[name])

    def _augmenting(
        self,
        chosen: frozenset[str],
        refused: frozenset[str],
        flow: Mapping[tuple[str, str], int],
        used: Collection[str],
    ) -> list[tuple[str, bool]] | None:
        came, end = self._search(chosen, refused, flow, used)
        if end is None:
            return None
        path = [end]
        while (before := came[path[-1]]) is not None:
            path.append(before)
        return path[::-1]

    def _augment(
        self,
        path: Sequence[tuple[str, bool]],
        refused: frozenset[str],
        flow: dict[tuple[str, str], int],
        used: set[str],
    ) -> None:
        for (name, is_exit), (following, enters_exit) in pairwise(path):
            if name == following:
                if self._is_limited(name, refused):
                    # From entrance to exit it is used; the other way it is given back.
                    (used.add if enters_exit else used.discard)(name)
            elif is_exit:
                flow[name, following] = flow.get((name, following), 0) + 1
            else:
                flow[following, name] -= 1

    def _frontier(
        self,
        chosen: frozenset[str],
        refused: frozenset[str],
        flow: Mapping[tuple[str, str], int],
        used: Collection[str],
    ) -> frozenset[str]:
        came, _ = self._search(chosen, refused, flow, used)
        return frozenset(
            name for name in used if (name, False) in came and (name, True) not in came
        )


def _reached(starts: Collection[str], edges: Mapping[str, Sequence[str]]) -> set[str]:
    seen, pending = set(starts), [*starts]
    while pending:
        for each in edges.get(pending.pop(), ()):
            if each not in seen:
                seen.add(each)
                pending.append(each)
    return seen
