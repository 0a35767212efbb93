"""The length of the finite-difference step, from the function's measured noise and curvature."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from onnxprobe.jacobian.differences import (
    Perturbations,
    central_differences,
    subtract_halves,
)
from onnxprobe.jacobian.directions import Directions
from onnxprobe.jacobian.source import Point
from onnxprobe.types import Array, Runner

__all__ = ["LADDER", "StepTrial", "choose_step", "try_steps"]

# Steps relative to the source's RMS. Each is twice the one before, so that neighbours give the
# disagreement from which errors are read.
LADDER = tuple(2.0**exponent for exponent in range(-12, 4))

# Directions along which steps are compared.
TRIAL_DIRECTIONS = 16

# Longer steps that must do well too. Where kinks are rare, a few directions miss those that others
# meet; a step far below the first kink that was met is safer, and its price in rounding is known.
LOOK_AHEAD = 2


@dataclass(frozen=True)
class StepTrial:
    """What one tensor shows at each step of the ladder.

    Attributes:
        disagreements: Relative difference, in the Frobenius norm, between the derivatives at a step
            and at its double; one shorter than the ladder. ``None`` where the derivative is zero or
            not finite.
        noise: The function's own noise: standard deviation of an output element that a negligible
            change of the input causes, relative to the tensor's RMS.
    """

    disagreements: tuple[float | None, ...]
    noise: float


def try_steps(
    runner: Runner,
    point: Point,
    directions: Directions,
    names: Sequence[str],
    *,
    block: int,
    count: int = TRIAL_DIRECTIONS,
) -> dict[str, StepTrial]:
    """Take derivatives along a few directions with every step of the ladder.

    Args:
        runner: Computes outputs from inputs, row by row.
        point: Where.
        directions: Along what; a few are used, spread evenly.
        names: The outputs to look at.
        block: Directions per run.
        count: Directions to use, at most.

    Returns:
        By output, what it shows.
    """
    chosen = directions.spread(count)
    scales = point.source.scales(point.vector)
    base = runner.run(point.rows(point.vector[None]))
    rms = {name: float(np.sqrt(np.mean(base[name].astype(np.float64) ** 2))) for name in names}
    previous: dict[str, Array] = {}
    found: dict[str, list[float | None]] = {name: [] for name in names}
    noise: dict[str, float] = {}
    for rung in LADDER:
        derivatives = _derivatives(runner, point, directions, rung * scales, chosen, names, block)
        for name, (differences, lengths) in derivatives.items():
            current = differences / lengths[:, None]
            if name in previous:
                found[name].append(_relative(previous[name], current))
                # At the shortest steps the function is linear: what is left over is noise, of
                # variance 2 from one difference and 2/4 from half the other.
                left = (previous[name] - current) * lengths[:, None] / 2
                spread = float(np.sqrt(np.mean(left**2) / 2.5))
                noise.setdefault(name, spread / rms[name] if rms[name] else 0.0)
            previous[name] = current
    return {name: StepTrial(tuple(found[name]), noise.get(name, 0.0)) for name in names}


def _derivatives(
    runner: Runner,
    point: Point,
    directions: Directions,
    steps: Array,
    chosen: Sequence[int],
    names: Sequence[str],
    block: int,
) -> dict[str, tuple[Array, Array]]:
    made = Perturbations(directions)
    collected: dict[str, Array] = {}
    for part in central_differences(
        runner, point, directions, steps, made, block=block, chosen=chosen
    ):
        for name in names:
            if name not in collected:
                collected[name] = np.zeros((len(chosen), part.outputs[name].shape[1]))
        subtract_halves(part, collected, {}, threads=1)
    lengths = made.lengths[list(chosen)]
    return {name: (differences, lengths) for name, differences in collected.items()}


def _relative(first: Array, second: Array) -> float | None:
    size = float(np.linalg.norm(first))
    gap = float(np.linalg.norm(first - second))
    return gap / size if size > 0 and math.isfinite(size) and math.isfinite(gap) else None


def choose_step(trials: Mapping[str, StepTrial]) -> float | None:
    """Choose the step that serves all tensors, since one pass serves them all.

    Short steps drown in the function's noise, long ones in its curvature and kinks; the
    disagreement between a step and its double shows both. Taken is its median over the tensors, on
    a logarithmic scale, and the worst of the step and the next `LOOK_AHEAD` longer ones; the step
    where that is least is chosen.

    Args:
        trials: By tensor, what `try_steps` found.

    Returns:
        The step relative to the source's RMS; ``None`` if no tensor has a derivative.
    """
    rows = [
        trial.disagreements
        for trial in trials.values()
        if all(each is not None for each in trial.disagreements)
    ]
    if not rows:
        return None
    # Below the noise of float32 sums, disagreements carry no information.
    medians = np.median(np.log10(np.maximum(np.array(rows, np.float64), 1e-9)), axis=0)
    ahead = [medians[index : index + 1 + LOOK_AHEAD].max() for index in range(len(medians))]
    return LADDER[int(np.argmin(ahead))]
