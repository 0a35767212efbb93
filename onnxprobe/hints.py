"""What was perhaps meant, where a name is none that there is."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

__all__ = ["did_you_mean"]

# Names beyond these are not compared letter by letter: that takes the product of their lengths.
_COMPARED, _SEARCHED = 200, 10_000


def did_you_mean(name: str, names: Iterable[str], likeness: float = 0.3) -> str:
    """Say which names are near one that there is not.

    Args:
        name: What was given.
        names: What there is.
        likeness: How near they have to be: 0 for anything, 1 for the same.

    Returns:
        Words to put behind it; empty if none is near.

    Example:
        >>> did_you_mean("rleu", ["relu", "logits"])
        " (did you mean 'relu'?)"
    """
    if len(name) > _COMPARED:
        return ""
    short = dict.fromkeys(each for each in islice(names, _SEARCHED) if len(each) <= _COMPARED)
    near = get_close_matches(name, short, n=3, cutoff=likeness)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
