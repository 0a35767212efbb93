"""Words that several rooms share and that belong to none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Floats", "Program", "Runner", "TensorType"]

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class TensorType:
    """The declared type of a named value.

    Attributes:
        name: The value's name in the graph.
        dtype: numpy's name of the element type (``"float32"``, ``"int64"``, ``"bool"``),
            ``"string"``, a type numpy lacks (``"bfloat16"``, ``"int4"``, ``"float8e4m3fn"``), or
            ``None`` where the value is no tensor or its type is unknown.
        shape: Sizes, symbolic names, or ``None`` per axis; ``None`` if even the rank is unknown.
        kind: ``"tensor"``, or what the value is instead: ``"sequence"``, ``"map"``, ``"optional"``,
            ``"sparse tensor"``.
    """

    name: str
    dtype: str | None
    shape: tuple[int | str | None, ...] | None
    kind: str = "tensor"


@dataclass(frozen=True)
class Program:
    """A graph that a runtime can execute.

    Attributes:
        proto: A serialised ONNX model whose large initializers hold no data.
        weights: The values of those initializers, by name.
    """

    proto: bytes
    weights: Mapping[str, Array]


class Runner(Protocol):
    """Something that computes named arrays from named arrays, row by row.

    A *row* is one complete sample. Row ``i`` of every output depends on row ``i`` of the inputs
    alone; who implements this has proved it, or runs the rows one at a time.
    """

    def run(self, rows: Mapping[str, Array]) -> Mapping[str, Array]:
        """Compute every output for each row.

        Args:
            rows: Inputs by name, each of shape (rows, *shape of one sample).

        Returns:
            Outputs by name, each of shape (rows, elements). The arrays may be reused by the next
            call: copy what must outlive it.
        """
        ...
