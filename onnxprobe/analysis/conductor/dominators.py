"""Which tensors all of the source has passed by the time it reaches another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["immediate_dominators"]


def immediate_dominators(
    parents: Mapping[str, Sequence[str]], sources: Sequence[str]
) -> dict[str, str | None]:
    """Find, for each tensor, the last one through which every path from the source passes.

    Args:
        parents: By tensor, the tensors that it is computed from; tensors may come in any order.
        sources: Tensors at which paths start.

    Returns:
        By tensor that a source reaches, its immediate dominator; ``None`` for sources and where
        paths share nothing but the source as a whole. Dominators of that one dominate it, too.

    Source:
        Cooper, Harvey & Kennedy 2001, A Simple, Fast Dominance Algorithm, for a graph without
        cycles.

    Example:
        >>> parents = {"a": ["x"], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
        >>> immediate_dominators(parents, ["x"])["d"]
        'a'
    """
    found: dict[str, str | None] = dict.fromkeys(sources)
    depths = dict.fromkeys(sources, 1)

    def meet(first: str | None, second: str | None) -> str | None:
        while first != second:
            if first is None or second is None:
                return None
            if depths[first] >= depths[second]:
                first = found[first]
            else:
                second = found[second]
        return first

    for name in _in_order(parents):
        reached = [each for each in parents[name] if each in found]
        if name in found or not reached:
            continue
        last: str | None = reached[0]
        for each in reached[1:]:
            last = meet(last, each)
        found[name] = last
        depths[name] = 1 + (depths[last] if last is not None else 0)
    return found


def _in_order(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Put each tensor behind those that it is computed from."""
    children: dict[str, list[str]] = {}
    waiting = {}
    for name, read in parents.items():
        known = {each for each in read if each in parents}
        waiting[name] = len(known)
        for each in known:
            children.setdefault(each, []).append(name)
    ready = [name for name, count in waiting.items() if count == 0]
    for name in ready:
        for child in children.get(name, ()):
            waiting[child] -= 1
            if waiting[child] == 0:
                ready.append(child)
    return ready
