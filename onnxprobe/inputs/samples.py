"""Samples: what a model is run on, whoever they came from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnxprobe.types import Array

__all__ = ["Samples", "spread_indices"]

_BLOCK_BYTES = 2**24


@dataclass(frozen=True)
class Samples:
    """Concrete inputs of a model.

    Attributes:
        arrays: By input name, shape (count, *shape of one sample).
        count: How many samples.
        positions: Shape (count,): where each stands in the user's data; 0, 1, 2, ... if drawn.
        labels: Shape (count,): the class of each, where the user's data holds them.
        synthetic: Whether all inputs were drawn, so that figures describe the model alone.
        notes: A sentence for everything that was assumed, drawn, left aside or resized.
    """

    arrays: Mapping[str, Array]
    count: int
    positions: Array
    labels: Array | None = None
    synthetic: bool = False
    notes: tuple[str, ...] = ()

    def subset(self, indices: Array) -> Samples:
        """Pick samples.

        Args:
            indices: Shape (k,): which, in the order wanted.

        Returns:
            Those samples, with the notes of all.
        """
        indices = np.asarray(indices, dtype=np.intp)
        return Samples(
            {name: _pick(array, indices) for name, array in self.arrays.items()},
            len(indices),
            self.positions[indices],
            None if self.labels is None else self.labels[indices],
            self.synthetic,
            self.notes,
        )

    def spread(self, count: int) -> Array:
        """Choose samples evenly.

        Args:
            count: How many.

        Returns:
            Rising indices, all if there are fewer.
        """
        return spread_indices(self.count, count)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names, types, shapes and values, in the order of the names."""
        digest = hashlib.sha256()
        for name in sorted(self.arrays):
            array = self.arrays[name]
            head = f"{name!r} {array.dtype.newbyteorder('<').str} {array.shape}\n"
            digest.update(head.encode("utf-8", "surrogatepass"))
            block = max(1, _BLOCK_BYTES // max(1, array[:1].nbytes))
            for start in range(0, len(array), block):
                rows = array[start : start + block]
                if array.dtype.hasobject:
                    texts = "".join(f"{text!r}\n" for text in rows.ravel())
                    digest.update(texts.encode("utf-8", "surrogatepass"))
                else:
                    little = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
                    digest.update(np.ascontiguousarray(little).view(np.uint8).data)
        return digest.hexdigest()

    @property
    def labels_digest(self) -> str | None:
        """The sha256 of the classes, as 64-bit little-endian numbers; ``None`` without any."""
        if self.labels is None:
            return None
        return hashlib.sha256(self.labels.astype("<i8").tobytes()).hexdigest()


def _pick(array: Array, indices: Array) -> Array:
    # A sample that was repeated without a copy stays so.
    if len(array) and array.strides[0] == 0:
        return np.broadcast_to(array[:1], (len(indices), *array.shape[1:]))
    return array[indices]


def spread_indices(total: int, count: int) -> Array:
    """Choose evenly among many.

    Args:
        total: How many there are.
        count: How many to choose.

    Returns:
        Rising indices, the first of them 0; all if there are fewer.

    Example:
        >>> spread_indices(10, 4).tolist(), spread_indices(2, 4).tolist()
        ([0, 2, 5, 7], [0, 1])
    """
    chosen = min(total, count)
    return np.arange(chosen) * total // max(1, chosen)
