"""One pass over a point: every tensor's pullback, its noise floor, and what random probes show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from onnxprobe.jacobian.differences import (
    Perturbations,
    central_differences,
    subtract_halves,
)
from onnxprobe.jacobian.directions import Directions
from onnxprobe.jacobian.noise import noise_floor
from onnxprobe.jacobian.pullback import Pullback
from onnxprobe.jacobian.source import Point
from onnxprobe.shapes import axes
from onnxprobe.spectrum import gram
from onnxprobe.types import Array, Floats, Runner

__all__ = ["NOISE_DIRECTIONS", "Observation", "Pass", "observe", "take_differences"]

Result = TypeVar("Result")

# Directions along which the derivative is also taken with twice the step.
NOISE_DIRECTIONS = 32


@dataclass(frozen=True)
class Observation:
    """The Jacobian of one tensor at one point.

    Attributes:
        whole: Through all directions, probes included.
        main: How many of these are main directions.
        floor: Noise floor of the Jacobian, in output units per input unit.
        energies: ``‖J q‖²`` for each random probe, shape (probes,); empty where the main directions
            span the source.
        is_flat: Whether no direction moved the tensor at all.
    """

    whole: Pullback
    main: int
    floor: float
    energies: Floats
    is_flat: bool

    @property
    def pullback(self) -> Pullback:
        """Through the main directions."""
        return self.whole.first(self.main)


@dataclass(frozen=True)
class Pass:
    """Which part of which tensors one run over all directions collects.

    Attributes:
        columns: By tensor, the range of its elements.
        sizes: By tensor, how many elements it has.
    """

    columns: Mapping[str, slice]
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class _Run:
    """Differences of one pass, with the perturbations that caused them."""

    single: Mapping[str, Array]
    double: Mapping[str, Array]
    made: Perturbations
    made_double: Perturbations
    probed: Sequence[int]


def observe(
    runner: Runner,
    point: Point,
    directions: Directions,
    steps: Floats,
    passes: Sequence[Pass],
    reduce: Callable[[str, Observation], Result],
    *,
    block: int,
    threads: int,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Result]:
    """Measure the Jacobians of several tensors at a point by central differences.

    Args:
        runner: Computes the tensors from inputs, row by row.
        point: Where.
        directions: Along what.
        steps: Step per coordinate of the source, shape (n,).
        passes: Parts of tensors, so small that their differences along all directions fit the
            memory. A tensor may be spread over several passes.
        reduce: Turns an observation into what is kept of it; called from several threads.
        block: Directions per run.
        threads: Tensors reduced at a time, each in one thread.
        on_progress: Called with the number of directions done in a pass.

    Returns:
        By tensor, what `reduce` returned.
    """
    axes(steps, "n", of="steps", n=directions.size)
    sums: dict[str, _Sums] = {}
    last = {name: index for index, each in enumerate(passes) for name in each.columns}
    results: dict[str, Result] = {}
    for index, each in enumerate(passes):
        run = _difference(runner, point, directions, steps, each, block, threads, on_progress)
        for name in each.columns:
            sums.setdefault(name, _Sums(directions, each.sizes[name]))

        def finish(name: str, run: _Run = run, index: int = index) -> Result | None:
            sums[name].add(name, run)
            if last[name] != index:
                return None
            return reduce(name, sums.pop(name).observation(run.made))

        with ThreadPoolExecutor(threads) as pool:
            found = zip(each.columns, pool.map(finish, each.columns), strict=True)
            results.update((name, result) for name, result in found if result is not None)
    return results


def _difference(
    runner: Runner,
    point: Point,
    directions: Directions,
    steps: Floats,
    each: Pass,
    block: int,
    threads: int,
    on_progress: Callable[[int], None],
) -> _Run:
    probed = directions.spread(NOISE_DIRECTIONS)
    single, made = take_differences(
        runner,
        point,
        directions,
        steps,
        each,
        block=block,
        threads=threads,
        on_progress=on_progress,
    )
    double, made_double = take_differences(
        runner, point, directions, 2 * steps, each, block=block, threads=threads, chosen=probed
    )
    return _Run(single, double, made, made_double, probed)


def take_differences(
    runner: Runner,
    point: Point,
    directions: Directions,
    steps: Floats,
    each: Pass,
    *,
    block: int,
    threads: int,
    chosen: Sequence[int] | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> tuple[dict[str, Array], Perturbations]:
    """Run a model on both sides of a point and keep the differences.

    Args:
        runner: Computes the tensors from inputs, row by row.
        point: Where.
        directions: Along what.
        steps: Step per coordinate of the source, shape (n,).
        each: The parts of tensors to keep.
        block: Directions per run.
        threads: Tensors subtracted at a time.
        chosen: Indices of the directions to use; all if not given.
        on_progress: Called with the number of directions done.

    Returns:
        By tensor, ``f(x + hv) − f(x − hv)`` with one row per direction, and the perturbations that
        were made.
    """
    made = Perturbations(directions)
    store: dict[str, Array] = {}
    count = directions.total if chosen is None else len(chosen)
    for part in central_differences(
        runner, point, directions, steps, made, block=block, chosen=chosen
    ):
        _allocate(store, part.outputs, each, count)
        subtract_halves(part, store, each.columns, threads)
        on_progress(part.count)
    return store, made


def _allocate(store: dict[str, Array], outputs: Mapping[str, Array], each: Pass, rows: int) -> None:
    for name, columns in each.columns.items():
        if name not in store:
            width = len(range(*columns.indices(outputs[name].shape[1])))
            exact = outputs[name].dtype == np.float64
            store[name] = np.empty((rows, width), np.float64 if exact else np.float32)


class _Sums:
    """What is needed of a tensor's differences, added up over its parts."""

    def __init__(self, directions: Directions, size: int) -> None:
        self._directions = directions
        self._size = size
        self._gram: Floats | None = None
        self._factor: Floats | None = None
        self._disagreement = np.zeros((0, 0))
        self._is_flat = True

    def add(self, name: str, run: _Run) -> None:
        """Take one part of the tensor into account."""
        single, double = run.single[name], run.double[name]
        self._is_flat = self._is_flat and not single.any() and not double.any()
        probed = list(run.probed)
        first = single[probed] / run.made.lengths[probed, None]
        second = double / run.made_double.lengths[probed, None]
        disagreement = gram(first - second)
        if single.shape[1] == self._size < len(single):
            self._factor = single.astype(np.float64)
            self._disagreement = disagreement
        elif self._gram is None:
            self._gram, self._disagreement = gram(single), disagreement
        else:
            self._gram += gram(single)
            self._disagreement += disagreement

    def observation(self, made: Perturbations) -> Observation:
        """Say what the sums mean; every part must have been added."""
        main = self._directions.count
        if self._factor is not None:
            energies = np.sum(self._factor[main:] ** 2, axis=1)
            whole = Pullback(factor=made.orthonormalise(self._factor))
        else:
            assert self._gram is not None
            energies = np.diag(self._gram)[main:].copy()
            whole = Pullback(gram=made.orthonormalise_gram(self._gram))
        floor = noise_floor(self._disagreement, self._size, main)
        return Observation(whole, main, floor, energies / made.lengths[main:] ** 2, self._is_flat)
