"""What policies can bound: measures of a tensor, read from a report with what is sure of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from onnxprobe.policy.beside import BESIDE
from onnxprobe.policy.questions import (
    UNKNOWN,
    Measure,
    Question,
    Reader,
    Reading,
    exactly,
    same_noise,
)
from onnxprobe.record import JacobianRecord, Label, Levels, RankLevels, ReleaseRecord, Report

__all__ = ["MEASURES", "silence"]

_ReleaseReader: TypeAlias = Callable[[Question, ReleaseRecord], Reading]


_MORE_DIRECTIONS = "it was seen through some directions only: --directions all tells"
# Where samples say less than this of others, their covariance is no prior.
_LEAST_HELD_OUT = 0.5
_TARGET = "0.05"
# Rounding moves measures by less.
_STEADY = 1e-3
_ATTAINED: Label = "attained by a reconstruction"
_PREDICTED: Label = "linear-Gaussian prediction"
_NOT_RECONSTRUCTED = "no reconstruction was tried: give at least 8 samples that differ, with --data"
_UNMEASURED = "its Jacobian was not measured"
# By status of a Jacobian, why it tells nothing.
_SILENT = {
    "independent": "it does not depend on the source, and what it tells of other inputs was not "
    "measured",
    "piecewise constant": "it is piecewise constant: its derivative is zero and tells nothing",
    "not differentiable": "there is no source to differentiate by",
    "not repeatable": "it is random",
    "non-finite": "it is not finite",
}


def _of_jacobian(read: Callable[[Question, JacobianRecord], Reading]) -> Reader:
    def guarded(question: Question) -> Reading:
        jacobian = question.tensor.jacobian
        if jacobian is None or (reason := silence(question)):
            return Reading(None, None, reason if jacobian else _UNMEASURED)
        return read(question, jacobian)

    return guarded


def silence(question: Question) -> str:
    """Say why the Jacobian of a tensor tells nothing, if so.

    Args:
        question: Names the tensor.

    Returns:
        The reason; empty if it tells something.
    """
    jacobian = question.tensor.jacobian
    return _UNMEASURED if jacobian is None else _SILENT.get(jacobian.status, "")


def _rank_in(unit: Callable[[JacobianRecord], int]) -> Reader:
    def read(question: Question, jacobian: JacobianRecord) -> Reading:
        levels = _rank_levels(jacobian, question.tolerance)
        if levels is None:
            known = ", ".join(jacobian.rank_at) or "none"
            return Reading(None, None, f"the report has no rank at this tolerance, but at {known}")
        rank = question.worst(levels) / unit(jacobian)
        if levels.at_least:
            return Reading(rank, None, _MORE_DIRECTIONS, "certified lower bound")
        return exactly(rank)

    return _of_jacobian(read)


def _rank_levels(jacobian: JacobianRecord, tolerance: str) -> RankLevels | None:
    if not tolerance:
        return jacobian.rank
    found = (levels for name, levels in jacobian.rank_at.items() if float(name) == float(tolerance))
    return next(found, None)


def _levels(name: str) -> Reader:
    def read(question: Question, jacobian: JacobianRecord) -> Reading:
        levels: Levels | None = getattr(jacobian, name)
        if name in jacobian.not_comparable:
            return Reading(None, None, _MORE_DIRECTIONS)
        return exactly(question.worst(levels) if levels else None)

    return _of_jacobian(read)


def _dof(name: str) -> Reader:
    def read(question: Question) -> Reading:
        dof = question.tensor.dof
        if dof is None or dof.status in {"non-finite", "not repeatable"}:
            return Reading(None, None, "its values are random or not finite")
        value: float | None = getattr(dof, name)
        if dof.status == "constant":
            return _still(question)
        if value is None:
            return exactly(None)
        if dof.status == "saturated":
            return Reading(value, None, "there are too few samples to bound it: give more --data")
        if question.is_judged and question.report.data.synthetic:
            reason = "the samples were drawn, and say nothing of data: give --data"
            return Reading(None if question.side == "min" else value, None, reason)
        return exactly(value)

    return read


def _still(question: Question) -> Reading:
    """Read what does not vary: nothing is known of it if the inputs did not vary either."""
    source = question.report.source
    whole = source.dof if source else None
    if not question.is_judged:
        return exactly(0.0)
    if question.report.data.synthetic or whole is None or whole.status == "constant":
        return Reading(0.0, None, "the samples do not vary, or were drawn: give others with --data")
    return exactly(0.0)


def _release(read: _ReleaseReader) -> Reader:
    return _of_jacobian(lambda question, _: _at_noise(read, question))


def _at_noise(read: _ReleaseReader, question: Question) -> Reading:
    for each in question.tensor.release:
        if same_noise(each.noise, question.noise):
            if each.s is None:
                return Reading(None, None, "it is zero at every sample, which proves nothing")
            return read(question, each)
    missing = f"the report has no figures at noise {question.noise}: --noise adds them"
    return Reading(None, None, missing)


def _unfounded(report: Report) -> str:
    """Say why what is known of the input beforehand cannot pass anything, if so."""
    prior = report.prior
    if prior is None:
        return "nothing is known of the input beforehand: give --data"
    if prior.kind == "isotropic":
        return "an isotropic prior understates what is recoverable: give --data"
    held = prior.held_out_share
    if prior.kind == "data" and (held is None or held < _LEAST_HELD_OUT):
        why = "fewer than 8 differ" if held is None else f"they span {held:.0%} of those held out"
        return f"the samples are too few to know what inputs look like ({why}): give more --data"
    if prior.range_assumed:
        return (
            "the range of the pixels was assumed: give --data, or say it with --scale, --mean and "
            "--std"
        )
    return ""


def _founded(
    question: Question, low: float | None, high: float | None, reason: str = UNKNOWN
) -> Reading:
    """Withhold what rests on too weak a prior, but for an end that fails a limit from above."""
    unfounded = _unfounded(question.report) if question.is_judged else ""
    if not unfounded:
        return Reading(low, high, reason)
    return Reading(low if question.side == "max" else None, None, unfounded)


def _recoverable_share(question: Question, release: ReleaseRecord) -> Reading:
    share, attained = release.recoverable, release.attained
    reason = silence(question)
    # What a reconstruction attains is recoverable, whatever can be predicted.
    if share is None or reason:
        return Reading(attained, None, reason or UNKNOWN, _ATTAINED)
    if attained is None:
        # The larger of two is not known by one of them.
        high = None if question.is_judged else share.high
        return _founded(question, share.low, high, _NOT_RECONSTRUCTED)
    ends = max(share.low, attained), max(share.high, attained)
    found = _founded(question, *ends, _MORE_DIRECTIONS)
    # A reconstruction needs no prior.
    if found.low is None or attained > share.low:
        return replace(found, low=attained, label=_ATTAINED)
    return found


def _of_release(name: str) -> _ReleaseReader:
    def read(question: Question, release: ReleaseRecord) -> Reading:
        levels: Levels | None = getattr(release, name)
        if levels is None:
            return exactly(None)
        value = question.worst(levels)
        if _is_complete(question):
            return _founded(question, value, value)
        found = _founded(question, value, None, _MORE_DIRECTIONS)
        return replace(found, label="certified lower bound")

    return read


def _is_complete(question: Question) -> bool:
    jacobian = question.tensor.jacobian
    return jacobian is not None and jacobian.complete


def _dfil(question: Question, release: ReleaseRecord) -> Reading:
    if release.dfil is None:
        return exactly(None)
    value = question.worst(release.dfil)
    jacobian = question.tensor.jacobian
    norms = [each.frobenius for each in (jacobian.samples if jacobian else ()) if each.frobenius]
    if _is_complete(question):
        return exactly(value)
    if not norms:
        return Reading(None, None, _MORE_DIRECTIONS)
    # It is proportional to ‖J‖_F², of which every sample has an estimate and its ends at 95 %.
    worst = max if question.side == "max" else min
    low, middle, high = (worst(norm[at] for norm in norms) for at in range(3))
    if not middle > 0:
        # Where nothing was seen, nobody knows what leaks elsewhere.
        return Reading(0.0, None, _MORE_DIRECTIONS)
    scale = value / middle**2
    return Reading(scale * low**2, scale * high**2, _MORE_DIRECTIONS)


def _error_bound(name: str, *, of_prior: bool) -> _ReleaseReader:
    def read(question: Question, release: ReleaseRecord) -> Reading:
        value: float | None = getattr(release, name)
        if value is None:
            return exactly(None)
        # Through some directions the bound on an error is less than it might be.
        high = value if _is_complete(question) else None
        unfounded = _unfounded(question.report) if of_prior and question.is_judged else ""
        # Who knows too little beforehand expects larger errors than there are.
        low = None if unfounded else value
        if unfounded and question.side == "max":
            high = None
        label: Label | None = "estimated bound" if of_prior and not _is_linear(question) else None
        return Reading(low, high, unfounded or _MORE_DIRECTIONS, label)

    return read


def _is_linear(question: Question) -> bool:
    """Whether the Jacobian is the same at several samples: else its mean is an estimate."""
    jacobian = question.tensor.jacobian
    samples = jacobian.samples if jacobian else []
    norms = [each.frobenius[1] for each in samples if each.frobenius]
    shapes = jacobian.stable_rank if jacobian else None
    if len(norms) < max(2, len(samples)) or shapes is None:
        return False
    return _is_steady(norms) and _is_steady([shapes.min, shapes.max])


def _is_steady(values: Sequence[float]) -> bool:
    return max(values) - min(values) <= _STEADY * max(values)


def _needed_noise(question: Question, _: JacobianRecord) -> Reading:
    known = question.tensor.noise_for
    target = float(question.target or _TARGET)
    found = [value for name, value in known.items() if float(name) == target]
    if not found:
        return Reading(
            None, None, f"the report has no noise for a share of {target:g}: --target adds it"
        )
    (value,) = found
    if value is None:
        return Reading(None, None, "no noise can be said to be enough: --directions all may tell")
    tried = any(each.attained is not None for each in question.tensor.release)
    # It is enough whatever unseen directions hold, and perhaps more than is needed.
    low = value if _is_complete(question) else None
    high = value if tried or not question.is_judged else None
    return _founded(question, low, high, _MORE_DIRECTIONS if tried else _NOT_RECONSTRUCTED)


MEASURES: dict[str, Measure] = {
    "recoverable_share": Measure(
        lambda question: _at_noise(_recoverable_share, question),
        "share of the input's variance that an attacker recovers at this release noise: the larger "
        "of what is predicted and what a reconstruction attained",
        needs_noise=True,
        label=_PREDICTED,
    ),
    "recoverable_dof": Measure(
        _release(_of_release("recoverable_dof")),
        "directions that stand out of this release noise",
        needs_noise=True,
        label=_PREDICTED,
    ),
    "bits": Measure(
        _release(_of_release("bits")),
        "bits about the input at this release noise",
        needs_noise=True,
        label=_PREDICTED,
    ),
    "dfil": Measure(
        _release(_dfil),
        "diagonal Fisher information leakage at this release noise",
        needs_noise=True,
    ),
    "unbiased_mse": Measure(
        _release(_error_bound("unbiased_mse", of_prior=False)),
        "lower bound on an unbiased attacker's error at this release noise (use min)",
        needs_noise=True,
        label="bound",
    ),
    "van_trees_share": Measure(
        _release(_error_bound("van_trees_share", of_prior=True)),
        "lower bound on any attacker's error, per prior variance, at this release noise (use min)",
        needs_noise=True,
        label="bound",
    ),
    "van_trees_mse": Measure(
        _release(_error_bound("van_trees_mse", of_prior=True)),
        "the same, in source units squared (use min)",
        needs_noise=True,
        label="bound",
    ),
    "noise_for": Measure(
        _of_jacobian(_needed_noise),
        "release noise at which at most a share of the input is recoverable (0.05 if `target` does "
        "not say another)",
        takes_target=True,
        label=_PREDICTED,
    ),
    "rank": Measure(_rank_in(lambda _: 1), "numerical rank of the Jacobian", takes_tolerance=True),
    "rank_share": Measure(
        _rank_in(lambda jacobian: max(1, jacobian.inputs)),
        "rank per dimension of the source",
        takes_tolerance=True,
    ),
    "stable_rank": Measure(_levels("stable_rank"), "stable rank of the Jacobian"),
    "effective_rank": Measure(_levels("effective_rank"), "effective rank of the Jacobian"),
    "dof": Measure(_dof("value"), "degrees of freedom: effective rank of the activations"),
    "dof_share": Measure(_dof("share"), "degrees of freedom per degree of freedom of the source"),
    "dof_participation_ratio": Measure(
        _dof("participation_ratio"), "participation ratio of the activations"
    ),
    "dof_energy_95": Measure(_dof("energy_95"), "directions that carry 95 % of the variance"),
    "dof_energy_99": Measure(_dof("energy_99"), "directions that carry 99 % of the variance"),
    "dof_rank": Measure(_dof("rank"), "rank of the activations' covariance"),
    "dof_two_nn": Measure(_dof("two_nn"), "nonlinear intrinsic dimension of the activations"),
    **BESIDE,
}
