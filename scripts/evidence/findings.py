"""What the figures say, in sentences that are chosen by the figures."""

from __future__ import annotations

import textwrap

import numpy as np

from scripts.evidence.cells import Cell
from scripts.evidence.statistics import Interval, mean_absolute_error
from scripts.evidence.tables import (
    FIT,
    MEASURES,
    PHOTOGRAPHS,
    WEAKER,
    Networks,
    best,
    calibration_errors,
    orders,
    scored,
    shuffled,
    table,
)

__all__ = ["findings", "wrapped"]

_RHO = "ρ, worst sample"
_BOTH = "max(ρ, floor)"
_NAIVE = (
    "depth (negative)",
    "tensor size",
    "rank share",
    "naive rank share",
    "activation DoF",
)
_ERROR, _BLIND_ERROR, _SPEARMAN = 0.08, 0.1, 0.9


def findings(summary: Cell) -> str:
    """Say what was found.

    Args:
        summary: Of a run.

    Returns:
        A list in markdown.
    """
    networks = summary["networks"]
    lines = [
        _counted(networks),
        *_calibrated(calibration_errors(networks)),
        *_ordered(orders(networks)),
        *_blind(networks),
        _exceeded(networks, _RHO),
        _exceeded(networks, _BOTH),
        *_bounded(summary),
        *_told(summary),
        _nothing(networks),
    ]
    return "".join(wrapped(line, "- ") + "\n" for line in lines)


def wrapped(text: str, mark: str = "") -> str:
    """Break a paragraph, or an item of a list with its mark, into lines."""
    return textwrap.fill(
        mark + text,
        98,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _counted(networks: Networks) -> str:
    counted = scored(networks)
    releases = sum(len(tensor["levels"]) for v in counted.values() for tensor in v["tensors"])
    return f"Counted are {releases} releases of {len(counted)} network(s): {', '.join(counted)}."


def _calibrated(errors: dict[str, Interval]) -> list[str]:
    rho = errors[_RHO]
    met = "met" if rho.value <= _ERROR else "**not met**"
    first = (
        f"**Calibration.** ρ is off from the best attack's R² by {rho.shown(3)} on average. The "
        f"aim was at most {_ERROR:g}: {met}. The attained floor is off from decoders by "
        f"{errors['attained floor'].shown(3)}, and the larger of ρ and floor from the best attack "
        f"by {errors[_BOTH].shown(3)}."
    )
    weaker = errors[WEAKER].shown(3)
    second = (
        f"Against ridge and decoders alone it is off by {weaker}: what refined pictures add is how "
        "far those attackers were from done."
    )
    lines = [first, second]
    if FIT in errors:
        fit = errors[FIT]
        judged = (
            "ρ is nearer"
            if rho.value < fit.value
            else "**the naive fit is nearer, without looking at the network**"
        )
        lines.append(
            f"A fit of depth and log noise to other networks is off by {fit.shown(3)}: {judged}."
        )
    return lines


def _blind(networks: Networks) -> list[str]:
    """Say what is known without any data, of photographs and of others."""
    kinds = {
        "photographs": [v for v in scored(networks).values() if v["data"] in PHOTOGRAPHS],
        "digits and faces": [v for v in scored(networks).values() if v["data"] not in PHOTOGRAPHS],
    }
    found = {
        kind: mean_absolute_error(
            np.concatenate([table(value, MEASURES["ρ, no data"]).ravel() for value in chosen]),
            np.concatenate([table(value, best).ravel() for value in chosen]),
        )
        for kind, chosen in kinds.items()
        if chosen
    }
    said = ", ".join(f"{error:.3f} on networks of {kind}" for kind, error in found.items())
    line = f"**Without any data**, under the image prior, ρ is off by {said}."
    if "photographs" in found:
        met = "met" if found["photographs"] <= _BLIND_ERROR else "**not met**"
        line += f" The aim for photographs was at most {_BLIND_ERROR:g}: {met}."
    return [line]


def _ordered(found: dict[str, Interval]) -> list[str]:
    rho = found[_RHO]
    met = "met" if rho.value >= _SPEARMAN else "**not met**"
    good = {name: found[name].value >= rho.value - 0.01 for name in _NAIVE}
    equal = [f"{name} ({found[name].value:.2f})" for name in _NAIVE if good[name]]
    worse = [f"{name} ({found[name].value:.2f})" for name in _NAIVE if not good[name]]
    first = (
        f"**Order.** Spearman of ρ with the best attack's R² is {rho.shown(2)}, median over noise "
        f"levels. The aim was at least {_SPEARMAN:g}: {met}."
    )
    lines = [first]
    floor = found["attained floor"]
    better = "better than" if floor.value > rho.value + 0.01 else "no better than"
    lines.append(f"The attained floor orders decoders at {floor.shown(2)}, {better} ρ.")
    if equal:
        lines.append(f"**As good at ordering, or better, and cheaper:** {', '.join(equal)}.")
    if worse:
        lines.append(f"Worse at ordering: {', '.join(worse)}.")
    return lines


def _exceeded(networks: Networks, name: str) -> str:
    counted = scored(networks).values()
    predicted = np.concatenate([table(value, MEASURES[name]).ravel() for value in counted])
    attained = np.concatenate([table(value, best).ravel() for value in counted])
    excess = attained - predicted
    over = int(np.sum(excess > 0))
    return (
        f"**No ceiling.** The best attack attained more than {name} says in {over} of "
        f"{len(excess)} releases, by more than 0.05 in {int(np.sum(excess > 0.05))}; "
        f"the excess is at most {max(0.0, float(excess.max())):.2f}, and at most "
        f"{max(0.0, float(np.quantile(excess, 0.95))):.2f} in 95 % of all. "
        f"On average the attack is {abs(excess.mean()):.3f} "
        f"{'above' if excess.mean() > 0 else 'below'} it."
        if over
        else f"No attack attained more than {name} says."
    )


def _bounded(summary: Cell) -> list[str]:
    """Count attacks beyond the bounds, where bounds must hold."""
    lines = []
    cases = [
        (row["known"], row["bound"], seen)
        for study in summary.get("bounds", ())
        for row in study["rows"]
        for seen in row["attacks"].values()
    ]
    if cases:
        known, stated = (
            sum(case[2]["mse"] + 2 * case[2]["mse_error"] < case[at] for case in cases)
            for at in (0, 1)
        )
        lines.append(
            f"**Van Trees.** On Gaussian images, {known} of {len(cases)} attacks beat the bound of "
            f"the covariance that the images have by more than two standard errors, and {stated} "
            "the bound with the covariance that onnxprobe estimates."
        )
    rows = [row for study in summary.get("unbiased", ()) for row in study["rows"]]
    if rows:
        below = sum(row["error"] + 2 * row["standard_error"] < row["bound"] for row in rows)
        lines.append(
            f"**dFIL.** {below} of {len(rows)} unbiased attacks beat its bound by more than two "
            "standard errors."
        )
    return lines


def _told(summary: Cell) -> list[str]:
    """Say how well members are told, by the loss and by single tensors."""
    lines = []
    for study in summary.get("membership", ()):
        points = study["checkpoints"]
        alone = max(tensor["auc"] for point in points for tensor in point["tensors"].values())
        lines.append(
            f"**Membership.** Over training on {study['members']} images, an attacker who looks at "
            f"the loss reaches an AUC of {points[-1]['auc']:.2f}; one who looks at a single tensor "
            f"of any checkpoint at most {alone:.2f}. What degrees of freedom and ranks do "
            "meanwhile, and whether they move with it, is under *Over training*."
        )
    return lines


def _nothing(networks: Networks) -> str:
    found = shuffled(networks)
    return (
        f"Shuffled over tensors, ρ orders nothing: Spearman {found.value:+.2f} "
        f"(95 % of shuffles {found.low:+.2f} to {found.high:+.2f})."
    )
