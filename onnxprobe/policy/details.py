"""Two records, leaf by leaf: what one says and the other does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

__all__ = ["differences"]

# Counts of singular values above a small threshold: rounding may carry one of them across.
_COUNTS = frozenset({"rank_at"})
_COUNT_MARGIN, _FEW = 0.02, 1
_TINY = 1e-9


def differences(
    claimed: Any,  # noqa: ANN401 (plain data)
    found: Any,  # noqa: ANN401
    margin: float,
    unsteady: Collection[str],
    path: tuple[str, ...] = (),
) -> Iterator[str]:
    """Compare plain data, such as two dumped records.

    Args:
        claimed: What one says.
        found: What the other says.
        margin: How far numbers may differ, relative to the larger.
        unsteady: Names of what may differ between two runs of the same.
        path: Where in the record this stands.

    Yields:
        What differs, by dotted name.
    """
    here = ".".join(path) or "the whole"
    if isinstance(claimed, dict) and isinstance(found, dict):
        if claimed.keys() != found.keys():
            yield here
        for name in claimed.keys() & found.keys():
            if name not in unsteady:
                yield from differences(claimed[name], found[name], margin, unsteady, (*path, name))
    elif isinstance(claimed, list) and isinstance(found, list):
        if len(claimed) != len(found):
            yield here
        for number, pair in enumerate(zip(claimed, found, strict=False)):
            yield from differences(*pair, margin, unsteady, (*path, str(number)))
    elif not _agree(claimed, found, margin, is_count=not _COUNTS.isdisjoint(path)):
        yield f"{here} ({_spelled(found)}, not {_spelled(claimed)})"


def _agree(one: object, other: object, margin: float, *, is_count: bool) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if not (isinstance(one, int | float) and isinstance(other, int | float)):
        return one == other
    largest = max(abs(one), abs(other))
    allowed = max(_FEW, _COUNT_MARGIN * largest) if is_count else margin * largest + _TINY
    return abs(one - other) <= allowed


def _spelled(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
