"""The inputs of a model as samples fill them: type, shape and the axis that counts samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onnxprobe.errors import ModelError
from onnxprobe.inputs.batching import find_batch_axes
from onnxprobe.inputs.dimensions import Dim, set_dimensions
from onnxprobe.inputs.wording import spelled
from onnxprobe.shapes import ShapeError
from onnxprobe.types import Array, TensorType

__all__ = ["MAX_SAMPLE_ELEMENTS", "OpenSlot", "Slot", "open_slots"]

# 1 GB as float32; whoever declares or sets more means something else.
MAX_SAMPLE_ELEMENTS = 2**28

_NUMBERS = frozenset(
    {"bool", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


@dataclass(frozen=True)
class Slot:
    """One input of a model, as one sample fills it.

    Attributes:
        name: The input's name.
        dtype: Type of the numbers; ``object`` for strings, and float32 for bfloat16, which numpy
            lacks.
        shape: Shape of one sample, without the axis that counts samples.
        batch_axis: Where that axis stands in the array the model takes; ``None`` if one sample is
            the whole array.
        declared_batch: The size the model fixes it to; ``None`` if it is open.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    batch_axis: int | None
    declared_batch: int | None = None

    @property
    def size(self) -> int:
        """Elements of one sample."""
        return math.prod(self.shape)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of the array that the model takes for a single sample."""
        if self.batch_axis is None:
            return self.shape
        return (*self.shape[: self.batch_axis], 1, *self.shape[self.batch_axis :])

    def feed(self, rows: Array) -> Array:
        """Arrange samples as the array that the model takes.

        Args:
            rows: Shape (rows, *shape); exactly one row where there is no batch axis.

        Returns:
            A contiguous array with the rows along ``batch_axis``.

        Raises:
            ShapeError: If the rows have another shape.
        """
        if rows.shape[1:] != self.shape or (self.batch_axis is None and len(rows) != 1):
            expected = spelled(self.shape, first="1" if self.batch_axis is None else "rows")
            raise ShapeError(
                f"samples of {self.name!r} must have axes {expected}, got shape {rows.shape}"
            )
        if self.batch_axis is None:
            return np.ascontiguousarray(rows[0]).reshape(self.shape)
        return np.ascontiguousarray(np.moveaxis(rows, 0, self.batch_axis))


@dataclass(frozen=True)
class OpenSlot:
    """A `Slot` with dimensions that may still be open.

    Attributes:
        name: The input's name.
        dtype: As in `Slot`.
        dims: Dimensions of one sample; ``None`` if even their number is undeclared.
        batch_axis: As in `Slot`.
        declared_batch: As in `Slot`.
    """

    name: str
    dtype: np.dtype[Any]
    dims: tuple[Dim, ...] | None
    batch_axis: int | None
    declared_batch: int | None = None


def open_slots(inputs: Sequence[TensorType], sizes: Mapping[str, int]) -> tuple[OpenSlot, ...]:
    """Find the batch axis of each input and what is known of its other dimensions.

    Args:
        inputs: Declared types.
        sizes: Sizes that the user sets.

    Returns:
        A slot for each input, in order.

    Raises:
        ModelError: If an input is no tensor, or one of a type or size that cannot be fed.
        DataError: If a size does not fit the model.
    """
    dtypes = {kind.name: _dtype(kind) for kind in inputs}
    shapes = set_dimensions(inputs, sizes)
    slots = []
    for name, axis in find_batch_axes(shapes).items():
        dims = shapes[name]
        if dims is None or axis is None:
            slots.append(OpenSlot(name, dtypes[name], dims, axis))
            continue
        batch = dims[axis]
        declared = batch if isinstance(batch, int) else None
        slots.append(OpenSlot(name, dtypes[name], dims[:axis] + dims[axis + 1 :], axis, declared))
    return tuple(slots)


def _dtype(kind: TensorType) -> np.dtype[Any]:
    if kind.kind != "tensor":
        raise ModelError(
            f"input {kind.name!r} is a {kind.kind}, and onnxprobe feeds tensors only; "
            "re-export the model with tensor inputs"
        )
    declared = [size for size in kind.shape or () if isinstance(size, int) and size > 0]
    if math.prod(declared) > MAX_SAMPLE_ELEMENTS:
        raise ModelError(
            f"input {kind.name!r} declares {math.prod(declared):,} numbers, more than the "
            f"{MAX_SAMPLE_ELEMENTS:,} that onnxprobe feeds; re-export the model for smaller inputs"
        )
    if kind.dtype is None:
        raise ModelError(
            f"input {kind.name!r} declares no element type; re-export the model with typed inputs"
        )
    if kind.dtype in _NUMBERS:
        return np.dtype(kind.dtype)
    if kind.dtype == "string":
        return np.dtype(object)
    if kind.dtype == "bfloat16":
        return np.dtype(np.float32)
    raise ModelError(
        f"input {kind.name!r} has element type {kind.dtype}, which onnxprobe cannot feed; "
        "re-export the model with inputs of a common float or integer type"
    )
