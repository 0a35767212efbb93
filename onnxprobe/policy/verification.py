"""Whether a report says what a new analysis of the same finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from onnxprobe.policy.comparison import Comparison, compare, noise_margin
from onnxprobe.policy.details import differences
from onnxprobe.policy.judging import report_digest
from onnxprobe.policy.measures import MEASURES
from onnxprobe.policy.questions import Question
from onnxprobe.record import Report, TensorRecord
from onnxprobe.record.base import Record

__all__ = ["Verification", "verify"]


# Measures that count samples: rounding may turn one of them the other way.
_COUNTED = frozenset({"tokens_reidentified", "membership_auc", "membership_tpr"})
_COUNTED_MARGIN = 0.02
# What rounding, and a version of a library, may change; nothing that a policy reads.
_UNSTEADY = frozenset({
    "spectrum",
    "noise_floor",
    "noise_model",
    "function_noise",
    "step",
    "resolved",
    "rank_at_rounding",
})
# Digests are compared where there are some, and reasons are for people.
_UNBOUND = frozenset({"digest", "labels_digest", "members_digest", "non_members_digest", "reason"})
_STEADY = 1e-3


class Verification(Record):
    """What became of a claim."""

    confirmed: bool
    how: Literal["byte for byte", "within the noise floors", "not"] = Field(
        description="How closely the figures agree."
    )
    problems: list[str] = Field(description="What is not as the report says, a sentence each.")
    notes: list[str] = Field(description="What may explain small differences.")
    comparison: Comparison


def verify(claimed: Report, found: Report) -> Verification:
    """Hold a report against a new one, made as it says it was made.

    Args:
        claimed: The report in question.
        found: A new report of the model, the data and the options that it names.

    Returns:
        Whether files, data, coverage and figures are what it says.
    """
    problems = [*_files(claimed, found)]
    if claimed.data.digest is not None and claimed.data.digest != found.data.digest:
        problems.append("the samples are others than those of the report")
    if claimed.data.digest is None and claimed.data.samples != found.data.samples:
        problems.append(f"there are {found.data.samples} samples, not {claimed.data.samples}")
    if claimed.data.digest is not None and claimed.data.labels_digest != found.data.labels_digest:
        problems.append(
            "the labels are others than those of the report: give the same with --labels, or none "
            "if it has none"
        )
    if _cohorts(claimed) != _cohorts(found):
        problems.append(
            "members and non-members are others than those of the report: give the same with "
            "--members and --non-members, or none if it has none"
        )
    omitted = [
        {each.name for each in (*report.coverage.skipped, *report.coverage.failed)}
        for report in (claimed, found)
    ]
    problems += [
        f"tensor {name!r} was left out, and is not now" for name in omitted[0] - omitted[1]
    ]
    problems += [f"tensor {name!r} is left out now" for name in omitted[1] - omitted[0]]
    comparison = compare(claimed, found)
    names = [{each.name for each in report.tensors} for report in (claimed, found)]
    problems += [f"tensor {name!r} is not in the model" for name in sorted(names[0] - names[1])]
    problems += [f"tensor {name!r} is not in the report" for name in sorted(names[1] - names[0])]
    problems += _statements(claimed, found)
    problems += _figures(claimed, found)
    problems = problems or _surroundings(claimed, found)
    versions = {
        name: (claimed.run.versions.get(name), found.run.versions.get(name))
        for name in sorted({*claimed.run.versions, *found.run.versions})
    }
    notes = [
        f"{name} was {before or 'absent'} and is {after or 'absent'}"
        for name, (before, after) in versions.items()
        if before != after
    ]
    if claimed.execution and found.execution:
        providers = claimed.execution.provider, found.execution.provider
        if providers[0] != providers[1]:
            notes.append(f"it ran on {providers[0]} and runs on {providers[1]}")
    joint = [{frozenset(each.tensors) for each in report.together} for report in (claimed, found)]
    if joint[0] != joint[1]:
        problems.append("the joint releases of the report are not what is found")
    same = report_digest(claimed) == report_digest(found)
    return Verification(
        confirmed=not problems,
        how="byte for byte" if same else "not" if problems else "within the noise floors",
        problems=problems,
        notes=notes,
        comparison=comparison,
    )


def _statements(claimed: Report, found: Report) -> list[str]:
    """Compare what is no figure, and decides what figures mean."""
    problems = []
    for what, one, other in (
        ("inputs", claimed.model.inputs, found.model.inputs),
        ("outputs", claimed.model.outputs, found.model.outputs),
        ("graph", claimed.graph, found.graph),
        ("source", _source(claimed), _source(found)),
        ("prior", _prior(claimed), _prior(found)),
        ("synthetic data", claimed.data.synthetic, found.data.synthetic),
    ):
        if one != other:
            problems.append(f"the {what} of the report is not what is found")
    return problems


def _source(report: Report) -> tuple[list[str], int] | None:
    return None if report.source is None else (report.source.names, report.source.size)


def _prior(report: Report) -> tuple[str, bool, int] | None:
    prior = report.prior
    return None if prior is None else (prior.kind, prior.range_assumed, prior.directions)


def _cohorts(report: Report) -> tuple[str | int | None, ...] | None:
    cohorts = report.membership
    if cohorts is None:
        return None
    return (
        cohorts.members,
        cohorts.non_members,
        cohorts.members_digest,
        cohorts.non_members_digest,
    )


def _figures(claimed: Report, found: Report) -> list[str]:
    """Compare everything that is said of a tensor, within the noise of the new report alone."""
    problems: list[str] = []
    for name, one, other in _pairs(claimed, found):
        before = len(problems)
        if one.status != other.status:
            problems.append(f"{name!r} is {other.status}, not {one.status}")
        margin = noise_margin(other)
        noises = list(dict.fromkeys(each.noise for each in other.release))
        if [each.noise for each in one.release] != [each.noise for each in other.release]:
            problems.append(f"{name!r} has figures at other levels of noise")
            continue
        for measure, definition in MEASURES.items():
            for noise in noises if definition.needs_noise else [""]:
                mine = definition.read(Question(claimed, one, noise))
                new = definition.read(Question(found, other, noise))
                allowed = _margin(measure, margin)
                ends = ((mine.low, new.low), (mine.high, new.high))
                if not all(_agree(*end, allowed) for end in ends):
                    at = f" at {noise}" if noise else ""
                    problems.append(
                        f"{measure}{at} of {name!r} is {_ends(new.low, new.high)}, not "
                        f"{_ends(mine.low, mine.high)}"
                    )
        if len(problems) == before:
            # What policies read at other tolerances, sides and samples, and what else is said.
            wide = max(margin, _COUNTED_MARGIN) if _counts(one) else margin
            dumps = one.model_dump(mode="json"), other.model_dump(mode="json")
            problems += [
                f"{each} of {name!r} is not what the report says"
                for each in differences(*dumps, wide, _UNSTEADY)
            ]
    return problems


def _counts(tensor: TensorRecord) -> bool:
    """Whether a tensor has figures that count samples."""
    told = any(each.tokens_reidentified is not None for each in tensor.release)
    return told or bool(tensor.membership)


def _surroundings(claimed: Report, found: Report) -> list[str]:
    """Compare what is said beside the tensors."""
    dumps = []
    for report in (claimed, found):
        dump = report.model_dump(
            mode="json",
            include={
                "data",
                "source",
                "prior",
                "coverage",
                "figures",
                "membership",
                "self_check",
            },
        )
        for kind in ("skipped", "failed"):
            dump["coverage"][kind].sort(key=lambda each: str(each["name"]))
        dumps.append(dump)
    return [
        f"{each} is not what the report says"
        for each in differences(dumps[0], dumps[1], _STEADY, _UNSTEADY | _UNBOUND)
    ]


def _pairs(claimed: Report, found: Report) -> Iterator[tuple[str, TensorRecord, TensorRecord]]:
    new = {tensor.name: tensor for tensor in found.tensors}
    for tensor in claimed.tensors:
        if tensor.name in new:
            yield tensor.name, tensor, new[tensor.name]
    joint = {frozenset(each.tensors): each.record for each in found.together}
    for each in claimed.together:
        if (record := joint.get(frozenset(each.tensors))) is not None:
            yield each.label, each.record, record


def _margin(measure: str, noise: float) -> float:
    """Allow what one sample of many makes, where a measure counts samples."""
    return max(noise, _COUNTED_MARGIN) if measure in _COUNTED else noise


def _agree(one: float | None, other: float | None, margin: float) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= margin * max(abs(one), abs(other))


def _ends(low: float | None, high: float | None) -> str:
    texts = ["?" if end is None else f"{end:.6g}" for end in (low, high)]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def _files(claimed: Report, found: Report) -> list[str]:
    # A file may bear another name now; its content may not.
    one = [(each.sha256, each.size_bytes) for each in claimed.model.files]
    other = [(each.sha256, each.size_bytes) for each in found.model.files]
    if one == other:
        return []
    return [
        f"{each.name} is another file than the report's: sha256 {mine.sha256[:16]}…, not "
        f"{each.sha256[:16]}…"
        for each, mine in zip(claimed.model.files, found.model.files, strict=False)
        if each.sha256 != mine.sha256
    ] or [f"the model has {len(other)} files, not {len(one)}"]
