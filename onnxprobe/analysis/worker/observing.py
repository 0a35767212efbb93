"""Running Jacobians: some tensors, some samples, exactly or by differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from onnxprobe.analysis.messages import Layout, Part
from onnxprobe.analysis.worker.derivation import derive_tensors
from onnxprobe.analysis.worker.source import source_directions
from onnxprobe.analysis.worker.study import Study
from onnxprobe.analysis.worker.survey import relative_difference
from onnxprobe.errors import RunError
from onnxprobe.jacobian import Observation, Pass, TangentRunner, observe, observe_tangents
from onnxprobe.types import Runner

__all__ = ["ObservationRequest", "Observed", "difference_runner", "observe_samples"]

# How far fusing kernels may move a tensor before derivatives are taken without it.
OPTIMISED_TOLERANCE = 1e-5

Result = TypeVar("Result")


class ObservationRequest(BaseModel):
    """Which Jacobians to take, and how."""

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


@dataclass(frozen=True)
class Observed(Generic[Result]):
    """What was observed, and how.

    Attributes:
        results: By tensor, what was kept of each sample.
        noise_model: Where the noise floor comes from.
        step: The smallest finite-difference step, if there were any.
        difference: How far the optimised graph's tensors are from the plain one's, if it was used.
    """

    results: Mapping[str, list[Result]]
    noise_model: Literal["shaken values", "path length", "two steps"]
    step: float | None = None
    difference: float | None = None


def observe_samples(
    study: Study,
    request: ObservationRequest,
    reduce: Callable[[str, Observation], Result],
    progress: Callable[[float], None],
) -> Observed[Result]:
    """Take the Jacobians of some tensors at every sample asked for.

    Args:
        study: The opened model.
        request: Which, and how.
        reduce: Turns an observation of a tensor into what is kept of it; called from several
            threads.
        progress: Told the tensor passes done, a pass over one sample counting 1.

    Returns:
        What was kept, sample by sample.
    """
    observe_all = _observe_exactly if request.forward else _observe_differences
    return observe_all(study, request, reduce, progress)


def _observe_exactly(
    study: Study,
    request: ObservationRequest,
    reduce: Callable[[str, Observation], Result],
    progress: Callable[[float], None],
) -> Observed[Result]:
    derivation = derive_tensors(study, request.layouts)
    directions = source_directions(study, request.directions)
    passes = _passes(request)
    share = _per_direction(request, directions.total)
    is_shaken = request.shaken
    results: dict[str, list[Result]] = {layout.name: [] for layout in request.layouts}

    def observe_sample(sample: int, shaken: TangentRunner | None) -> dict[str, Result]:
        return observe_tangents(
            derivation.runner(study.point(sample)),
            study.source,
            directions,
            passes,
            derivation.depths,
            reduce,
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
        for name, result in found.items():
            results[name].append(result)
    return Observed(results, "shaken values" if is_shaken else "path length")


def _observe_differences(
    study: Study,
    request: ObservationRequest,
    reduce: Callable[[str, Observation], Result],
    progress: Callable[[float], None],
) -> Observed[Result]:
    runner, difference = difference_runner(study, request.layouts, optimise=request.optimise)
    directions = source_directions(study, request.directions)
    passes = _passes(request)
    share = _per_direction(request, directions.total)
    results: dict[str, list[Result]] = {layout.name: [] for layout in request.layouts}
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
            reduce,
            block=max(1, request.rows // 2),
            threads=study.settings.threads,
            on_progress=lambda done: progress(done * share),
        )
        for name, result in found.items():
            results[name].append(result)
    return Observed(results, "two steps", min(smallest), difference)


def _passes(request: ObservationRequest) -> list[Pass]:
    sizes = {layout.name: layout.size for layout in request.layouts}
    return [
        Pass(
            {part.name: slice(part.start, part.stop) for part in parts},
            {part.name: sizes[part.name] for part in parts},
        )
        for parts in request.passes
    ]


def _per_direction(request: ObservationRequest, total: int) -> float:
    return sum(len(parts) for parts in request.passes) / (len(request.passes) * total)


def difference_runner(
    study: Study, layouts: Sequence[Layout], *, optimise: bool
) -> tuple[Runner, float | None]:
    """Return a runner for derivatives by differences.

    Args:
        study: The opened model.
        layouts: The tensors, all batched or none.
        optimise: Whether the runtime may rewrite the graph, if that moves no tensor.

    Returns:
        The runner and, if it is optimised, its difference from the plain one.
    """
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
