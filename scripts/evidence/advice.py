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
    scored,
    table,
    with_rounded,
)
from scripts.evidence.scores import orders, within
from scripts.evidence.wording import between, listed

__all__ = ["advice"]

Array = NDArray[np.float64]

#: A measure that orders releases of different networks worse than this is no threshold.
_ENOUGH = 0.9
_ALIKE = 0.02
#: More than this beyond ρ is no matter of a margin.
_TOO_MUCH = 0.2


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
    lines = [
        _share(excess, len(networks)),
        *_sides(every),
        *_blindly(networks),
    ]
    counted = scored(networks)
    depth, rho = (within(counted, name) for name in (DEPTH, RHO))
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


def _share(excess: Array, count: int) -> str:
    return (
        "**Act on the recoverable share**, the larger of ρ and the attained floor, as policies do, "
        f"and leave a margin: over all {len(excess)} releases of {count} network(s) attacks "
        f"exceeded it by at most {_top(excess, 95):.2f} in 95 %, and by {_top(excess, 100):.2f} in "
        "the worst one. A threshold is best taken from the last column of the last table above, "
        "which tells what it let pass of networks that it was not taken from."
    )


def _sides(every: Networks) -> list[str]:
    """Say which way narrow tensors are misjudged, by network: a mean over them would hide it."""
    means = {}
    for name, network in every.items():
        rows = table(network, best) - table(network, MEASURES[BOTH])
        narrow = np.array([tensor["size"] < tensor["inputs"] for tensor in network["tensors"]])
        if narrow.any():
            means[name] = float(rows[narrow].mean())
    if not means:
        return []
    said = (
        "**Tensors with fewer elements than the input** are where a limit decides something. There "
        f"attacks were off from the recoverable share by {between(means)}, mean by network: it may "
        "be wrong either way."
    )
    return [said]


def _blindly(networks: Networks) -> list[str]:
    """Warn of what is said without data, if attacks went far beyond it."""
    beyond = pooled(networks, best) - pooled(networks, MEASURES["ρ, no data"])
    if beyond.max() <= _TOO_MUCH:
        return []
    said = (
        "**Let nothing pass without data**: attacks exceeded ρ under the image prior by up to "
        f"{beyond.max():.2f}."
    )
    return [said]


def _top(values: Array, percent: int) -> float:
    return max(0.0, float(np.percentile(values, percent)))
