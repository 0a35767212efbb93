"""What studies say beyond the networks: bounds, controls, differences, membership."""

from __future__ import annotations

from collections.abc import Sequence

from scripts.evidence.cells import Cell
from scripts.evidence.real_images import real_excess
from scripts.evidence.releases import scored
from scripts.evidence.statistics import is_beyond
from scripts.evidence.training_section import (
    Relation,
    falls_and_rises,
    relations,
    strongest,
)

__all__ = ["study_findings"]

_CLEAR = 0.3
_SAMPLES = (50, 200, 800)
# Of attacks that come as near to a bound as can be, so many seem to beat it by two errors.
_TWO_ERRORS = 0.023
_NEAR = 1.1


def study_findings(summary: Cell) -> list[str]:
    """Say what studies found.

    Args:
        summary: Of a run.

    Returns:
        Sentences, chosen by the figures.
    """
    return [
        *_bounded(summary),
        *_controlled(summary),
        *_differenced(summary),
        *_sampled(summary),
        *_told(summary),
    ]


def _bounded(summary: Cell) -> list[str]:
    """Count attacks beyond the bounds, where bounds must hold."""
    lines = []
    cases = [
        (row["known"], row["bound"], seen)
        for study in summary.get("bounds", ())
        for row in study["rows"]
        for seen in row["attacks"].values()
        if None not in (row["known"], row["bound"])
    ]
    if cases:
        known, stated = (sum(is_beyond(case[2], case[at]) for case in cases) for at in (0, 1))
        near = sum(case[2]["mse"] < _NEAR * case[0] for case in cases)
        names = ", ".join(study["name"] for study in summary["bounds"])
        lines.append(
            f"**Van Trees.** On Gaussian images, {known} of {len(cases)} attacks ({names}) beat "
            "the bound of the covariance that the images have by more than two standard errors, "
            f"and {stated} the bound with the covariance that onnxprobe estimates. Only {near} "
            f"came within {_NEAR - 1:.0%} of it; of attacks that near, {_TWO_ERRORS:.1%} would "
            "seem to beat it by chance."
        )
    if summary["networks"]:
        beaten, tried = real_excess(scored(summary["networks"]))
        why = ": real images are not Gaussian, and the bound is none for them" if beaten else ""
        lines.append(
            f"**On real images** of the networks that count, {beaten} of {tried} attacks beat the "
            f"stated van Trees bound by more than two standard errors{why}. What it says of a "
            "release is a prediction like ρ."
        )
    return lines


def _controlled(summary: Cell) -> list[str]:
    """Name the controls that are not rated as they are."""
    rows = {row["name"]: row for row in summary.get("controls", ())}
    lines = []
    if (row := rows.get("hash")) and row["high"] is not None and row["high"] > row["attack"] + 0.5:
        lines.append(
            f"**A failure, on purpose.** The sine of 1,000 times a rotated image is rated "
            f"{row['high']:.2f}, and the best attack recovers {max(0.0, row['attack']):.2f} of it: "
            "a local measure cannot see that an inverse exists and is out of reach. It errs on "
            "the safe side."
        )
    if (row := rows.get("noise")) and row["high"] is None:
        lines.append(
            f"**Not rated.** Of a tensor that is nothing but noise onnxprobe says that it is "
            f"{row['status']}, and gives no ρ; its floor is {row['attained']:.2f}. No rule passes "
            "it, though it gives nothing away: that it be *rated* unrecoverable is not met."
        )
    return lines


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
    highest = max(0.0, *(row["share_above"] for row in rows))
    ranks = sum(row["wrong_ranks"] for row in rows), sum(row["tensors"] for row in rows)
    moved = [row["van_trees_mse"] for row in rows if row["van_trees_mse"] is not None]
    bound = f", and move the van Trees bound by {max(moved):.0%} in the median tensor of the worst"
    said = (
        f"**Finite differences** with the measured step put the upper end of ρ up to "
        f"{highest:.2f} too high, where their noise floor hides what is lost, misstate {ranks[0]} "
        f"of {ranks[1]} ranks{bound + ' network' if moved else ''}."
    )
    return [said]


def _sampled(summary: Cell) -> list[str]:
    """Say how far degrees of freedom from few samples are off, though nothing warns of it."""
    rows = [
        (row, study["rows"][-1]) for study in summary.get("samples", ()) for row in study["rows"]
    ]
    worst: dict[int, float] = {}
    for row, most in rows:
        errors = [
            abs(said["dof"] / most["tensors"][name]["dof"] - 1)
            for name, said in row["tensors"].items()
            if said["dof_status"] != "saturated"
        ]
        worst[row["samples"]] = max([worst.get(row["samples"], 0.0), *errors])
    shown = [f"{worst[size]:.0%} at {size}" for size in _SAMPLES if size in worst]
    if not shown:
        return []
    said = (
        "**Few samples.** Degrees of freedom that are not called saturated are off by up to "
        f"{', '.join(shown)} samples, from what the most samples give."
    )
    return [said]


def _told(summary: Cell) -> list[str]:
    """Answer whether measures fall, then rise, and whether that tells of members."""
    studies = summary.get("membership", ())
    if not studies:
        return []
    fallen = {key: _fallen(studies, key) for key in ("dof", "rank")}
    ends = [study["checkpoints"][-1] for study in studies]
    probes = [tensor["probe"] for end in ends for tensor in end["tensors"].values()]
    own = [strongest(tensor) for end in ends for tensor in end["tensors"].values()]
    losses = ", ".join(f"{end['auc']:.2f}" for end in ends)
    known = min(end["accuracy_members"] for end in ends)
    seen = (
        "**Membership.** Secondary sources of the paper say that both measures first fall and then "
        f"rise over training, and that their change relates to membership. In {len(studies)} "
        f"trainings on few images, of which at least {known:.0%} are known in the end, degrees of "
        f"freedom do so in {fallen['dof']}, and ranks in {fallen['rank']}. Whoever looks "
        f"at the loss ends at an AUC of {losses}; a probe "
        f"on a single tensor between {min(probes):.2f} and {max(probes):.2f}; the strongest of "
        f"onnxprobe's three untrained statistics, folded at 0.5, between {min(own):.2f} and "
        f"{max(own):.2f}."
    )
    found = relations(studies)
    texts = [
        f"{name} {relation.value:+.2f} ({_by_network(relation)}; by chance {relation.chance:.3f})"
        if relation.each
        else f"{name} is not known"
        for name, relation in found.items()
    ]
    depth = found.pop("depth")
    best = max(found, key=lambda name: abs(found[name].value))
    verdict = f"{best} goes with it further than depth"
    if abs(depth.value) >= abs(found[best].value):
        verdict = "**Depth alone tells more** than any figure of onnxprobe"
    turned = [name for name, relation in found.items() if _turns(relation)]
    if turned:
        verdict += f"; the sign of {', '.join(turned)} differs between networks"
    related = (
        "Over the tensors of a network, Spearman with what that probe attains in the end is: "
        f"{', '.join(texts)}. {verdict}."
    )
    return [seen, related]


def _fallen(studies: Sequence[Cell], key: str) -> str:
    counts: dict[str, list[int]] = {}
    for study in studies:
        fell, every = falls_and_rises(study, key)
        mine = counts.setdefault(study["name"], [0, 0])
        mine[0] += fell
        mine[1] += every
    return ", ".join(
        f"{fell} of {every} tensors of {name}" for name, (fell, every) in counts.items()
    )


def _by_network(relation: Relation) -> str:
    return ", ".join(f"{name} {value:+.2f}" for name, value in relation.each.items())


def _turns(relation: Relation) -> bool:
    """Say whether networks differ in sign, each clearly."""
    values = relation.each.values()
    return min(values, default=0.0) < -_CLEAR and max(values, default=0.0) > _CLEAR
