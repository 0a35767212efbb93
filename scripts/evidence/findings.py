"""What the figures say, in sentences that are chosen by the figures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np

from scripts.evidence.cells import Cell
from scripts.evidence.real_images import real_excess
from scripts.evidence.releases import (
    IMAGES,
    MEASURES,
    RHO,
    Networks,
    best,
    pooled,
    scored,
    table,
    unshared,
)
from scripts.evidence.scores import (
    FIT,
    FIT_SIZE,
    UNSHARED,
    ahead,
    calibration_errors,
    median_order,
    order_against,
    orders,
    shuffled,
)
from scripts.evidence.statistics import Interval, bootstrap, mean_absolute_error
from scripts.evidence.training_section import falls_and_rises, relations, strongest

__all__ = ["findings", "wrapped"]

_BOTH = "max(ρ, floor)"
_NAIVE = (
    "depth (negative)",
    "tensor size",
    "rank share",
    "naive rank share",
    "activation DoF",
)
_OWN = ("recoverable DoF", "dFIL", "rank share", "activation DoF")
_ERROR, _BLIND_ERROR, _SPEARMAN = 0.08, 0.1, 0.9
_CHANCE = 0.05
#: Above it nearly all of the image is there.
_SURE = 0.95


def findings(summary: Cell, earlier: Sequence[Cell] = ()) -> str:
    """Say what was found.

    Args:
        summary: Of a run.
        earlier: Of those before, oldest first.

    Returns:
        A list in markdown.
    """
    networks = summary["networks"]
    lines = [
        _counted(networks),
        *_calibrated(networks, calibration_errors(networks)),
        *_ordered(networks, orders(networks)),
        *_blind(networks),
        *_rounded(networks),
        *_bounded(summary),
        *_fooled(summary),
        *_differenced(summary),
        *_told(summary),
        _nothing(networks),
        *_before(earlier, networks),
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


def _before(earlier: Sequence[Cell], networks: Networks) -> list[str]:
    """Say what runs before found, on other networks and with weaker attacks."""
    if not earlier:
        return []
    measure = MEASURES[RHO]
    told = []
    for run in earlier:
        counted = scored(run["networks"])
        pairs = {key: (table(v, measure), table(v, best)) for key, v in counted.items()}
        error, order = (bootstrap(pairs, each) for each in (mean_absolute_error, median_order))
        told.append(
            f"{run['about']}: ρ off by {error.shown(3)}, Spearman {order.shown(2)} "
            f"({', '.join(counted)})"
        )
    again = set(scored(networks)) & {name for run in earlier for name in run["networks"]}
    said = (
        f"**Earlier runs** had other networks and weaker attacks. {'; '.join(told)}. The formula "
        "of ρ was the same in all of them. Since figures of the networks of a run had been seen "
        "when the next one was designed, this one counts networks that no run had before"
        + (f", all but {', '.join(sorted(again))}." if again else ".")
    )
    return [said]


def _counted(networks: Networks) -> str:
    counted = scored(networks)
    releases = sum(len(tensor["levels"]) for v in counted.values() for tensor in v["tensors"])
    return f"Counted are {releases} releases of {len(counted)} network(s): {', '.join(counted)}."


def _calibrated(networks: Networks, errors: dict[str, Interval]) -> list[str]:
    rho, others = errors[RHO], errors[UNSHARED]
    judged = _aim(rho.value <= _ERROR, f"at most {_ERROR:g}", networks)
    first = (
        f"**Calibration.** ρ is off from the R² of the best attack by {rho.shown(3)} on average. "
        f"{judged} Refining, one of the attacks, assumes the same Gaussian prior as ρ, which pulls "
        f"it towards ρ: from the best of the others ρ is off by {others.shown(3)}."
    )
    floor = (
        f"The attained floor is off from decoders by {errors['attained floor'].shown(3)}, and the "
        f"larger of ρ and floor from the best attack by {errors[_BOTH].shown(3)}."
    )
    lines = [first, _sure(networks), floor]
    if FIT in errors:
        lines.append(
            f"Fitted to other networks, depth and log noise are off by {errors[FIT].shown(3)}, and "
            f"with the size of a tensor relative to the input by {errors[FIT_SIZE].shown(3)}: "
            + _nearer(rho, errors[FIT_SIZE])
        )
    return lines


def _nearer(rho: Interval, fit: Interval) -> str:
    if abs(rho.value - fit.value) < 0.01:
        return "**as near as ρ, without looking at the weights**."
    if rho.value < fit.value:
        return "ρ is nearer."
    return "**the fit is nearer, without looking at the weights**."


def _sure(networks: Networks) -> str:
    """Say where errors are, since where nothing is lost everything is near."""
    counted = scored(networks)
    predicted, attained = pooled(counted, MEASURES[RHO]), pooled(counted, best)
    error, sure = np.abs(predicted - attained), predicted >= _SURE
    excess = attained - predicted
    near = [float(part.mean()) if part.size else 0.0 for part in (error[sure], error[~sure])]
    return (
        f"**Where it matters** the error is larger: {near[0]:.3f} in the {int(sure.sum())} "
        f"releases with ρ of {_SURE:g} or more, from which nearly all is recovered, and "
        f"{near[1]:.3f} in the {int((~sure).sum())} others. The best attack attained more than ρ "
        "in "
        f"{int(np.sum(excess > 0))} of {len(excess)} releases, by more than 0.05 in "
        f"{int(np.sum(excess > 0.05))}, and by at most {max(0.0, float(excess.max())):.2f}: **ρ is "
        "no ceiling**."
    )


def _aim(met: bool, aim: str, networks: Networks) -> str:
    """Judge an aim; one small network is judged for nothing."""
    if all(network["role"] == "quick" for network in networks.values()):
        return f"The aim is {aim}; a quick run of one network tells nothing of it."
    return f"The aim was {aim}: {'met' if met else '**not met**'}."


def _ordered(networks: Networks, found: dict[str, Interval]) -> list[str]:
    counted = scored(networks)
    rho = found[RHO]
    others = order_against(counted, RHO, unshared)
    lines = [
        f"**Order.** Spearman of ρ with the best attack's R² is {rho.shown(2)}, median over noise "
        f"levels, and with that of attacks without its prior {others.shown(2)}. "
        + _aim(rho.value >= _SPEARMAN, f"at least {_SPEARMAN:g}", networks)
    ]
    level: list[str] = []
    worse: list[str] = []
    for name in _NAIVE:
        pairs = [ahead(counted, RHO, name, against) for against in (best, unshared)]
        said = f"{name} ({found[name].value:.2f}; ρ ahead by {pairs[0].shown(2)})"
        (level if min(pair.low for pair in pairs) <= 0 else worse).append(said)
    if level:
        lines.append(
            "**Not told apart from ρ at ordering** by a bootstrap over networks, against one kind "
            f"of best attack or the other, and cheaper: {', '.join(level)}."
        )
    if worse:
        lines.append(f"Worse at ordering: {', '.join(worse)}.")
    weak = [f"{name} ({found[name].value:.2f})" for name in _OWN if found[name].value < _SPEARMAN]
    if weak:
        lines.append(
            f"Among onnxprobe's own measures, these order poorly over networks: {', '.join(weak)}."
        )
    return lines


def _blind(networks: Networks) -> list[str]:
    """Say what is known without any data, of photographs and of others."""
    kinds = {
        kind: {name: v for name, v in scored(networks).items() if v["data"] in data}
        for kind, data in IMAGES.items()
    }
    found = {
        kind: mean_absolute_error(pooled(chosen, MEASURES["ρ, no data"]), pooled(chosen, best))
        for kind, chosen in kinds.items()
        if chosen
    }
    said = ", ".join(f"{error:.3f} on networks of {kind}" for kind, error in found.items())
    line = f"**Without any data**, under the image prior, ρ is off by {said}."
    if "photographs" in found:
        met = found["photographs"] <= _BLIND_ERROR
        line += " For photographs: " + _aim(met, f"at most {_BLIND_ERROR:g}", networks)
    return [line]


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
    if summary["networks"]:
        beaten, tried = real_excess(summary["networks"])
        lines.append(
            f"**On real images**, {beaten} of {tried} attacks beat the stated van Trees bound by "
            "more than two standard errors: real images are not Gaussian, and the bound is none "
            "for them. What it says of a release is a prediction like ρ."
        )
    return lines


def _fooled(summary: Cell) -> list[str]:
    """Name the control that a local measure gets wrong on purpose."""
    rows = {row["name"]: row for row in summary.get("controls", ())}
    if "hash" not in rows or rows["hash"].get("high") is None:
        return []
    row = rows["hash"]
    said = (
        f"**A failure, on purpose.** A sine of 1,000 turns is rated {row['high']:.2f}, and no "
        f"attack recovers anything of it ({max(0.0, row['attack']):.2f}): a local measure cannot "
        "see that an inverse exists and is out of reach. It errs on the safe side."
    )
    return [said]


def _differenced(summary: Cell) -> list[str]:
    """Say what finite differences do to the measures."""
    rows = [
        row
        for study in summary.get("differences", ())
        for row in study["rows"]
        if row["step"] == "auto"
    ]
    if not rows:
        return []
    highest = max(row["share_above"] for row in rows)
    ranks = sum(row["wrong_ranks"] for row in rows), sum(row["tensors"] for row in rows)
    worst = max(row["van_trees_mse"] for row in rows if row["van_trees_mse"] is not None)
    said = (
        f"**Finite differences**, even with the measured step, put ρ up to {highest:.2f} too high, "
        f"where their noise floor hides what is lost, misstate {ranks[0]} of {ranks[1]} ranks, and "
        f"move the van Trees bound by {worst:.0%} in the median tensor of the worse network: where "
        "derivatives are not exact, upper ends say little."
    )
    return [said]


def _told(summary: Cell) -> list[str]:
    """Answer whether measures fall, then rise, and whether that tells of members."""
    studies = summary.get("membership", ())
    if not studies:
        return []
    paths = {key: [falls_and_rises(study, key) for study in studies] for key in ("dof", "rank")}
    fallen = {
        key: " of ".join(str(sum(each[at] for each in found)) for at in (0, 1))
        for key, found in paths.items()
    }
    ends = [study["checkpoints"][-1] for study in studies]
    probes = [tensor["probe"] for end in ends for tensor in end["tensors"].values()]
    own = [strongest(tensor) for end in ends for tensor in end["tensors"].values()]
    losses = ", ".join(f"{end['auc']:.2f}" for end in ends)
    kept: list[str] = []
    lost: list[str] = []
    for name, found in relations(studies).items():
        said = f"{name} ({found.value:+.2f}, by chance {found.chance:.3f})"
        (kept if found.chance < _CHANCE else lost).append(said)
    seen = (
        "**Membership.** Secondary sources of the paper say that both measures first fall and then "
        "rise over training, and that their change relates to membership. In "
        f"{len(studies)} trainings until images are known by heart, degrees of freedom do so in "
        f"{fallen['dof']} tensors, and ranks in {fallen['rank']}. Whoever looks at the loss ends "
        f"at an AUC of {losses}; a probe on a single tensor between {min(probes):.2f} and "
        f"{max(probes):.2f}; the strongest of onnxprobe's untrained statistics between "
        f"{min(own):.2f} and {max(own):.2f}."
    )
    along = f"**is seen** for {', '.join(kept)}" if kept else "is seen for nothing"
    if lost:
        along += f"; it cannot be told from chance for {', '.join(lost)}"
    related_to = (
        "Over the tensors of a network, a Spearman correlation with what that probe attains in the "
        f"end {along}. Where in a network a tensor lies may decide over both."
    )
    return [seen, related_to]


def _rounded(networks: Networks) -> list[str]:
    """Say how it is with tensors that are rounded to int8 and get no noise."""
    pairs = [
        (level["high"], best(tensor, level))
        for network in scored(networks).values()
        for tensor in network["tensors"]
        if (level := tensor.get("int8"))
    ]
    if not pairs:
        return []
    predicted, attained = np.array(pairs).T
    said = (
        f"**Rounded to int8**, which onnxprobe takes for noise, the last two tensors of each "
        f"network ({len(pairs)} releases) give away {attained.min():.2f} to {attained.max():.2f}; "
        f"ρ is off by {np.mean(np.abs(predicted - attained)):.3f}."
    )
    return [said]


def _nothing(networks: Networks) -> str:
    found = {name: shuffled(networks, name) for name in MEASURES}
    widest = max(found.values(), key=lambda each: each.high - each.low)
    largest = max(abs(each.value) for each in found.values())
    return (
        f"Shuffled over tensors, no measure orders anything: mean Spearman is at most "
        f"{largest:.2f} away from 0, and 95 % of shuffles lie within {widest.low:+.2f} and "
        f"{widest.high:+.2f}."
    )
