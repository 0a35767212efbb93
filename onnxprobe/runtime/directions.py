"""Running a graph with tangents: one sample, many directions, reused buffers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxprobe.runtime.session import Session
from onnxprobe.types import Array

__all__ = ["DirectionRunner", "TangentOutput"]


@dataclass(frozen=True)
class TangentOutput:
    """Where a tensor's tangent comes out.

    Attributes:
        tensor: The tensor.
        output: The session's output.
        shape: Shape of the tensor.
        folded: Whether the directions ride on its first axis, and not on one in front of it.
    """

    tensor: str
    output: str
    shape: tuple[int, ...]
    folded: bool = False

    def shape_of(self, count: int) -> tuple[int, ...]:
        """Return the shape in which some number of directions comes out."""
        if self.folded:
            return (count * self.shape[0], *self.shape[1:])
        return (count, *self.shape)


class DirectionRunner:
    """A `TangentRunner` over a session of a derived graph, at one sample.

    Args:
        session: Takes the model's inputs, and a tangent of shape (k, *S) per source.
        feeds: The model's inputs at the sample, shaped as the model takes them.
        sources: Input and shape of each source's tangent, by source.
        outputs: The tangents that are wanted.
    """

    def __init__(
        self,
        session: Session,
        feeds: Mapping[str, Array],
        sources: Mapping[str, tuple[str, tuple[int, ...]]],
        outputs: Sequence[TangentOutput],
    ) -> None:
        self._session, self._sources, self._outputs = session, sources, outputs
        taken = {kind.name for kind in session.input_types}
        self._feeds = {name: array for name, array in feeds.items() if name in taken}
        self._types = {kind.name: np.dtype(kind.dtype) for kind in session.output_types}
        self._memory: dict[str, Array] = {}
        self._results: dict[str, Array] = {}
        self._binding: Any = None
        self._bound = -1

    def run(self, tangents: Mapping[str, Array]) -> dict[str, Array]:
        """Compute tangents of every tensor; see `TangentRunner`.

        Args:
            tangents: By source, shape (k, elements of the source or its shape).

        Returns:
            By tensor, shape (k, elements), valid until the next call.

        Raises:
            RunError: If the runtime fails.
        """
        count = len(next(iter(tangents.values())))
        feeds = dict(self._feeds)
        for source, (name, shape) in self._sources.items():
            feeds[name] = np.ascontiguousarray(tangents[source].reshape(count, *shape))
        if any(array.dtype == object for array in feeds.values()):
            # Strings cannot be bound.
            names = [each.output for each in self._outputs]
            found = self._session.run(feeds, names)
            return {
                each.tensor: array.reshape(count, -1)
                for each, array in zip(self._outputs, found, strict=True)
            }
        if count != self._bound:
            self._bind(count)
        self._session.run_bound(self._binding, feeds)
        return dict(self._results)

    def _bind(self, count: int) -> None:
        self._bound = -1
        binding = self._session.new_binding()
        for each in self._outputs:
            size, dtype = math.prod(each.shape), self._types[each.output]
            if each.tensor not in self._memory or self._memory[each.tensor].size < size * count:
                self._memory[each.tensor] = np.empty(size * count, dtype)
            array = self._memory[each.tensor][: size * count]
            self._results[each.tensor] = array.reshape(count, size)
            shape = each.shape_of(count)
            binding.bind_output(each.output, "cpu", 0, dtype, shape, array.ctypes.data)
        self._binding, self._bound = binding, count
