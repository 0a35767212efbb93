"""The source as one vector: where derivatives start, whichever inputs it is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnxprobe.shapes import axes
from onnxprobe.types import Array, Floats

__all__ = ["Part", "Point", "Source"]


@dataclass(frozen=True)
class Part:
    """One tensor of the source.

    Attributes:
        name: The input or inner tensor.
        shape: Shape of one sample.
        dtype: numpy's name of its type: the precision in which it can be perturbed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Elements of one sample."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Source:
    """Tensors seen as one vector, concatenated in order.

    Attributes:
        parts: The tensors.
    """

    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Dimension n of the vector."""
        return sum(part.size for part in self.parts)

    def split(self, vectors: Array) -> dict[str, Array]:
        """Round vectors to the precision of the tensors and shape them as such.

        Args:
            vectors: Shape (rows, n).

        Returns:
            By name, shape (rows, *shape of one sample), each in its own type.
        """
        rows, _ = axes(vectors, "rows n", of="vectors", n=self.size)
        tensors, start = {}, 0
        for part in self.parts:
            columns = vectors[:, start : start + part.size]
            tensors[part.name] = columns.astype(part.dtype).reshape(rows, *part.shape)
            start += part.size
        return tensors

    def join(self, tensors: Mapping[str, Array]) -> Floats:
        """Concatenate tensors to vectors; the inverse of `split`, but for rounding.

        Args:
            tensors: By name, each of shape (rows, *shape of one sample) or flattened.

        Returns:
            Shape (rows, n).
        """
        columns = [
            tensors[part.name].reshape(len(tensors[part.name]), part.size) for part in self.parts
        ]
        return np.concatenate(columns, axis=1, dtype=np.float64)

    def scales(self, vector: Floats) -> Floats:
        """Measure how large each coordinate of a vector is, tensor by tensor.

        Args:
            vector: Shape (n,).

        Returns:
            Shape (n,): the root mean square of the tensor that a coordinate belongs to, 1 where the
            tensor is zero.
        """
        axes(vector, "n", of="vector", n=self.size)
        scales, start = np.empty(self.size), 0
        for part in self.parts:
            values = vector[start : start + part.size]
            rms = float(np.sqrt(np.mean(values**2))) if part.size else 0.0
            scales[start : start + part.size] = rms or 1.0
            start += part.size
        return scales


@dataclass(frozen=True)
class Point:
    """Where a Jacobian is taken.

    Attributes:
        source: What is perturbed.
        vector: The source's value, shape (n,).
        fixed: Everything else the model is fed, by name, each of shape (1, *shape of one sample).
    """

    source: Source
    vector: Floats
    fixed: Mapping[str, Array]

    def rows(self, vectors: Floats) -> dict[str, Array]:
        """Build the feed that puts vectors in the source's place.

        Args:
            vectors: Shape (rows, n).

        Returns:
            Inputs by name, shape (rows, *shape of one sample).
        """
        rows = len(vectors)
        feed = self.source.split(vectors)
        for name, value in self.fixed.items():
            if name not in feed:
                feed[name] = np.broadcast_to(value, (rows, *value.shape[1:]))
        return feed
