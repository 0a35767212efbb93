"""The Jacobians of an analysis: exact where the graph can be derived, else by differences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from onnxprobe.analysis.conductor.bisection import Bisection
from onnxprobe.analysis.conductor.forward import choose_forward, leave_to_differences
from onnxprobe.analysis.conductor.link import WorkerLostError, check_names
from onnxprobe.analysis.conductor.plan import FLOAT_BYTES, Chunk
from onnxprobe.analysis.conductor.stage import Stage
from onnxprobe.analysis.messages import JacobianAnswer, JacobianAnswers, StepAnswer
from onnxprobe.errors import RunError

__all__ = ["FALLBACK_STEP", "Jacobians"]

# Tensors on which steps are compared; one pass serves all tensors, so one step does.
_STEP_TENSORS = 32
_STEP_ROWS = 64
FALLBACK_STEP = 2.0**-6
# Groups that may fail in forward mode before the rest is left to differences: where the whole graph
# does not run, no part of it does.
_MOST_FAILURES = 32


class Jacobians:
    """Measures the Jacobians of tensors.

    Args:
        stage: What the parts of the analysis share.
        bisection: Isolates tensors that break a computation.
    """

    def __init__(self, stage: Stage, bisection: Bisection) -> None:
        self.stage = stage
        self._bisection = bisection
        self._optimise = self._shakes = True

    def measure(self, smooth: Sequence[str]) -> None:
        """Measure tensors, and note in the findings what was found.

        Args:
            smooth: The tensors that the source reaches, in the order of the graph.
        """
        stage, findings = self.stage, self.stage.findings
        stage.enter("deriving the graph")
        finite = [name for name in smooth if self._is_finite(name)]
        choose_forward(stage.link, findings, finite, stage.configuration.jacobian)
        exact = [name for name in finite if name in findings.forward]
        stage.enter("measuring Jacobians")
        for chunk in stage.chunks(exact, stage.stored_directions):
            for found in self._exact_jacobians(chunk.names):
                findings.jacobians[found.name] = found
        others = leave_to_differences(findings, finite, stage.configuration.jacobian)
        if not others:
            return
        stage.enter("choosing the steps")
        steps = self._choose_steps(others)
        findings.steps = steps or []
        stage.enter("measuring Jacobians by differences")
        measure = partial(self._jacobians, steps=steps, forward=False)
        for chunk in stage.chunks(others, stage.stored_directions):
            for found in self._bisection.each(chunk.names, measure):
                findings.jacobians[found.name] = found

    def _is_finite(self, name: str) -> bool:
        found = self.stage.findings.activations.get(name)
        if found is not None and found.activations.non_finite:
            self.stage.findings.insensitive[name] = "non-finite"
            return False
        return True

    def _choose_steps(self, smooth: Sequence[str]) -> list[float] | None:
        """Return a step per sample, relative to the source's RMS; None if the user gave one."""
        findings = self.stage.findings
        if self.stage.configuration.step != "auto":
            return None
        finite = [findings.layouts[name] for name in smooth if self._is_finite(name)]
        alike = [each for each in finite if each.batched] or finite
        room = self.stage.configuration.memory_bytes // 4 // (8 * FLOAT_BYTES * _STEP_ROWS)
        chosen = [each for each in alike if each.size <= room // _STEP_TENSORS] or alike[:1]
        chosen = chosen[:: -(-len(chosen) // _STEP_TENSORS)] if chosen else []
        if not chosen:
            return [FALLBACK_STEP] * len(self.stage.opening.data.jacobian_samples)
        steps = []
        for sample in self.stage.opening.data.jacobian_samples:
            params = {
                "layouts": [layout.model_dump() for layout in chosen],
                "sample": sample,
                "directions": findings.directions,
                "rows": _STEP_ROWS,
                # The trial should stay a small part of the work that it saves from being wrong.
                "tried": max(4, min(16, findings.directions // 16)),
            }
            try:
                answer = StepAnswer.model_validate(self.stage.link.call("step", params))
            except RunError as error:
                findings.assumptions.append(
                    f"the finite-difference step at sample {sample} is no more than usual, since "
                    f"none could be tried ({error})"
                )
                steps.append(FALLBACK_STEP)
                continue
            findings.function_noise = findings.function_noise or answer.noise
            steps.append(answer.step or FALLBACK_STEP)
        return steps

    def _exact_jacobians(self, names: Sequence[str]) -> list[JacobianAnswer]:
        """Measure in forward mode; tensors whose tangents do not run are left to differences."""
        findings = self.stage.findings
        answers: list[JacobianAnswer] = []
        pending = [list(names)]
        failures = 0
        while pending:
            group = pending.pop(0)
            try:
                answers += self._jacobians(group, steps=None, forward=True)
                continue
            except RunError as error:
                failure = error
            failures += 1
            if isinstance(failure, WorkerLostError) and self._shakes:
                # The graph at changed values is one more that native code may break at.
                self._shakes = False
                pending.insert(0, group)
            elif len(group) > 1 and failures < _MOST_FAILURES:
                middle = len(group) // 2
                pending[:0] = [group[:middle], group[middle:]]
            else:
                findings.forward.difference_update(group)
                reason = f"its tangents do not run: {failure}"
                findings.underived.update(dict.fromkeys(group, reason))
        return answers

    def _jacobians(
        self, names: Sequence[str], *, steps: list[float] | None, forward: bool
    ) -> list[JacobianAnswer]:
        self.stage.weight = 2 * self.stage.stored_directions
        answers: list[JacobianAnswer] = []
        for chunk in self.stage.chunks(names, self.stage.stored_directions):
            try:
                found = self._call_jacobians(chunk, steps, forward=forward)
            except WorkerLostError:
                if forward or not self._optimise:
                    raise
                # Fusion is where runtimes crash most; go on without it before giving up on tensors.
                self._optimise = False
                found = self._call_jacobians(chunk, steps, forward=forward)
            if not forward:
                self.stage.findings.optimised.append(found.optimised)
            self.stage.findings.optimised_difference = max(
                self.stage.findings.optimised_difference, found.optimised_difference
            )
            answers += found.answers
        return answers

    def _call_jacobians(
        self, chunk: Chunk, steps: list[float] | None, *, forward: bool
    ) -> JacobianAnswers:
        findings = self.stage.findings
        given = [self.stage.configuration.step] * len(self.stage.opening.data.jacobian_samples)
        params = self.stage.chunk_params(chunk) | {
            "samples": self.stage.opening.data.jacobian_samples,
            "directions": findings.directions,
            "forward": forward,
            "steps": [] if forward else given if steps is None else steps,
            "relative": steps is not None,
            "optimise": self._optimise,
            "shaken": self._shakes,
            "noise": findings.function_noise,
            "scales": {name: findings.scales(name) for name in chunk.names},
        }
        found = JacobianAnswers.model_validate(self.stage.link.call("jacobians", params))
        check_names([each.name for each in found.answers], chunk.names)
        return found
