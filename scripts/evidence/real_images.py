"""Attacks on real images against the bound of a Gaussian prior, which does not hold for them."""

from __future__ import annotations

from scripts.evidence.cells import Cell
from scripts.evidence.releases import Networks, attacks, shown_attack
from scripts.evidence.statistics import is_beyond
from scripts.evidence.tables import markdown

__all__ = ["real_excess", "real_table"]


def real_excess(networks: Networks) -> tuple[int, int]:
    """Count attacks below the stated van Trees bound by more than two standard errors, and all."""
    counts = [_beaten(network) for network in networks.values()]
    return sum(beaten for beaten, _, _ in counts), sum(tried for _, tried, _ in counts)


def real_table(networks: Networks) -> str:
    """The same by network, with the least error relative to the bound."""
    rows = []
    for name, network in networks.items():
        beaten, tried, least = _beaten(network)
        rows.append([f"{name} ({network['role']})", f"{beaten} of {tried}", least])
    heads = ["network", "errors below the bound by 2 standard errors", "least error / bound"]
    return markdown(heads, rows)


def _beaten(network: Cell) -> tuple[int, int, str]:
    ratios: list[tuple[float, str]] = []
    beaten = 0
    for tensor in network["tensors"]:
        for level in tensor["levels"]:
            for kind in attacks(level):
                seen, bound = level[kind], level["van_trees_mse"]
                # Pictures that nothing made better are those of another attack.
                if bound and seen.get("iterations") != 0:
                    where = f"{tensor['name']}, s = {level['s']:g}, {shown_attack(kind)}"
                    ratios.append((seen["mse"] / bound, where))
                    beaten += is_beyond(seen, bound)
    if not ratios:
        return 0, 0, "none"
    least, where = min(ratios)
    return beaten, len(ratios), f"{least:.2f} ({where})"
