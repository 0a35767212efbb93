"""Sensitivity: running the Jacobians of some tensors at some samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from pydantic import BaseModel, ConfigDict

from onnxprobe.analysis.configuration import target_key
from onnxprobe.analysis.messages import (
    JacobianAnswer,
    JacobianAnswers,
    Layout,
    StepAnswer,
)
from onnxprobe.analysis.worker.observing import (
    ObservationRequest,
    Observed,
    difference_runner,
    observe_samples,
)
from onnxprobe.analysis.worker.reading import Reading, jacobian_record, read_observation
from onnxprobe.analysis.worker.release import noise_for_target, release_records
from onnxprobe.analysis.worker.scale import Scale
from onnxprobe.analysis.worker.source import source_directions
from onnxprobe.analysis.worker.study import Study
from onnxprobe.jacobian import Observation, choose_step, try_steps

__all__ = ["JacobianRequest", "TensorScale", "find_step", "measure_jacobians"]


class TensorScale(BaseModel):
    """The values of a tensor over the samples, as the activation pass found them."""

    model_config = ConfigDict(extra="forbid")

    name: str
    rms: float
    max_abs: float
    rounding: dict[str, float]


class JacobianRequest(ObservationRequest):
    """Which Jacobians to measure, how, and of what size tensors are."""

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
    runner, _ = difference_runner(study, layouts, optimise=False)
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
    found = observe_samples(study, request, _reducer(study, request), progress)

    def answer(name: str) -> JacobianAnswer:
        return _answer(study, request, layouts[name], found.results[name], found)

    with ThreadPoolExecutor(study.settings.threads) as pool:
        answers = list(pool.map(answer, layouts))
    return JacobianAnswers(
        answers=answers,
        optimised=found.difference is not None,
        optimised_difference=found.difference or 0.0,
    )


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
    observed: Observed[Reading],
) -> JacobianAnswer:
    directions = source_directions(study, request.directions)
    tolerances = (study.configuration.tolerance, *study.configuration.rank_tolerances)
    record = jacobian_record(readings, request.samples, directions, layout.size, tolerances)
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
        enough[each.name] = {
            target_key(target): noise_for_target(readings, scale, target)
            for target in study.configuration.targets
        }
    return JacobianAnswer(name=layout.name, jacobian=record, release=release, noise_for=enough)
