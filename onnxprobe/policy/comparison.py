"""What two reports say differently, and which differences noise does not explain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from onnxprobe.policy.alignment import Pair, align
from onnxprobe.policy.baseline import differing_options
from onnxprobe.policy.measures import MEASURES
from onnxprobe.policy.questions import Question, Reading, same_noise
from onnxprobe.record import Levels, Report, TensorRecord
from onnxprobe.record.base import Record

__all__ = ["Comparison", "Difference", "compare", "noise_margin"]

# Two runs of equal numbers in another order differ by less than this.
_STEADY = 1e-3
_SCALARS = (
    "rank",
    "rank_share",
    "stable_rank",
    "effective_rank",
    "dof",
    "dof_share",
    "dof_rank",
    "intra_class_share",
    "membership_auc",
    "membership_tpr",
)
_BY_NOISE = (
    "recoverable_share",
    "recoverable_dof",
    "bits",
    "van_trees_share",
    "dfil",
    "tokens_reidentified",
)


class Difference(Record):
    """One measure of a tensor in two reports."""

    tensor: str = Field(description="In the first report.")
    other: str = Field(description="In the second.")
    by: Literal["name", "structure"]
    measure: str
    noise: str | None
    target: str | None = Field(None, description="Share of the input, of `noise_for`.")
    before: list[float | None] = Field(description="Both ends in the first report.")
    after: list[float | None] = Field(description="Both ends in the second.")
    change: float | None = Field(description="Of the known ends, relative to the first.")
    significant: bool = Field(description="Whether it exceeds what noise and unknown ends explain.")


class Comparison(Record):
    """What changed between two reports."""

    schema_version: Literal["1.0"] = "1.0"
    before: str = Field(description="The first model.")
    after: str = Field(description="The second.")
    pairs: int = Field(description="Tensors that are in both.")
    renamed: int = Field(description="Those of them that structure paired, and not names.")
    only_before: list[str]
    only_after: list[str]
    differences: list[Difference] = Field(description="Significant ones first, by tensor.")
    notes: list[str] = Field(description="Why figures may differ beside the model.")

    @property
    def significant(self) -> list[Difference]:
        """The differences that noise does not explain."""
        return [each for each in self.differences if each.significant]


def compare(before: Report, after: Report) -> Comparison:
    """Compare two reports tensor by tensor.

    A difference is significant if the intervals in which the measure is known to lie do not meet:
    the ends that unseen directions leave, each wider by the noise floor of the Jacobian relative to
    its largest singular value, or by 1e-3 where there is none. Where the samples are not the same,
    measures of Jacobians range over the samples of each report, and degrees of freedom, which
    depend on which N samples were drawn, are allowed 2/√N: a convention, and no estimate.

    Args:
        before: A report.
        after: Another.

    Returns:
        Every measure that differs.
    """
    pairs = align(before, after)
    noises = _common_noises(before, after)
    targets = [
        target
        for target in before.run.configuration.get("targets", [])
        if target in after.run.configuration.get("targets", [])
    ]
    asked = [
        *(_Asked(name) for name in _SCALARS),
        *(_Asked(name, noise=noise) for noise in noises for name in _BY_NOISE),
        *(_Asked("noise_for", target=repr(target)) for target in targets),
    ]
    found = [
        difference
        for pair in (*pairs, *_joint(before, after))
        for difference in _differences(before, after, pair, asked)
    ]
    found.sort(key=lambda each: not each.significant)
    paired = ({pair.one.name for pair in pairs}, {pair.other.name for pair in pairs})
    return Comparison(
        before=before.model.name,
        after=after.model.name,
        pairs=len(pairs),
        renamed=sum(pair.by == "structure" for pair in pairs),
        only_before=[each.name for each in before.tensors if each.name not in paired[0]],
        only_after=[each.name for each in after.tensors if each.name not in paired[1]],
        differences=found,
        notes=list(_notes(before, after)),
    )


def _common_noises(before: Report, after: Report) -> list[str]:
    """List the levels of noise that both reports know."""
    known: list[list[str]] = [
        list(dict.fromkeys(each.noise for tensor in report.tensors for each in tensor.release))
        for report in (before, after)
    ]
    return [one for one in known[0] if any(same_noise(one, other) for other in known[1])]


@dataclass(frozen=True)
class _Asked:
    """A measure, at a level of noise or for a share of the input where it depends on one."""

    measure: str
    noise: str = ""
    target: str = ""


def _joint(before: Report, after: Report) -> Iterator[Pair]:
    """Pair the joint releases of the same tensors."""
    later = {frozenset(each.tensors): each.record for each in after.together}
    for each in before.together:
        if (record := later.get(frozenset(each.tensors))) is not None:
            label = {"name": each.label}
            yield Pair(
                each.record.model_copy(update=label), record.model_copy(update=label), "name"
            )


def _differences(
    before: Report, after: Report, pair: Pair, asked: Sequence[_Asked]
) -> Iterator[Difference]:
    same_data = _same_data(before, after)
    for each in asked:
        measure = each.measure
        one, other = (
            # Nothing is decided here: what is known is compared as it is.
            MEASURES[measure].read(
                Question(report, tensor, each.noise, target=each.target, is_judged=False)
            )
            for report, tensor in ((before, pair.one), (after, pair.other))
        )
        if (one.low, one.high) == (other.low, other.high):
            continue
        margin = max(noise_margin(pair.one), noise_margin(pair.other))
        if not same_data:
            one, other = (
                _over_samples(reading, tensor, measure)
                for reading, tensor in ((one, pair.one), (other, pair.other))
            )
            fewest = min(before.data.samples, after.data.samples)
            margin = max(margin, 2 / fewest**0.5) if measure.startswith("dof") else margin
        yield Difference(
            tensor=pair.one.name,
            other=pair.other.name,
            by=pair.by,
            measure=measure,
            noise=each.noise or None,
            target=each.target or None,
            before=[one.low, one.high],
            after=[other.low, other.high],
            change=_change(one, other),
            significant=_is_apart(one, other, margin) or _is_apart(other, one, margin),
        )


def _same_data(before: Report, after: Report) -> bool:
    one, other = before.data, after.data
    return (
        one.digest is not None
        and one.digest == other.digest
        and one.jacobian_samples == other.jacobian_samples
    )


def _over_samples(reading: Reading, tensor: TensorRecord, measure: str) -> Reading:
    """Widen a measure of a Jacobian to all samples at which it was taken."""
    jacobian = tensor.jacobian
    if jacobian is None or reading.low is None:
        return reading
    lowest: float | None = None
    if measure in {"rank", "rank_share"} and jacobian.rank is not None:
        lowest = jacobian.rank.min / (jacobian.inputs if measure == "rank_share" else 1)
    elif measure in {"stable_rank", "effective_rank"}:
        levels: Levels | None = getattr(jacobian, measure)
        lowest = levels.min if levels else None
    return reading if lowest is None else Reading(min(lowest, reading.low), reading.high)


def noise_margin(tensor: TensorRecord) -> float:
    """Tell how far noise may move a measure of a tensor.

    Args:
        tensor: An analysed tensor.

    Returns:
        Relative to the measure.
    """
    jacobian = tensor.jacobian
    largest = [
        each.spectrum.values[0]
        for each in (jacobian.samples if jacobian else ())
        if each.spectrum is not None and each.spectrum.values and each.spectrum.values[0] > 0
    ]
    if jacobian is None or jacobian.noise_floor is None or not largest:
        return _STEADY
    return max(_STEADY, jacobian.noise_floor.max / min(largest))


def _is_apart(lower: Reading, upper: Reading, margin: float) -> bool:
    """Whether all that one can be is below all that the other can be."""
    if lower.high is None or upper.low is None:
        return False
    gap = margin * max(abs(lower.high), abs(upper.low))
    return lower.high + gap < upper.low


def _change(one: Reading, other: Reading) -> float | None:
    ends = [(one.high, other.high), (one.low, other.low)]
    known = next(((a, b) for a, b in ends if a is not None and b is not None and a != 0), None)
    return None if known is None else (known[1] - known[0]) / abs(known[0])


def _notes(before: Report, after: Report) -> Iterator[str]:
    if not _same_data(before, after):
        yield "the samples are not known to be the same, which moves every figure"
    yield from differing_options(before, after)
    for report, which in ((before, "first"), (after, "second")):
        if report.run.interrupted is not None:
            yield f"the {which} analysis was not complete"
