"""What follows from the figures for whoever sets a limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scripts.evidence.findings import wrapped
from scripts.evidence.releases import (
    DEPTH,
    MEASURES,
    RHO,
    Networks,
    best,
    pooled,
    table,
    with_rounded,
)
from scripts.evidence.scores import median_order, orders

__all__ = ["advice"]

_BOTH = "max(ρ, floor)"
_OWN = ("recoverable DoF", "dFIL", "rank share", "activation DoF")
#: A measure that orders releases of different networks worse than this is no threshold.
_ENOUGH = 0.9


def advice(networks: Networks) -> str:
    """Say how to use the measures, from all networks: a limit has to be safe for each.

    Args:
        networks: Of a summary.

    Returns:
        A list in markdown.
    """
    every = with_rounded(networks)
    attained = pooled(every, best)
    excess = attained - pooled(every, MEASURES[_BOTH])
    narrow = np.concatenate([
        np.array([tensor["size"] < np.prod(network["inputs"]) for tensor in network["tensors"]])
        for network in every.values()
    ])
    share = (
        "**Act on the recoverable share**, the larger of ρ and the attained floor, as policies do. "
        f"Over all {len(excess)} releases of {len(networks)} network(s) attacks exceeded it by at "
        f"most {_top(excess, 95):.2f} in 95 %, and by {_top(excess, 100):.2f} in the worst one: "
        "leave that margin, or take a threshold from the tables above."
    )
    sizes = (
        "**Wide tensors**, with at least as many elements as the input, were rated "
        f"{_signed(excess[~narrow])} than what attacks attained, on average, and **narrow ones** "
        f"{_signed(excess[narrow])}. It is these where a limit decides anything: "
        f"{np.mean(attained[~narrow]) if (~narrow).any() else 0:.0%} of the input's variance were "
        "recovered from a wide one, on average."
    )
    alone = [_within(networks, name) for name in (DEPTH, RHO)]
    depth = (
        f"**To choose among the tensors of one network**, depth will do: it orders them with "
        f"{alone[0]:.2f} in the median network, and ρ with {alone[1]:.2f}. ρ is for what depth "
        "cannot say: how much noise is enough, whether a model may be released at all, and whether "
        "another one is safer."
    )
    lines = [share, sizes, depth]
    found = orders(networks)
    poor = [f"{name} ({found[name].value:.2f})" for name in _OWN if found[name].value < _ENOUGH]
    if poor:
        lines.append(
            f"**No threshold** is to be had from {', '.join(poor)}; in brackets Spearman with "
            "attacks over networks."
        )
    return "".join(wrapped(line, "- ") + "\n" for line in lines)


def _within(networks: Networks, name: str) -> float:
    """Return the median over networks of Spearman within a network."""
    pairs = [(table(v, MEASURES[name]), table(v, best)) for v in networks.values()]
    return float(np.median([median_order(*pair) for pair in pairs]))


def _top(values: NDArray[np.float64], percent: int) -> float:
    return max(0.0, float(np.percentile(values, percent)))


def _signed(excess: NDArray[np.float64]) -> str:
    """Say by how much the larger of ρ and floor is above or below what was attained, on average."""
    if not excess.size:
        return "not known"
    mean = float(excess.mean())
    return f"{abs(mean):.2f} {'lower' if mean > 0 else 'higher'}"
