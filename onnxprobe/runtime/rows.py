"""Running rows: many in one batch where that is proved to be the same, one at a time elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onnxprobe.errors import RunError
from onnxprobe.runtime.layout import RowLayout
from onnxprobe.runtime.session import Session
from onnxprobe.types import Array

__all__ = ["RowRunner"]


class RowRunner:
    """A `Runner` over a session, whose outputs live in buffers that are reused.

    Bound outputs matter: without them ONNX Runtime allocates, and the kernel clears, every output
    anew at each run, which was measured at up to five times the cost of the computation.

    Args:
        session: What to run.
        inputs: Layout of each input.
        outputs: Layout of each output, by output name in the session.
        names: The name under which each session output is returned.
        batched: Whether several rows may share a run.
    """

    def __init__(
        self,
        session: Session,
        inputs: Mapping[str, RowLayout],
        outputs: Mapping[str, RowLayout],
        names: Mapping[str, str] | None = None,
        *,
        batched: bool,
    ) -> None:
        self._session = session
        self._inputs = {kind.name: inputs[kind.name] for kind in session.input_types}
        self._outputs = outputs
        self._types = {
            kind.name: np.dtype(kind.dtype) for kind in session.output_types if kind.name in outputs
        }
        self._names = names or {}
        self._batched = batched
        self._memory: dict[str, Array] = {}
        self._results: dict[str, Array] = {}
        self._binding: Any = None
        self._bound_rows = 0

    def run(self, rows: Mapping[str, Array]) -> dict[str, Array]:
        """Compute every output for each row; see `Runner`.

        Args:
            rows: Inputs by name, each of shape (rows, *shape of one sample).

        Returns:
            Outputs by name, each of shape (rows, elements), valid until the next call.

        Raises:
            RunError: If the runtime fails, or a tensor changes its shape.
        """
        count = len(next(iter(rows.values())))
        if self._batched or count == 1:
            return self._run_together(rows, count)
        gathered = {
            self._names.get(name, name): np.empty((count, layout.size), self._types[name])
            for name, layout in self._outputs.items()
        }
        for row in range(count):
            single = {name: array[row : row + 1] for name, array in rows.items()}
            for name, values in self._run_together(single, 1).items():
                gathered[name][row] = values[0]
        return gathered

    def _run_together(self, rows: Mapping[str, Array], count: int) -> dict[str, Array]:
        feeds = {name: _pack(layout, rows[name]) for name, layout in self._inputs.items()}
        if any(array.dtype == object for array in feeds.values()):
            return self._run_unbound(feeds, count)
        if self._binding is None or count != self._bound_rows:
            self._bind(count)
        self._session.run_bound(self._binding, feeds)
        return {
            self._names.get(name, name): layout.unpack(self._results[name], count)
            for name, layout in self._outputs.items()
        }

    def _bind(self, count: int) -> None:
        self._binding = None
        binding = self._session.new_binding()
        for name, layout in self._outputs.items():
            dtype, needed = self._types[name], layout.size * count
            if name not in self._memory or self._memory[name].size < needed:
                self._memory[name] = np.empty(needed, dtype)
            array = self._memory[name][:needed].reshape(layout.shape_of(count))
            self._results[name] = array
            binding.bind_output(name, "cpu", 0, dtype, array.shape, array.ctypes.data)
        self._binding, self._bound_rows = binding, count

    def _run_unbound(self, feeds: Mapping[str, Array], count: int) -> dict[str, Array]:
        names = list(self._outputs)
        results = {}
        for name, array in zip(names, self._session.run(feeds, names), strict=True):
            layout = self._outputs[name]
            if array.shape != layout.shape_of(count):
                raise RunError(f"tensor {name!r} changes its shape with the input")
            results[self._names.get(name, name)] = layout.unpack(array, count)
        return results


def _pack(layout: RowLayout, rows: Array) -> Array:
    # A tensor without a row axis is the same for all rows of a batch.
    return layout.pack(rows if layout.axis is not None else rows[:1])
