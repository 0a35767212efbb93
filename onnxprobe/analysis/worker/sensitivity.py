"""Sensitivity: running the Jacobians of some tensors at some samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from onnxprobe.analysis.messages import (
    JacobianAnswer,
    JacobianAnswers,
    Layout,
    Part,
    StepAnswer,
)
from onnxprobe.analysis.worker.derivation import derive_tensors
from onnxprobe.analysis.worker.reading import Reading, jacobian_record, read_observation
from onnxprobe.analysis.worker.release import noise_for_target, release_records
from onnxprobe.analysis.worker.scale import Scale
from onnxprobe.analysis.worker.source import source_directions
from onnxprobe.analysis.worker.study import Study
from onnxprobe.analysis.worker.survey import relative_difference
from onnxprobe.errors import RunError
from onnxprobe.jacobian import (
    Observation,
    Pass,
    TangentRunner,
    choose_step,
    observe,
    observe_tangents,
    try_steps,
)
from onnxprobe.types import Runner

__all__ = ["JacobianRequest", "TensorScale", "find_step", "measure_jacobians"]

# How far fusing kernels may move a tensor before derivatives are taken without it.
OPTIMISED_TOLERANCE = 1e-5


class TensorScale(BaseModel):
    """The values of a tensor over the samples, as the activation pass found them."""

    model_config = ConfigDict(extra="forbid")

    name: str
    rms: float
    max_abs: float
    rounding: dict[str, float]


class JacobianRequest(BaseModel):
    """Which Jacobians to measure, and how."""

    model_config = ConfigDict(extra="forbid")

    layouts: list[Layout]
    passes: list[list[Part]]
    rows: int
    samples: list[int]
    directions: int
    steps: list[float]
    relative: bool
    optimise: bool
    shaken: bool = True
    forward: bool = False
    noise: dict[str, float]
    scales: dict[str, list[TensorScale]]


def find_step(
    study: Study,
    layouts: Sequence[Layout],
    sample: int,
    directions: int,
    rows: int,
    tried: int,
) -> StepAnswer:
    """Choose a finite-difference step by trying a ladder of them on some tensors.

    Args:
        study: The opened model.
        layouts: The tensors, all batched or none.
        sample: Where.
        directions: How many directions the analysis uses.
        rows: Rows that share a run.
        tried: Directions along which steps are compared.

    Returns:
        The step, and what else the trial showed.
    """
    runner, _ = _runner(study, layouts, optimise=False)
    trials = try_steps(
        runner,
        study.point(sample),
        source_directions(study, directions),
        [layout.name for layout in layouts],
        block=max(1, rows // 2),
        count=tried,
    )
    return StepAnswer(
        step=choose_step(trials),
        noise={name: trial.noise for name, trial in trials.items()},
    )


def measure_jacobians(
    study: Study, request: JacobianRequest, progress: Callable[[float], None]
) -> JacobianAnswers:
    """Measure the Jacobians of some tensors at every chosen sample.

    Args:
        study: The opened model.
        request: Which, and how.
        progress: Told the tensor passes done, a pass over one sample counting 1.

    Returns:
        An answer per tensor.
    """
    layouts = {layout.name: layout for layout in request.layouts}
    readings: dict[str, list[Reading]] = {name: [] for name in layouts}
    observe_all = _observe_exactly if request.forward else _observe_differences
    found = observe_all(study, request, readings, progress)

    def answer(name: str) -> JacobianAnswer:
        return _answer(study, request, layouts[name], readings[name], found)

    with ThreadPoolExecutor(study.settings.threads) as pool:
        answers = list(pool.map(answer, layouts))
    return JacobianAnswers(
        answers=answers,
        optimised=found.difference is not None,
        optimised_difference=found.difference or 0.0,
    )


@dataclass(frozen=True)
class _Observed:
    """How Jacobians were observed.

    Attributes:
        noise_model: Where their noise floor comes from.
        step: The smallest finite-difference step, if there were any.
        difference: How far the optimised graph's tensors are from the plain one's, if it was used.
    """

    noise_model: Literal["shaken values", "path length", "two steps"]
    step: float | None = None
    difference: float | None = None


def _observe_exactly(
    study: Study,
    request: JacobianRequest,
    readings: dict[str, list[Reading]],
    progress: Callable[[float], None],
) -> _Observed:
    derivation = derive_tensors(study, request.layouts)
    directions = source_directions(study, request.directions)
    passes = _passes(request)
    share = _per_direction(request, directions.total)
    is_shaken = request.shaken

    def observe_sample(sample: int, shaken: TangentRunner | None) -> dict[str, Reading]:
        return observe_tangents(
            derivation.runner(study.point(sample)),
            study.source,
            directions,
            passes,
            derivation.depths,
            _reducer(study, request),
            block=max(1, request.rows),
            threads=study.settings.threads,
            shaken=shaken,
            on_progress=lambda done: progress(done * share),
        )

    for sample in request.samples:
        shaken = derivation.shaken(study.point(sample)) if is_shaken else None
        is_shaken = shaken is not None
        try:
            found = observe_sample(sample, shaken)
        except (RunError, MemoryError):
            if not is_shaken:
                raise
            # Two graphs take more memory than one.
            is_shaken, shaken = False, None
            derivation.forget_shaken()
            found = observe_sample(sample, None)
        for name, reading in found.items():
            readings[name].append(reading)
    return _Observed("shaken values" if is_shaken else "path length")


def _observe_differences(
    study: Study,
    request: JacobianRequest,
    readings: dict[str, list[Reading]],
    progress: Callable[[float], None],
) -> _Observed:
    runner, difference = _runner(study, request.layouts, optimise=request.optimise)
    directions = source_directions(study, request.directions)
    passes = _passes(request)
    share = _per_direction(request, directions.total)
    smallest = []
    for sample, step in zip(request.samples, request.steps, strict=True):
        point = study.point(sample)
        scales = point.source.scales(point.vector)
        lengths = step * (scales if request.relative else np.ones_like(scales))
        smallest.append(float(lengths.min()))
        found = observe(
            runner,
            point,
            directions,
            lengths,
            passes,
            _reducer(study, request),
            block=max(1, request.rows // 2),
            threads=study.settings.threads,
            on_progress=lambda done: progress(done * share),
        )
        for name, reading in found.items():
            readings[name].append(reading)
    return _Observed("two steps", min(smallest), difference)


def _passes(request: JacobianRequest) -> list[Pass]:
    sizes = {layout.name: layout.size for layout in request.layouts}
    return [
        Pass(
            {part.name: slice(part.start, part.stop) for part in parts},
            {part.name: sizes[part.name] for part in parts},
        )
        for parts in request.passes
    ]


def _per_direction(request: JacobianRequest, total: int) -> float:
    return sum(len(parts) for parts in request.passes) / (len(request.passes) * total)


def _reducer(study: Study, request: JacobianRequest) -> Callable[[str, Observation], Reading]:
    directions = source_directions(study, request.directions)
    sizes = {layout.name: layout.size for layout in request.layouts}
    prior = study.prior
    return lambda name, observation: read_observation(observation, directions, prior, sizes[name])


def _answer(
    study: Study,
    request: JacobianRequest,
    layout: Layout,
    readings: Sequence[Reading],
    observed: _Observed,
) -> JacobianAnswer:
    directions = source_directions(study, request.directions)
    record = jacobian_record(
        readings, request.samples, directions, layout.size, study.configuration.tolerance
    )
    record.method = "forward mode" if request.forward else "finite differences"
    record.step = observed.step
    record.noise_model = observed.noise_model
    record.function_noise = request.noise.get(layout.name)
    release, enough = {}, {}
    for each in request.scales.get(layout.name, []):
        scale = Scale(each.rms, each.max_abs, each.rounding)
        release[each.name] = release_records(
            readings,
            study.configuration.noise,
            scale,
            study.prior,
            directions.size,
            layout.size,
        )
        enough[each.name] = noise_for_target(readings, scale)
    return JacobianAnswer(
        name=layout.name, jacobian=record, release=release, noise_for_5_percent=enough
    )


def _runner(
    study: Study, layouts: Sequence[Layout], *, optimise: bool
) -> tuple[Runner, float | None]:
    """Return a runner for derivatives and, if optimised, its difference from the plain one."""
    names = [layout.name for layout in layouts]
    batched = all(layout.batched for layout in layouts)
    plain = study.session(names, batched=batched, smooth=True)
    runner = study.runner(plain, layouts, batched=batched, smooth=True)
    if not optimise:
        return runner, None
    try:
        fast = study.session(names, batched=batched, smooth=True, optimise=True)
    except RunError:
        return runner, None
    candidate = study.runner(fast, layouts, batched=batched, smooth=True)
    point = study.point(0)
    row = point.rows(point.vector[None])
    expected = {name: values.copy() for name, values in runner.run(row).items()}
    got = candidate.run(row)
    difference = max(relative_difference(expected[name], got[name]) for name in names)
    return (candidate, difference) if difference <= OPTIMISED_TOLERANCE else (runner, None)
