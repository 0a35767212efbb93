"""The story of an analysis: open, survey, activations, step, Jacobians; any part may fail alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from onnxprobe.analysis.conductor.bisection import Bisection
from onnxprobe.analysis.conductor.findings import group_tensors
from onnxprobe.analysis.conductor.jacobians import Jacobians
from onnxprobe.analysis.conductor.journal import Journal, Recorder
from onnxprobe.analysis.conductor.link import Connection, Link, WorkerLostError, check_names
from onnxprobe.analysis.conductor.membership import measure_membership, membership_work
from onnxprobe.analysis.conductor.plan import (
    FLOAT_BYTES,
    SOME_DIRECTIONS,
    fit_directions,
)
from onnxprobe.analysis.conductor.request import Subject
from onnxprobe.analysis.conductor.selection import select
from onnxprobe.analysis.conductor.stage import Progress, Stage
from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.messages import (
    ActivationAnswer,
    Opening,
    SourceAnswer,
    SurveyAnswer,
)
from onnxprobe.errors import TooLargeError, UnrunnableError

__all__ = ["Connect", "Story"]

# Above this many coordinates, some directions stand for all unless the user asks for all.
ALL_DIRECTIONS = 4096
# Rows that share a run of the source.
_SOURCE_ROWS = 64
# Two equal runs that differ by more than this compute something random.
_REPEATABLE = 1e-3
# Copies of every surveyed tensor that are held at a time.
_SURVEY_COPIES = 8
_FIRST_SURVEY = 8


Connect = Callable[[Callable[[float], None]], Connection]


class Story:
    """One analysis, from an unopened model to findings.

    Args:
        subject: Model and data.
        configuration: What the user asked for.
        progress: Told how far it is.
        journal: What was answered before, and where answers go; ``None`` to keep none.
        connect: Makes what does the work, given whom to tell of progress; ``None`` for a worker.
    """

    def __init__(
        self,
        subject: Subject,
        configuration: Configuration,
        progress: Progress,
        journal: Journal | None = None,
        connect: Connect | None = None,
    ) -> None:
        self.stage = Stage(configuration, progress)
        self._subject = subject
        self._native: dict[str, Any] = {"infer": True, "untried": None}
        self._is_inferred = False
        self._unrunnable: UnrunnableError | None = None
        link: Connection
        if connect is not None:
            link = connect(self._note_progress)
        else:
            link = Link(
                subject.confine(allow_links=configuration.allow_links),
                configuration.silence_s,
                timeout_s=configuration.timeout_s,
                memory_bytes=configuration.memory_bytes,
                on_progress=self._note_progress,
                on_start=self._resume,
            )
        self.stage.link = Recorder(link, journal, self._prepare, self.stage.advance)

    def _note_progress(self, amount: float) -> None:
        self._is_inferred = True
        self.stage.link.progress(amount)

    def run(self) -> None:
        """Measure everything that can be measured; what was found is in `findings`.

        Raises:
            OnnxProbeError: If the model cannot be opened or the options do not fit it.
        """
        self.stage.enter("opening the model")
        self._open()
        self.stage.enter("surveying the tensors")
        self._survey()
        if self._unrunnable is not None and not self._is_partly_run():
            raise self._unrunnable
        self._measure_source()
        opening, findings = self.stage.opening, self.stage.findings
        bisection = Bisection(findings, [*opening.entries])
        measured = findings.groups.measured
        activations = self.stage.chunks(measured, opening.data.samples)
        smooth = self._differentiable(measured)
        jacobians = self.stage.chunks(smooth, self.stage.stored_directions)
        rows = 2 * self.stage.stored_directions * len(opening.data.jacobian_samples)
        self.stage.total = sum(chunk.work for chunk in activations) * opening.data.samples
        self.stage.total += sum(chunk.work for chunk in jacobians) * rows
        if opening.cohorts is not None:
            self.stage.total += membership_work(self.stage, measured, smooth)
        self.stage.enter("measuring activations")
        for chunk in activations:
            for answer in bisection.each(chunk.names, self._activations):
                findings.activations[answer.name] = answer
        if jacobians:
            Jacobians(self.stage, bisection).measure(smooth)
        if opening.cohorts is not None:
            measure_membership(self.stage, opening.cohort_samples)

    def _is_partly_run(self) -> bool:
        """Whether any tensor that depends on inputs was computed."""
        return bool(self.stage.findings.layouts)

    def _open(self) -> None:
        opening = self._call_open_carefully()
        findings = self.stage.findings
        findings.opening = opening
        findings.assumptions += opening.assumptions
        asked = self.stage.configuration
        self.stage.link.identify(opening.model_dump_json(), json.dumps(asked.figures()))
        findings.skipped = {
            **select(
                [each for each in opening.entries if not each.joins], asked.include, asked.exclude
            ),
            **{entry.name: entry.skip for entry in opening.entries if entry.skip is not None},
        }

    def _call_open_carefully(self) -> Opening:
        """Leave out native code step by step where it crashes, hangs or needs too much."""
        while True:
            self._is_inferred = False
            try:
                return self._call_open(self.stage.link.link)
            except (TooLargeError, UnrunnableError, WorkerLostError) as error:
                if isinstance(error, UnrunnableError):
                    self._unrunnable = error
                if self._is_inferred and self._native["untried"] is None:
                    self._native["untried"] = str(error)
                elif not self._is_inferred and self._native["infer"]:
                    self._native["infer"] = False
                else:
                    raise

    def _call_open(self, link: Connection) -> Opening:
        header = {
            **self._subject.header,
            **self._native,
            "configuration": self.stage.configuration.model_dump(mode="json"),
            "memory_bytes": self.stage.configuration.memory_bytes,
        }
        return Opening.model_validate(link.call("open", header, self._subject.blobs))

    def _resume(self, link: Link) -> None:
        """Bring a new worker to where the old one was."""
        if self.stage.findings.opening is not None:
            self._call_open(link)
            self._prepare(link)

    def _prepare(self, link: Connection) -> None:
        """Tell a worker what has been found, as far as it must know."""
        if self.stage.findings.layouts:
            # A new worker has surveyed nothing.
            layouts = [layout.model_dump() for layout in self.stage.findings.layouts.values()]
            link.call("remember", {"layouts": layouts, "skipped": []})
        if self.stage.findings.source is not None:
            link.call("source", self._source_params())

    def _survey(self) -> None:
        opening, findings = self.stage.opening, self.stage.findings
        bisection = Bisection(findings, [*opening.entries])
        names = [each.name for each in opening.entries if each.name not in findings.skipped]
        if opening.source_tensor:
            # An inner source is needed even if it was not asked for.
            names = [*(name for name in opening.source_names if name not in names), *names]
        count, at = _FIRST_SURVEY, 0
        while at < len(names):
            group = names[at : at + count]
            for answer in bisection.each(group, self._survey_some):
                findings.layouts.update((layout.name, layout) for layout in answer.layouts)
                findings.skipped.update((each.name, each.reason) for each in answer.skipped)
                findings.note_output_difference(answer.output_difference)
            at += count
            sizes = [findings.layouts[name].size for name in group if name in findings.layouts]
            average = max(1, sum(sizes) // max(1, len(sizes))) * FLOAT_BYTES * _SURVEY_COPIES
            count = max(1, min(8 * count, self.stage.configuration.memory_bytes // 2 // average))
        entries = [each for each in opening.entries if each.name not in findings.skipped]
        findings.groups = group_tensors(entries, findings.layouts)

    def _survey_some(self, names: Sequence[str]) -> list[SurveyAnswer]:
        answer = SurveyAnswer.model_validate(self.stage.link.call("survey", {"names": list(names)}))
        given = [each.name for each in answer.layouts] + [each.name for each in answer.skipped]
        check_names(given, names)
        return [answer]

    def _measure_source(self) -> None:
        opening, findings = self.stage.opening, self.stage.findings
        if not opening.source_names:
            return
        if opening.source_tensor and opening.source_names[0] not in findings.layouts:
            reason = findings.reason(opening.source_names[0])
            findings.assumptions.append(
                f"the source {opening.source_names[0]!r} was not measured ({reason}), so there are "
                "no Jacobians"
            )
            return
        if opening.source_tensor:
            findings.source_size = findings.layouts[opening.source_names[0]].size
        else:
            inputs = {each.name: each for each in opening.model.inputs}
            findings.source_size = sum(
                prod(inputs[name].sample_shape) for name in opening.source_names
            )
        findings.directions = self._count_directions(findings.source_size)
        found = self.stage.link.call("source", self._source_params())
        findings.source = SourceAnswer.model_validate(found)

    def _count_directions(self, size: int) -> int:
        asked = self.stage.configuration.directions
        if asked == "all":
            wanted = size
        elif asked == "auto":
            wanted = size if size <= ALL_DIRECTIONS else SOME_DIRECTIONS
        else:
            wanted = min(asked, size)
        fitting = fit_directions(wanted, size, self.stage.configuration.memory_bytes)
        if fitting < wanted:
            self.stage.findings.assumptions.append(
                f"Jacobians are seen through {fitting} of {wanted} directions, because more do not "
                "fit the memory; allow more with --memory"
            )
        return fitting

    def _source_params(self) -> dict[str, Any]:
        opening = self.stage.opening
        layout = (
            self.stage.findings.layouts[opening.source_names[0]] if opening.source_tensor else None
        )
        return {
            "layout": layout.model_dump() if layout else None,
            "rows": _SOURCE_ROWS,
            "directions": self.stage.findings.directions,
        }

    def _differentiable(self, measured: Sequence[str]) -> list[str]:
        """Choose the tensors whose Jacobians are measured, and note why others have none."""
        findings = self.stage.findings
        if findings.source is None:
            return []
        chosen = dict.fromkeys(findings.groups.differentiated_as(name) for name in measured)
        for name in measured:
            entry, layout = findings.entries[name], findings.layouts[name]
            if entry.reach == "piecewise constant":
                findings.insensitive[name] = "piecewise constant"
            elif entry.reach != "smooth":
                findings.insensitive[name] = "independent"
            elif layout.repeatability > _REPEATABLE:
                findings.insensitive[name] = "not repeatable"
        return [name for name in chosen if name not in findings.insensitive]

    def _activations(self, names: Sequence[str]) -> list[ActivationAnswer]:
        samples = self.stage.opening.data.samples
        self.stage.weight = samples
        answers: list[ActivationAnswer] = []
        for chunk in self.stage.chunks(names, samples):
            found = self.stage.link.call("activations", self.stage.chunk_params(chunk))
            given = [ActivationAnswer.model_validate(each) for each in found]
            check_names([each.name for each in given], chunk.names)
            answers += given
        return answers
