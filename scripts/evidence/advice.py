"""What follows from the figures for whoever sets a limit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scripts.evidence.releases import (
    BOTH,
    DEPTH,
    MEASURES,
    OWN,
    RHO,
    Networks,
    best,
    pooled,
    table,
    with_rounded,
)
from scripts.evidence.scores import median_order, orders
from scripts.evidence.wording import listed

__all__ = ["advice"]

#: A measure that orders releases of different networks worse than this is no threshold.
_ENOUGH = 0.9
_ALIKE = 0.02


def advice(networks: Networks) -> str:
    """Say how to use the measures, from all networks: a limit has to be safe for each.

    Args:
        networks: Of a summary.

    Returns:
        A list in markdown.
    """
    every = with_rounded(networks)
    attained = pooled(every, best)
    excess = attained - pooled(every, MEASURES[BOTH])
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
    lines = [share]
    if narrow.any() and not narrow.all():
        lines.append(
            "**Wide tensors**, with at least as many elements as the input, give "
            f"{attained[~narrow].mean():.0%} of its variance away on average, and were rated "
            f"{_signed(excess[~narrow])}; **narrow ones** give {attained[narrow].mean():.0%} away, "
            f"and were rated {_signed(excess[narrow])}."
        )
    depth, rho = (_within(networks, name) for name in (DEPTH, RHO))
    if depth > rho - _ALIKE:
        lines.append(
            "**To choose among the tensors of one network**, depth will do: it orders them with "
            f"{depth:.2f} in the median network, and ρ with {rho:.2f}. How much noise is enough, "
            "and what may be released at all, depth cannot say."
        )
    found = orders(networks)
    poor = [f"{name} ({found[name].value:.2f})" for name in OWN if found[name].value < _ENOUGH]
    if poor:
        lines.append(
            f"**No threshold** is to be had from {', '.join(poor)}; in brackets Spearman with "
            "attacks over networks."
        )
    return listed(lines)


def _within(networks: Networks, name: str) -> float:
    """Return the median over networks of Spearman within a network."""
    pairs = [(table(v, MEASURES[name]), table(v, best)) for v in networks.values()]
    return float(np.median([median_order(*pair) for pair in pairs]))


def _top(values: NDArray[np.float64], percent: int) -> float:
    return max(0.0, float(np.percentile(values, percent)))


def _signed(excess: NDArray[np.float64]) -> str:
    """Say by how much the larger of ρ and floor is above or below what was attained, on average."""
    if not excess.size:
        return "not at all"
    mean = float(excess.mean())
    return f"{abs(mean):.2f} {'too low' if mean > 0 else 'too high'}"
