"""The story of an analysis: open, survey, activations, step, Jacobians; any part may fail alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any, Protocol

from onnxprobe.analysis.conductor.bisection import Bisection
from onnxprobe.analysis.conductor.findings import Findings, group_tensors
from onnxprobe.analysis.conductor.forward import choose_forward
from onnxprobe.analysis.conductor.link import Link, WorkerLostError
from onnxprobe.analysis.conductor.plan import (
    FLOAT_BYTES,
    SOME_DIRECTIONS,
    Chunk,
    fit_directions,
    plan_chunks,
)
from onnxprobe.analysis.conductor.request import Subject
from onnxprobe.analysis.conductor.selection import select
from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.messages import (
    ActivationAnswer,
    JacobianAnswer,
    JacobianAnswers,
    Opening,
    SourceAnswer,
    StepAnswer,
    SurveyAnswer,
)
from onnxprobe.errors import RunError

__all__ = ["Progress", "Story"]

# Random directions beside main ones that do not span the source, and directions that are also taken
# at a double step: at most so many of each are kept beside the main ones. See the jacobian room.
_EXTRA_DIRECTIONS = 32
# Above this many coordinates, some directions stand for all unless the user asks for all.
ALL_DIRECTIONS = 4096
# Tensors on which steps are compared; one pass serves all tensors, so one step does.
_STEP_TENSORS = 32
_STEP_ROWS = 64
_FALLBACK_STEP = 2.0**-6
# Two equal runs that differ by more than this compute something random.
_REPEATABLE = 1e-3
# Copies of every surveyed tensor that are held at a time.
_SURVEY_COPIES = 8
_FIRST_SURVEY = 8


class Progress(Protocol):
    """Told how far an analysis is."""

    def __call__(self, phase: str, done: float, total: float) -> None:
        """Take note.

        Args:
            phase: What is being done.
            done: Rows run so far, times tensors computed in them.
            total: All of them; 0 while unknown.
        """
        ...


class Story:
    """One analysis, from an unopened model to findings.

    Args:
        subject: Model and data.
        configuration: What the user asked for.
        progress: Told how far it is.
    """

    def __init__(self, subject: Subject, configuration: Configuration, progress: Progress) -> None:
        self.findings = Findings()
        self._subject = subject
        self._configuration = configuration
        self._progress = progress
        self._phase = ""
        self._done = self._total = 0.0
        self._weight = 0.0
        self._native = {"infer": True, "try_first": True}
        self._optimise = True
        self.link = Link(configuration.timeout_s, self._advance, self._resume)

    def run(self) -> None:
        """Measure everything that can be measured; what was found is in `findings`.

        Raises:
            OnnxProbeError: If the model cannot be opened or the options do not fit it.
        """
        self._enter("opening the model")
        self._open()
        self._enter("surveying the tensors")
        self._survey()
        self._measure_source()
        opening, findings = self._opening, self.findings
        bisection = Bisection(findings, [*opening.entries])
        measured = findings.groups.measured
        activations = self._chunks(measured, opening.data.samples)
        smooth = self._differentiable(measured)
        jacobians = self._chunks(smooth, self._stored_directions)
        self._total = sum(chunk.work for chunk in activations) * opening.data.samples
        self._total += sum(chunk.work for chunk in jacobians) * self._jacobian_rows
        self._enter("measuring activations")
        for chunk in activations:
            for answer in bisection.each(chunk.names, self._activations):
                findings.activations[answer.name] = answer
        if not jacobians:
            return
        self._enter("deriving the graph")
        finite = [name for name in smooth if self._is_finite(name)]
        choose_forward(self.link, findings, finite, self._configuration.jacobian)
        exact = [name for name in finite if name in findings.forward]
        self._enter("measuring Jacobians")
        for chunk in self._chunks(exact, self._stored_directions):
            for found in self._exact_jacobians(chunk.names):
                findings.jacobians[found.name] = found
        others = [name for name in finite if name not in findings.forward]
        if not others:
            return
        self._enter("choosing the steps")
        steps = self._choose_steps(others)
        self._enter("measuring Jacobians by differences")
        measure = partial(self._jacobians, steps=steps, forward=False)
        for chunk in self._chunks(others, self._stored_directions):
            for found in bisection.each(chunk.names, measure):
                findings.jacobians[found.name] = found

    @property
    def _opening(self) -> Opening:
        assert self.findings.opening is not None
        return self.findings.opening

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._progress(phase, self._done, self._total)

    def _advance(self, amount: float) -> None:
        self._done += amount * self._weight
        self._progress(self._phase, self._done, self._total)

    def _open(self) -> None:
        opening = self._call_open_carefully()
        findings = self.findings
        findings.opening = opening
        findings.assumptions += opening.assumptions
        findings.skipped = {
            **select(opening.entries, self._configuration.include, self._configuration.exclude),
            **{entry.name: entry.skip for entry in opening.entries if entry.skip is not None},
        }

    def _call_open_carefully(self) -> Opening:
        """Leave out native code step by step where it crashes."""
        for step in ("infer", "try_first"):
            try:
                return self._call_open()
            except WorkerLostError:
                self._native[step] = False
        return self._call_open()

    def _call_open(self) -> Opening:
        header = {
            **self._subject.header,
            **self._native,
            "configuration": self._configuration.model_dump(mode="json"),
        }
        return Opening.model_validate(self.link.call("open", header, self._subject.blobs))

    def _resume(self, _: Link) -> None:
        """Bring a new worker to where the old one was."""
        if self.findings.opening is not None:
            self._call_open()
        if self.findings.layouts:
            # A new worker has surveyed nothing.
            layouts = [layout.model_dump() for layout in self.findings.layouts.values()]
            self.link.call("remember", {"layouts": layouts, "skipped": []})
        if self.findings.source is not None:
            self._call_source()

    def _survey(self) -> None:
        opening, findings = self._opening, self.findings
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
            count = max(1, min(8 * count, self._configuration.memory_bytes // 2 // average))
        entries = [each for each in opening.entries if each.name not in findings.skipped]
        findings.groups = group_tensors(entries, findings.layouts)

    def _survey_some(self, names: Sequence[str]) -> list[SurveyAnswer]:
        return [SurveyAnswer.model_validate(self.link.call("survey", {"names": list(names)}))]

    def _measure_source(self) -> None:
        opening, findings = self._opening, self.findings
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
        findings.source = self._call_source()

    def _count_directions(self, size: int) -> int:
        asked = self._configuration.directions
        if asked == "all":
            wanted = size
        elif asked == "auto":
            wanted = size if size <= ALL_DIRECTIONS else SOME_DIRECTIONS
        else:
            wanted = min(asked, size)
        fitting = fit_directions(wanted, size, self._configuration.memory_bytes)
        if fitting < wanted:
            self.findings.assumptions.append(
                f"Jacobians are seen through {fitting} of {wanted} directions, because more do not "
                "fit the memory; allow more with --memory"
            )
        return fitting

    def _call_source(self) -> SourceAnswer:
        opening = self._opening
        layout = self.findings.layouts[opening.source_names[0]] if opening.source_tensor else None
        params = {
            "layout": layout.model_dump() if layout else None,
            "rows": _STEP_ROWS,
            "directions": self.findings.directions,
        }
        return SourceAnswer.model_validate(self.link.call("source", params))

    @property
    def _stored_directions(self) -> int:
        main = self.findings.directions
        return main + 2 * min(main, _EXTRA_DIRECTIONS)

    @property
    def _jacobian_rows(self) -> int:
        return 2 * self._stored_directions * len(self._opening.data.jacobian_samples)

    def _chunks(self, names: Sequence[str], stored_rows: int) -> list[Chunk]:
        layouts = self.findings.layouts
        return plan_chunks(
            [layouts[name] for name in names],
            stored_rows=stored_rows,
            row_bytes=sum(layout.size for layout in layouts.values()) * FLOAT_BYTES,
            memory_bytes=self._configuration.memory_bytes,
            source_bytes=self.findings.source_size * 12 * FLOAT_BYTES,
        )

    def _differentiable(self, measured: Sequence[str]) -> list[str]:
        """Choose the tensors whose Jacobians are measured, and note why others have none."""
        findings = self.findings
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

    def _is_finite(self, name: str) -> bool:
        found = self.findings.activations.get(name)
        if found is not None and found.activations.non_finite:
            self.findings.insensitive[name] = "non-finite"
            return False
        return True

    def _activations(self, names: Sequence[str]) -> list[ActivationAnswer]:
        samples = self._opening.data.samples
        self._weight = samples
        answers: list[ActivationAnswer] = []
        for chunk in self._chunks(names, samples):
            found = self.link.call("activations", self._params(chunk))
            answers += [ActivationAnswer.model_validate(each) for each in found]
        return answers

    def _params(self, chunk: Chunk) -> dict[str, Any]:
        return {
            "layouts": [self.findings.layouts[name].model_dump() for name in chunk.names],
            "passes": [[part.model_dump() for part in each] for each in chunk.passes],
            "rows": chunk.rows,
        }

    def _choose_steps(self, smooth: Sequence[str]) -> list[float] | None:
        """Return a step per sample, relative to the source's RMS; None if the user gave one."""
        findings = self.findings
        if self._configuration.step != "auto":
            return None
        finite = [findings.layouts[name] for name in smooth if self._is_finite(name)]
        alike = [each for each in finite if each.batched] or finite
        room = self._configuration.memory_bytes // 4 // (8 * FLOAT_BYTES * _STEP_ROWS)
        chosen = [each for each in alike if each.size <= room // _STEP_TENSORS] or alike[:1]
        chosen = chosen[:: -(-len(chosen) // _STEP_TENSORS)] if chosen else []
        if not chosen:
            return [_FALLBACK_STEP] * len(self._opening.data.jacobian_samples)
        steps = []
        for sample in self._opening.data.jacobian_samples:
            params = {
                "layouts": [layout.model_dump() for layout in chosen],
                "sample": sample,
                "directions": findings.directions,
                "rows": _STEP_ROWS,
                # The trial should stay a small part of the work that it saves from being wrong.
                "tried": max(4, min(16, findings.directions // 16)),
            }
            answer = StepAnswer.model_validate(self.link.call("step", params))
            findings.function_noise = findings.function_noise or answer.noise
            steps.append(answer.step or _FALLBACK_STEP)
        return steps

    def _exact_jacobians(self, names: Sequence[str]) -> list[JacobianAnswer]:
        """Measure in forward mode; what does not run is left to finite differences."""
        try:
            return self._jacobians(names, steps=None, forward=True)
        except (RunError, WorkerLostError) as error:
            self.findings.forward.difference_update(names)
            self.findings.assumptions.append(
                f"exact derivatives of {len(names)} tensors did not run ({error}); central "
                "differences were taken of them"
            )
            return []

    def _jacobians(
        self, names: Sequence[str], *, steps: list[float] | None, forward: bool
    ) -> list[JacobianAnswer]:
        self._weight = 2 * self._stored_directions
        answers: list[JacobianAnswer] = []
        for chunk in self._chunks(names, self._stored_directions):
            try:
                found = self._call_jacobians(chunk, steps, forward=forward)
            except WorkerLostError:
                if forward or not self._optimise:
                    raise
                # Fusion is where runtimes crash most; go on without it before giving up on tensors.
                self._optimise = False
                found = self._call_jacobians(chunk, steps, forward=forward)
            if not forward:
                self.findings.optimised.append(found.optimised)
            self.findings.optimised_difference = max(
                self.findings.optimised_difference, found.optimised_difference
            )
            answers += found.answers
        return answers

    def _call_jacobians(
        self, chunk: Chunk, steps: list[float] | None, *, forward: bool
    ) -> JacobianAnswers:
        findings = self.findings
        given = [self._configuration.step] * len(self._opening.data.jacobian_samples)
        params = self._params(chunk) | {
            "samples": self._opening.data.jacobian_samples,
            "directions": findings.directions,
            "forward": forward,
            "steps": [] if forward else given if steps is None else steps,
            "relative": steps is not None,
            "optimise": self._optimise,
            "noise": findings.function_noise,
            "scales": {name: findings.scales(name) for name in chunk.names},
        }
        return JacobianAnswers.model_validate(self.link.call("jacobians", params))
