"""Tables of the attacks: whether they were done, their pictures, and every tensor."""

from __future__ import annotations

import numpy as np

from scripts.evidence.cells import Cell
from scripts.evidence.releases import (
    MEASURES,
    RHO,
    Networks,
    attacks,
    best,
    shown_attack,
    table,
    unshared,
)
from scripts.evidence.tables import markdown

__all__ = ["bias_table", "budget_table", "kinds_table", "quality_table", "tensor_table"]

_QUALITY = (("mse", 5), ("psnr", 1), ("ssim", 2))
_LOOKS = ("MSE", "PSNR in dB", "SSIM", "image found", "subject found")


def bias_table(networks: Networks) -> str:
    """Attack less ρ, of tensors with fewer elements than the input and of others."""
    rows = []
    for name, network in networks.items():
        excess = table(network, best) - table(network, MEASURES[RHO])
        narrow = np.array([t["size"] < np.prod(network["inputs"]) for t in network["tensors"]])
        row = [name]
        for chosen in (~narrow, narrow):
            part = excess[chosen]
            row += [f"{chosen.sum()}", f"{part.mean():+.3f}" if part.size else "none"]
        rows.append(row)
    heads = ["network", "tensors no smaller than the input", "attack − ρ there, mean"]
    return markdown([*heads, "smaller tensors", "attack − ρ in these, mean"], rows)


def budget_table(networks: Networks) -> str:
    """Whether decoders were done or only tired, and how far pictures were refined."""
    rows = []
    for name, network in networks.items():
        levels = [level for tensor in network["tensors"] for level in tensor["levels"]]
        decoders = [level["decoder"] for level in levels]
        gains = [decoder["late_gain"] for decoder in decoders]
        rounds = [decoder["rounds"] for decoder in decoders]
        refined = [level["refined"] for level in levels]
        # A last stage that still helped might have been followed by another.
        going = [found["iterations"] == sum(network["budget"]["stages"]) for found in refined]
        late = [_late(found["own_mse"]) for found, each in zip(refined, going, strict=True) if each]
        rows.append([
            name,
            f"{min(rounds)} to {max(rounds)}",
            " + ".join(map(str, network["budget"]["rounds"])),
            f"{np.mean([decoder['stopped'] for decoder in decoders]):.0%}",
            f"{np.median(gains):.3f}",
            f"{max(gains):.3f}",
            f"{np.mean([found['iterations'] > 0 for found in refined]):.0%}",
            f"{np.mean(going):.0%}",
            f"{np.median(late):.1%}" if late else "none",
        ])
    heads = ["network", "rounds of decoders", "at most", "stopped by themselves"]
    gained = ["R² gained in the last third: median", "largest"]
    refining = ["refining helped", "to its last stage", "error which that stage took, median"]
    return markdown([*heads, *gained, *refining], rows)


def kinds_table(networks: Networks) -> str:
    """Which attack was the best, how often, and what was found without that of a Gaussian prior."""
    kinds = attacks(next(iter(networks.values()))["tensors"][0]["levels"][0])
    rows = []
    for name, network in networks.items():
        levels = [level for tensor in network["tensors"] for level in tensor["levels"]]
        # Of equals, that which the others began with.
        wins = [max(kinds, key=lambda kind: level[kind]["r2"]) for level in levels]
        every, others = table(network, best), table(network, unshared)
        means = [f"{np.mean([max(0.0, level[k]['r2']) for level in levels]):.3f}" for k in kinds]
        rows.append([
            name,
            *(f"{mean} ({wins.count(k)})" for mean, k in zip(means, kinds, strict=True)),
            f"{every.mean():.3f}",
            f"{others.mean():.3f}",
        ])
    heads = [f"{shown_attack(kind)}: mean R² (best)" for kind in kinds]
    return markdown(["network", *heads, "best of all", "best without refining"], rows)


def _late(errors: list[float]) -> float:
    """Return what part of the error the last stage took away."""
    return 1 - errors[-1] / errors[-2]


def quality_table(networks: Networks) -> str:
    """How the best attack's pictures look, at the middle noise level."""
    rows = []
    for name, network in networks.items():
        for tensor in (network["tensors"][i] for i in (0, 4, 9)):
            level = tensor["levels"][1]
            rows.append([
                name,
                tensor["name"],
                f"{level['high']:.2f}",
                f"{_best_of(level)['r2']:.2f}",
                *_looks(network, level),
            ])
    return markdown(["network", "tensor", "ρ", "R²", *_LOOKS], rows)


def tensor_table(network: Cell) -> str:
    """Every tensor and level of a network."""
    rows = []
    kinds = attacks(network["tensors"][0]["levels"][0])
    for tensor in network["tensors"]:
        first = [tensor["name"], str(tensor["size"]), f"{tensor['rank']:g}", f"{tensor['dof']:.1f}"]
        levels = [(f"{level['s']:g}", level) for level in tensor["levels"]]
        if "int8" in tensor:
            levels.append(("int8", tensor["int8"]))
        for shown, level in levels:
            bound = level["van_trees_mse"]
            least = min(level[kind]["mse"] for kind in kinds)
            rows.append([
                *first,
                shown,
                *(f"{level[key]:.3f}" for key in ("high", "median", "attained")),
                *(f"{level[kind]['r2']:.3f}" for kind in kinds),
                *_looks(network, level),
                f"{least / bound:.2f}" if bound else "none",
            ])
            first = [""] * 4
    heads = ["tensor", "size", "rank", "DoF", "s", "ρ, worst", "ρ, median", "floor"]
    r2 = [f"{shown_attack(kind)} R²" for kind in kinds]
    return markdown([*heads, *r2, *_LOOKS, "least error / van Trees"], rows)


def _best_of(level: Cell) -> Cell:
    found: Cell = max((level[kind] for kind in attacks(level)), key=lambda each: each["r2"])
    return found


def _looks(network: Cell, level: Cell) -> list[str]:
    """Say how pictures of the best attack look, and who is found by them."""
    seen = _best_of(level)
    found = [f"{seen['found']:.0%}", f"{seen['subject']:.0%}" if network["data"] == "faces" else ""]
    return [*(f"{seen[key]:.{digits}f}" for key, digits in _QUALITY), *found]
