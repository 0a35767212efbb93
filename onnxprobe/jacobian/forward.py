"""Exact derivatives: tangents of every tensor, and what rounding leaves uncertain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

import numpy as np

from onnxprobe.jacobian.differences import Perturbations
from onnxprobe.jacobian.directions import Directions
from onnxprobe.jacobian.noise import SAFETY, noise_floor
from onnxprobe.jacobian.observation import Observation, Pass
from onnxprobe.jacobian.pullback import Pullback
from onnxprobe.jacobian.source import Source
from onnxprobe.spectrum import gram
from onnxprobe.types import Array, Floats

__all__ = ["TangentRunner", "observe_tangents", "rounding_share"]

Result = TypeVar("Result")

# Combinations of directions along which linearity is checked.
COMBINATIONS = 16
# Some of them are run at shaken values, a few at a time: each run shakes anew.
SHAKEN, SHAKEN_TOGETHER = 8, 4
_POWER_STEPS = 16
# Elements of tangents that are taken to float64 at a time.
_BLOCK_ELEMENTS = 2**22
_UNIT_ROUNDING = {"float32": 2.0**-24, "float64": 2.0**-53}


class TangentRunner(Protocol):
    """Something that computes ``J v`` at one point."""

    def run(self, tangents: Mapping[str, Array]) -> Mapping[str, Array]:
        """Compute tangents of every tensor.

        Args:
            tangents: By part of the source, shape (k, *shape of one sample).

        Returns:
            By tensor, shape (k, elements). The arrays may be reused by the next call.
        """
        ...


def rounding_share(dtype: str, depth: int) -> float:
    """Return how far rounding along a path moves a Jacobian at least, relative to its norm.

    Every operator between source and tensor is computed at rounded values of its operands, which
    moves its own Jacobian by about one rounding error in norm; independent errors of a chain add
    up as a random walk does.

    Args:
        dtype: In what the model computes.
        depth: Operators on the longest path from the source.

    Returns:
        A share of the largest singular value.

    Source:
        Higham & Mary 2019, A new approach to probabilistic rounding error analysis: √n instead of
        n roundings.

    Example:
        >>> rounding_share("float32", 16) == 8 * 2.0**-24
        True
    """
    return SAFETY * _UNIT_ROUNDING.get(dtype, 2.0**-24) * math.sqrt(max(depth, 1))


def observe_tangents(
    runner: TangentRunner,
    source: Source,
    directions: Directions,
    passes: Sequence[Pass],
    depths: Mapping[str, int],
    reduce: Callable[[str, Observation], Result],
    *,
    block: int,
    threads: int,
    shaken: TangentRunner | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Result]:
    """Measure the Jacobians of several tensors at a point through exact tangents.

    The noise floor has two parts. Rounding that differs between directions is measured: a tangent
    is linear in its direction, so that along random combinations it must be the combination of
    tangents, and what is left over is rounding. Rounding that all directions share, that of the
    values at which operators are differentiated, is measured as well, by tangents at values that
    are off by a rounding error each; it is no less than `rounding_share` says.

    Args:
        runner: Computes tangents at the point.
        source: What directions are directions of.
        directions: Along what.
        passes: Parts of tensors that fit the memory along all directions.
        depths: Operators between source and tensor, by tensor.
        reduce: Turns an observation into what is kept of it; called from several threads.
        block: Directions per run.
        threads: Tensors reduced at a time, each in one thread.
        shaken: Computes tangents at values that are off by a rounding error each, drawn anew at
            each run; if not given, `rounding_share` has to do.
        on_progress: Called with the number of directions done in a pass.

    Returns:
        By tensor, what `reduce` returned.
    """
    rng = np.random.default_rng(0)
    signs = rng.choice((-1.0, 1.0), (min(COMBINATIONS, directions.count), directions.count))
    mixing: Floats = signs / math.sqrt(max(directions.count, 1))
    sums: dict[str, _Sums] = {}
    last = {name: index for index, each in enumerate(passes) for name in each.columns}
    results: dict[str, Result] = {}
    for index, each in enumerate(passes):
        made = Perturbations(directions)
        tangents = _take(runner, source, directions, each, made, block, on_progress)
        mixed = _take_mixed(runner, source, directions, mixing, each, block)
        rounded: Mapping[str, Array] = {}
        if shaken is not None:
            few = min(block, SHAKEN_TOGETHER)
            rounded = _take_mixed(shaken, source, directions, mixing[:SHAKEN], each, few)
        for name in each.columns:
            sums.setdefault(name, _Sums(directions, each.sizes[name], mixing))

        def finish(
            name: str,
            tangents: Mapping[str, Array] = tangents,
            mixed: Mapping[str, Array] = mixed,
            rounded: Mapping[str, Array] = rounded,
            made: Perturbations = made,
            index: int = index,
        ) -> Result | None:
            sums[name].add(tangents[name], mixed[name], rounded.get(name))
            if last[name] != index:
                return None
            dtype = str(tangents[name].dtype)
            return reduce(name, sums.pop(name).observation(made, dtype, depths.get(name, 1)))

        with ThreadPoolExecutor(threads) as pool:
            found = zip(each.columns, pool.map(finish, each.columns), strict=True)
            results.update((name, result) for name, result in found if result is not None)
    return results


def _take(
    runner: TangentRunner,
    source: Source,
    directions: Directions,
    each: Pass,
    made: Perturbations,
    block: int,
    on_progress: Callable[[int], None],
) -> dict[str, Array]:
    store: dict[str, Array] = {}
    for first in range(0, directions.total, block):
        picked = range(first, min(first + block, directions.total))
        feed = source.split(directions.take(picked))
        made.record(picked, source.join(feed))
        _keep(store, runner.run(feed), each, picked, directions.total)
        on_progress(len(picked))
    return store


def _take_mixed(
    runner: TangentRunner,
    source: Source,
    directions: Directions,
    mixing: Floats,
    each: Pass,
    block: int,
) -> dict[str, Array]:
    store: dict[str, Array] = {}
    for first in range(0, len(mixing), block):
        some = mixing[first : first + block]
        vectors = np.zeros((len(some), directions.size))
        for start in range(0, directions.count, block):
            picked = range(start, min(start + block, directions.count))
            vectors += some[:, start : picked.stop] @ directions.take(picked)
        picked = range(first, first + len(some))
        _keep(store, runner.run(source.split(vectors)), each, picked, len(mixing))
    return store


def _keep(
    store: dict[str, Array],
    outputs: Mapping[str, Array],
    each: Pass,
    rows: range,
    total: int,
) -> None:
    for name, columns in each.columns.items():
        part = outputs[name][:, columns]
        if name not in store:
            store[name] = np.empty((total, part.shape[1]), part.dtype)
        store[name][rows.start : rows.stop] = part


class _Sums:
    """What is needed of a tensor's tangents, added up over its parts."""

    def __init__(self, directions: Directions, size: int, mixing: Floats) -> None:
        self._directions, self._size, self._mixing = directions, size, mixing
        self._gram: Floats | None = None
        self._factor: Floats | None = None
        self._disagreement = np.zeros((len(mixing), len(mixing)))
        self._rounding: Floats | None = None
        self._is_flat = True

    def add(self, tangents: Array, mixed: Array, rounded: Array | None) -> None:
        """Take one part of the tensor into account."""
        self._is_flat = self._is_flat and not tangents.any()
        rows, width = tangents.shape
        if width == self._size < rows:
            self._factor = tangents.astype(np.float64)
        # Block by block: in float64, a whole part might not fit.
        step = max(1, _BLOCK_ELEMENTS // rows)
        for start in range(0, width, step):
            columns = slice(start, start + step)
            some = None if rounded is None else rounded[:, columns]
            self._add_block(tangents[:, columns], mixed[:, columns], some)

    def _add_block(self, tangents: Array, mixed: Array, rounded: Array | None) -> None:
        exact = tangents.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):  # the eigensolver's gate speaks
            left = mixed - self._mixing @ exact[: self._directions.count]
        self._disagreement += gram(left)
        if rounded is not None:
            with np.errstate(invalid="ignore", over="ignore"):
                moved = rounded.astype(np.float64) - mixed[: len(rounded)]
            found = gram(moved)
            self._rounding = found if self._rounding is None else self._rounding + found
        if self._factor is None:
            found = gram(exact)
            self._gram = found if self._gram is None else self._gram + found

    def observation(self, made: Perturbations, dtype: str, depth: int) -> Observation:
        """Say what the sums mean; every part must have been added."""
        main = self._directions.count
        if self._factor is not None:
            energies = np.sum(self._factor[main:] ** 2, axis=1)
            whole = Pullback(factor=made.orthonormalise(self._factor))
            largest = _largest(self._factor[:main].T @ self._factor[:main])
        else:
            assert self._gram is not None
            energies = np.diag(self._gram)[main:].copy()
            whole = Pullback(gram=made.orthonormalise_gram(self._gram))
            largest = _largest(self._gram[:main, :main])
        spread = noise_floor(self._disagreement, self._size, main)
        shared = rounding_share(dtype, depth) * math.sqrt(largest)
        if self._rounding is not None:
            shared = max(shared, noise_floor(self._rounding, self._size, main))
        floor = math.hypot(spread, shared)
        return Observation(whole, main, floor, energies / made.lengths[main:] ** 2, self._is_flat)


def _largest(gram: Floats) -> float:
    """Estimate the largest eigenvalue by power iteration; a few per cent do not matter here."""
    if not gram.size or not np.isfinite(gram).all():
        return 0.0
    vector = np.ones(len(gram)) / math.sqrt(len(gram)) + np.diag(gram) / (np.trace(gram) or 1.0)
    for _ in range(_POWER_STEPS):
        moved = gram @ vector
        size = float(np.linalg.norm(moved))
        if size == 0:
            return 0.0
        vector = moved / size
    return float(vector @ gram @ vector)
