"""What the figures of networks say, in sentences that are chosen by the figures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.evidence.cells import Cell
from scripts.evidence.releases import (
    BOTH,
    CHEAP,
    DEPTH,
    FLOOR,
    IMAGES,
    MEASURES,
    OWN,
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
    FITS,
    UNSHARED,
    ahead,
    calibration_errors,
    median_order,
    nearer,
    order_against,
    orders,
    shuffled,
    within,
)
from scripts.evidence.statistics import Interval, bootstrap, mean_absolute_error
from scripts.evidence.study_findings import study_findings
from scripts.evidence.wording import aim, between, listed

__all__ = ["findings"]

_NAIVE = (
    *CHEAP,
    "naive rank share",
    "rank share",
    "activation DoF",
    "activation DoF, share of the input's",
)
_ERROR, _BLIND_ERROR, _SPEARMAN = 0.08, 0.1, 0.9
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
        *study_findings(summary),
        _nothing(networks),
        *_before(earlier, networks),
    ]
    return listed(lines)


def _before(earlier: Sequence[Cell], networks: Networks) -> list[str]:
    """Say what runs before found, and how new the networks of this one are."""
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
    known = {name.split("-")[0] for run in earlier for name in run["networks"]}
    fresh = {name: v for name, v in scored(networks).items() if v["data"] not in known}
    pairs = {key: (table(v, measure), table(v, best)) for key, v in fresh.items()}
    said = (
        f"**Earlier runs** had other networks and weaker attacks: {'; '.join(told)}. The formula "
        "of ρ was the same in all of them. Since their figures had been seen when this run was "
        "designed, no network of theirs counts here; data sets and architectures come back in "
        "other pairs."
    )
    if pairs:
        error = bootstrap(pairs, mean_absolute_error)
        said += (
            f" On the networks of data that no run had before ({', '.join(fresh)}), ρ is off by "
            f"{error.shown(3)}."
        )
    return [said]


def _counted(networks: Networks) -> str:
    counted = scored(networks)
    releases = sum(len(tensor["levels"]) for v in counted.values() for tensor in v["tensors"])
    return f"Counted are {releases} releases of {len(counted)} network(s): {', '.join(counted)}."


def _calibrated(networks: Networks, errors: dict[str, Interval]) -> list[str]:
    rho, others = errors[RHO], errors[UNSHARED]
    met = rho.value <= _ERROR
    judged = aim(met, f"at most {_ERROR:g}", networks, sure=not rho.straddles(_ERROR))
    first = (
        f"**Calibration.** ρ is off from the R² of the best attack by {rho.shown(3)} on average. "
        f"{judged} Refining, one of the attacks, assumes the same Gaussian prior as ρ; from the "
        f"best of the others ρ is off by {others.shown(3)}."
    )
    counted = scored(networks)
    above = pooled(counted, MEASURES[FLOOR]) > pooled(counted, MEASURES[RHO])
    floor = (
        f"The attained floor is off from decoders by {errors[FLOOR].shown(3)}. It exceeds ρ in "
        f"{int(above.sum())} of {above.size} releases; the larger of both is off from the best "
        f"attack by {errors[BOTH].shown(3)}."
    )
    lines = [first, _sure(networks), floor]
    if FIT in errors:
        judged = aim(rho.value < errors[FIT].value, "that ρ is nearer than the first", networks)
        told = [f"{name} {errors[name].shown(3)}, {_compared(networks, name)}" for name in FITS]
        lines.append(
            "**Who knows attacks on all other networks** may fit them without looking at the "
            f"weights; such fits are off by: {'; '.join(told)}. {judged}"
        )
    return lines


def _compared(networks: Networks, name: str) -> str:
    difference = nearer(networks, name)
    if difference.low > 0:
        return f"which is {difference.shown(3)} more than ρ"
    if difference.high < 0:
        return f"**which is nearer than ρ** by {-difference.value:.3f}"
    return f"**not told apart from ρ** ({difference.shown(3)} more)"


def _sure(networks: Networks) -> str:
    """Say where errors are, since where nothing is lost everything is near."""
    counted = scored(networks)
    predicted, attained = pooled(counted, MEASURES[RHO]), pooled(counted, best)
    error, sure = np.abs(predicted - attained), predicted >= _SURE
    excess = attained - predicted
    near = [float(part.mean()) if part.size else 0.0 for part in (error[sure], error[~sure])]
    sides = {}
    for name, network in counted.items():
        mine = table(network, best) - table(network, MEASURES[RHO])
        open_ones = table(network, MEASURES[RHO]) < _SURE
        if open_ones.any():
            sides[name] = float(mine[open_ones].mean())
    return (
        f"**Where nearly all is there**, in the {int(sure.sum())} releases with ρ of {_SURE:g} or "
        f"more, the error is {near[0]:.3f}; in the {int((~sure).sum())} others, where a limit "
        f"decides something, it is **{near[1]:.3f}**. There the attack was off from ρ by "
        f"{between(sides) if sides else 'nothing'}, mean by network. It attained more than ρ in "
        f"{int(np.sum(excess > 0))} of {len(excess)} releases, by more than 0.05 in "
        f"{int(np.sum(excess > 0.05))}, and by at most {max(0.0, float(excess.max())):.2f}"
        + (": **ρ is no ceiling**." if (excess > 0.05).any() else ".")
    )


def _ordered(networks: Networks, found: dict[str, Interval]) -> list[str]:
    counted = scored(networks)
    rho = found[RHO]
    others = order_against(counted, MEASURES[RHO], unshared)
    met = rho.value >= _SPEARMAN
    lines = [
        f"**Order.** Spearman of ρ with the best attack's R² is {rho.shown(2)}, median over noise "
        f"levels, and with that of attacks without its prior {others.shown(2)}. "
        + aim(met, f"at least {_SPEARMAN:g}", networks, sure=not rho.straddles(_SPEARMAN))
    ]
    if len(counted) > 1:
        lines += _beside(counted, found)
    alone = {name: within(counted, name) for name in (DEPTH, RHO)}
    lines.append(
        f"Within one network, depth orders tensors with {alone[DEPTH]:.2f}, and ρ with "
        f"{alone[RHO]:.2f} (median over networks)."
    )
    weak = [
        f"{name} ({found[name].value:.2f})"
        for name in OWN
        if name not in _NAIVE and found[name].value < _SPEARMAN
    ]
    if weak:
        lines.append(
            f"Of what else onnxprobe says, these order releases less well: {', '.join(weak)}."
        )
    return lines


def _beside(counted: Networks, found: dict[str, Interval]) -> list[str]:
    """Tell naive measures that order as well as ρ from those that do not."""
    classes: dict[str, list[str]] = {"ahead": [], "level": [], "behind": []}
    for name in _NAIVE:
        first, second = (ahead(counted, RHO, name, against) for against in (best, unshared))
        said = f"{name} ({found[name].value:.2f}; ρ ahead by {first.shown(2)}, {second.shown(2)})"
        if min(first.low, second.low) > 0:
            classes["behind"].append(said)
        elif max(first.high, second.high) < 0:
            classes["ahead"].append(said)
        else:
            classes["level"].append(said)
    heads = {
        "ahead": "**Better at ordering than ρ**",
        "level": "**Not told apart from ρ at ordering** by a bootstrap over networks, against all "
        "attacks or, second, those without its prior",
        "behind": "Worse at ordering",
    }
    return [f"{heads[key]}: {', '.join(names)}." for key, names in classes.items() if names]


def _blind(networks: Networks) -> list[str]:
    """Say what is known without any data, of photographs and of others."""
    kinds = {
        kind: {name: v for name, v in scored(networks).items() if v["data"] in data}
        for kind, data in IMAGES.items()
    }
    blind = MEASURES["ρ, no data"]
    found = {
        kind: bootstrap(
            {key: (table(v, blind), table(v, best)) for key, v in chosen.items()},
            mean_absolute_error,
        )
        for kind, chosen in kinds.items()
        if chosen
    }
    said = ", ".join(f"{error.shown(3)} on networks of {kind}" for kind, error in found.items())
    excess = {
        key: float((table(v, best) - table(v, blind)).mean()) for key, v in scored(networks).items()
    }
    most = max(float((table(v, best) - table(v, blind)).max()) for v in scored(networks).values())
    line = f"**Without any data**, under the image prior, ρ is off by {said}."
    if photographs := found.get("photographs"):
        met = photographs.value <= _BLIND_ERROR
        sure = not photographs.straddles(_BLIND_ERROR)
        line += " For photographs: "
        line += aim(met, f"at most {_BLIND_ERROR:g}", networks, sure=sure)
    line += f" The attack was off from it by {between(excess)}, mean by network, and above it by "
    return [f"{line}up to **{most:.2f}**."]


def _rounded(networks: Networks) -> list[str]:
    """Say how it is with tensors that are rounded to int8 and get no noise."""
    excess: dict[str, list[float]] = {}
    attained = []
    for name, network in scored(networks).items():
        for tensor in network["tensors"]:
            if level := tensor.get("int8"):
                attained.append(best(tensor, level))
                excess.setdefault(name, []).append(attained[-1] - level["high"])
    if not attained:
        return []
    error = np.mean(np.abs(np.concatenate(list(excess.values()))))
    means = {name: float(np.mean(values)) for name, values in excess.items()}
    said = (
        f"**Rounded to int8**, which onnxprobe takes for noise, the last two tensors of each "
        f"network ({len(attained)} releases) give away {min(attained):.2f} to {max(attained):.2f}; "
        f"ρ is off by {error:.3f}, and the attack from it by {between(means)}, mean by network."
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
