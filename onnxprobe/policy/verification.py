"""Whether a report says what a new analysis of the same finds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from onnxprobe.policy.comparison import Comparison, compare
from onnxprobe.policy.judging import report_digest
from onnxprobe.record import Report
from onnxprobe.record.base import Record

__all__ = ["Verification", "verify"]


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
    omitted = [
        {each.name for each in (*report.coverage.skipped, *report.coverage.failed)}
        for report in (claimed, found)
    ]
    problems += [
        f"tensor {name!r} was left out, and is not now" for name in omitted[0] - omitted[1]
    ]
    problems += [f"tensor {name!r} is left out now" for name in omitted[1] - omitted[0]]
    comparison = compare(claimed, found)
    problems += [f"tensor {name!r} is not in the model" for name in comparison.only_before]
    problems += [f"tensor {name!r} is not in the report" for name in comparison.only_after]
    problems += [
        f"{each.measure} of {each.tensor!r} is {_ends(each.after)}, not {_ends(each.before)}"
        for each in comparison.significant
    ]
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
    same = report_digest(claimed) == report_digest(found)
    return Verification(
        confirmed=not problems,
        how="byte for byte" if same else "not" if problems else "within the noise floors",
        problems=problems,
        notes=notes,
        comparison=comparison,
    )


def _ends(ends: list[float | None]) -> str:
    texts = ["?" if end is None else f"{end:.6g}" for end in ends]
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
