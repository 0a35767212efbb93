"""Central finite differences: many directions in a batch, each divided by what was really made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from onnxprobe.jacobian.directions import Directions
from onnxprobe.jacobian.source import Point
from onnxprobe.shapes import axes
from onnxprobe.types import Array, Floats, Runner

__all__ = ["DifferenceBlock", "Perturbations", "central_differences", "subtract_halves"]

_WORTH_A_THREAD_BYTES = 2**22


class Perturbations:
    """The perturbations that were really made, after rounding to the source's precision.

    Row i is ``p_i = x⁺ − x⁻`` and the difference of outputs is ``J p_i`` up to error. Coordinate
    perturbations stay along their axis, so only their lengths are kept; others are kept whole,
    because rounding tilts them.

    Args:
        directions: What was meant.
    """

    def __init__(self, directions: Directions) -> None:
        self._lengths = np.zeros(directions.total)
        self._rows: Array | None = None
        if directions.matrix is not None:
            self._rows = np.zeros(directions.matrix.shape, np.float32)

    @property
    def lengths(self) -> Floats:
        """Euclidean length of each perturbation, shape (directions,)."""
        return self._lengths

    def record(self, indices: Sequence[int], made: Floats) -> None:
        """Keep some perturbations.

        Args:
            indices: Whose they are.
            made: Shape (indices, n).
        """
        self._lengths[list(indices)] = np.linalg.norm(made, axis=1)
        if self._rows is not None:
            self._rows[list(indices)] = made

    def orthonormalise(self, differences: Floats) -> Floats:
        """Turn differences into derivatives along orthonormal directions.

        With ``P = L Q``, L lower triangular and the rows of Q orthonormal, differences ``D = P Jᵀ``
        become ``L⁻¹ D = Q Jᵀ``.

        Args:
            differences: One row per direction, from the first on, shape (k, m).

        Returns:
            Shape (k, m).
        """
        k, _ = axes(differences, "k m", of="differences")
        if self._rows is None:
            return differences / self._lengths[:k, None]
        return _solve(self._rows[:k], differences)

    def orthonormalise_gram(self, gram: Floats) -> Floats:
        """Do the same to the Gram matrix ``D Dᵀ`` of differences.

        Args:
            gram: Of the first k directions, shape (k, k).

        Returns:
            ``Q Jᵀ J Qᵀ``, shape (k, k).
        """
        k, _ = axes(gram, "k k", of="gram")
        if self._rows is None:
            return gram / np.outer(self._lengths[:k], self._lengths[:k])
        half = _solve(self._rows[:k], gram)
        whole = _solve(self._rows[:k], np.ascontiguousarray(half.T))
        return (whole + whole.T) / 2


def _solve(perturbations: Array, right: Floats) -> Floats:
    main = perturbations.astype(np.float64)
    factor = scipy.linalg.cholesky(main @ main.T, lower=True, check_finite=False)
    solved: Floats = scipy.linalg.solve_triangular(factor, right, lower=True, check_finite=False)
    return solved


@dataclass(frozen=True)
class DifferenceBlock:
    """Outputs on both sides of a point, for some directions.

    Attributes:
        start: Index of the first direction.
        count: How many directions.
        outputs: By tensor, shape (2·count, elements): first ``f(x + hv)`` of each direction, then
            ``f(x − hv)``. Valid until the next block is asked for.
    """

    start: int
    count: int
    outputs: Mapping[str, Array]


def central_differences(
    runner: Runner,
    point: Point,
    directions: Directions,
    steps: Floats,
    perturbations: Perturbations,
    *,
    block: int,
    chosen: Sequence[int] | None = None,
) -> Iterator[DifferenceBlock]:
    """Run a model on both sides of a point along each direction.

    Args:
        runner: Computes outputs from inputs, row by row.
        point: Where.
        directions: Along what.
        steps: Length of the step per coordinate of the source, shape (n,). A coordinate direction
            takes its own coordinate's step, at least 8 units in the last place; other directions
            take the smallest.
        perturbations: Receives what was really made.
        block: Directions per run; each takes two rows.
        chosen: Indices of the directions to use; all if not given. Runs of neighbouring indices are
            not required, but each costs a block.

    Yields:
        The outputs, block by block.
    """
    n = directions.size
    axes(steps, "n", of="steps", n=n)
    indices = range(directions.total) if chosen is None else chosen
    smallest = float(steps.min()) if n else 0.0
    for first in range(0, len(indices), block):
        picked = indices[first : first + block]
        unit = directions.take(picked)
        if directions.matrix is None:
            units_in_last_place = np.spacing(np.abs(point.vector).astype(_precision(point)))
            offsets = unit * np.maximum(steps, 8.0 * units_in_last_place)
        else:
            offsets = unit * smallest
        feed = point.rows(np.concatenate([point.vector + offsets, point.vector - offsets]))
        ahead, behind = np.split(point.source.join(feed), 2)
        perturbations.record(picked, ahead - behind)
        yield DifferenceBlock(first, len(picked), runner.run(feed))


def _precision(point: Point) -> str:
    return "float64" if all(p.dtype == "float64" for p in point.source.parts) else "float32"


def subtract_halves(
    block: DifferenceBlock, into: Mapping[str, Array], columns: Mapping[str, slice], threads: int
) -> None:
    """Write ``f(x + hv) − f(x − hv)`` of a block into the rows of its directions.

    Args:
        block: Outputs on both sides.
        into: By tensor, the matrix that receives differences, one row per direction.
        columns: By tensor, the elements of the output that the matrix holds; all if missing.
        threads: How many tensors are subtracted at a time: the work is bound by memory, and numpy
            uses one core.
    """
    rows = slice(block.start, block.start + block.count)

    def subtract(name: str) -> None:
        part = columns.get(name, slice(None))
        both = block.outputs[name]
        ahead, behind = both[: block.count, part], both[block.count :, part]
        np.subtract(ahead, behind, out=into[name][rows], casting="unsafe")

    if threads == 1 or sum(block.outputs[name].nbytes for name in into) < _WORTH_A_THREAD_BYTES:
        for name in into:
            subtract(name)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(subtract, into))
