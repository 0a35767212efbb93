"""Tables of the attacks: whether they were done, their pictures, and every tensor."""

from __future__ import annotations

import numpy as np

from scripts.evidence.cells import Cell
from scripts.evidence.tables import MEASURES, Networks, attacks, best, markdown, table

__all__ = ["bias_table", "budget_table", "quality_table", "tensor_table"]

_QUALITY = (("r2", 2), ("mse", 4), ("psnr", 1), ("ssim", 2))


def bias_table(networks: Networks) -> str:
    """Attack less ρ, of tensors with fewer elements than the input and of others."""
    rows = []
    for name, network in networks.items():
        excess = table(network, best) - table(network, MEASURES["ρ, worst sample"])
        narrow = np.array([t["size"] < np.prod(network["inputs"]) for t in network["tensors"]])
        row = [name]
        for chosen in (~narrow, narrow):
            part = excess[chosen]
            row += [f"{chosen.sum()}", f"{part.mean():+.3f}" if part.size else "none"]
        rows.append(row)
    heads = ["network", "tensors no smaller than the input", "attack − ρ there, mean"]
    return markdown([*heads, "smaller tensors", "attack − ρ in these, mean"], rows)


def budget_table(networks: Networks) -> str:
    """Whether decoders were done or only tired."""
    rows = []
    for name, network in networks.items():
        curves = [
            level["decoder"]["curve"] for tensor in network["tensors"] for level in tensor["levels"]
        ]
        last = [int(np.argmax(curve)) == len(curve) - 1 for curve in curves]
        gain = [max(curve) - max(curve[: max(1, len(curve) * 2 // 3)]) for curve in curves]
        wins = [
            level["decoder"]["r2"] > level["ridge"]["r2"]
            for tensor in network["tensors"]
            for level in tensor["levels"]
        ]
        # Patience ends a curve some rounds after its best; the budget ends the longest.
        levels = [level for tensor in network["tensors"] for level in tensor["levels"]]
        full = [
            len(level["decoder"]["curve"]) == network["rounds"][min(place, 1)]
            for tensor in network["tensors"]
            for place, level in enumerate(tensor["levels"])
        ]
        steps = [level["refined"]["iterations"] for level in levels]
        rows.append([
            name,
            f"{np.mean(wins):.0%}",
            f"{np.mean(full):.0%}",
            f"{np.mean(last):.0%}",
            f"{np.median(gain):.3f}",
            f"{max(gain):.3f}",
            f"{np.mean(np.array(steps) == max(steps)):.0%}",
            f"{np.mean(np.array(steps) == 0):.0%}",
        ])
    heads = ["network", "decoder beats ridge", "ended by the budget", "best in its last round"]
    gains = ["median gain in the last third", "largest"]
    return markdown([*heads, *gains, "refined to the last iteration", "not at all"], rows)


def quality_table(networks: Networks) -> str:
    """How the best attack's pictures look, at the middle noise level."""
    rows = []
    for name, network in networks.items():
        for tensor in (network["tensors"][i] for i in (0, 4, 9)):
            level = tensor["levels"][1]
            seen = max((level[kind] for kind in attacks(level)), key=lambda found: found["r2"])
            rows.append([
                name,
                tensor["name"],
                f"{level['high']:.2f}",
                *(f"{seen[key]:.{digits}f}" for key, digits in _QUALITY),
                f"{seen['found']:.0%}",
                f"{seen['subject']:.0%}" if network["data"] == "faces" else "",
            ])
    heads = ["network", "tensor", "ρ", "R²", "MSE", "PSNR in dB", "SSIM"]
    return markdown([*heads, "image found", "subject found"], rows)


def tensor_table(network: Cell) -> str:
    """Every tensor and level of a network."""
    rows = []
    kinds = attacks(network["tensors"][0]["levels"][0])
    for tensor in network["tensors"]:
        for i, level in enumerate(tensor["levels"]):
            first = [
                tensor["name"],
                str(tensor["size"]),
                f"{tensor['rank']:g}",
                f"{tensor['dof']:.1f}",
            ]
            rows.append([
                *(first if i == 0 else [""] * 4),
                f"{level['s']:g}",
                *(f"{level[key]:.3f}" for key in ("high", "median", "attained")),
                *(f"{level[kind]['r2']:.3f}" for kind in kinds),
            ])
    heads = ["tensor", "size", "rank", "DoF", "s", "ρ, worst", "ρ, median", "floor"]
    return markdown([*heads, *(f"{kind} R²" for kind in kinds)], rows)
