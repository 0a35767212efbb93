"""Small networks in numpy whose Jacobians are known by heart, as runners."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from onnxprobe.jacobian import Part, Pass, Point, Source
from onnxprobe.types import Array, Floats

Function = Callable[[Array], dict[str, Array]]


class NumpyRunner:
    """Runs a function of rows; counts how many it was asked for."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self.rows = 0

    def run(self, rows: Mapping[str, Array]) -> Mapping[str, Array]:
        self.rows += len(rows["x"])
        return self._function(rows["x"].reshape(len(rows["x"]), -1))


def point(vector: Array, dtype: str = "float32") -> Point:
    """A point of a source with the single part x."""
    rounded = vector.astype(dtype).astype(np.float64)
    return Point(Source((Part("x", (len(vector),), dtype),)), rounded, {})


def whole(function: Function, at: Point) -> Pass:
    """A pass that collects every output whole."""
    outputs = function(at.vector[None].astype(np.float32))
    return Pass(
        {name: slice(0, values.shape[1]) for name, values in outputs.items()},
        {name: values.shape[1] for name, values in outputs.items()},
    )


class Linear:
    """``y = W x + b`` with W of a chosen rank."""

    def __init__(
        self, outputs: int, inputs: int, rank: int, rng: np.random.Generator, dtype: str = "float32"
    ) -> None:
        left, right = rng.normal(size=(outputs, rank)), rng.normal(size=(rank, inputs))
        self.weight = (left @ right).astype(dtype)
        self.bias = rng.normal(size=outputs).astype(dtype)

    def __call__(self, x: Array) -> dict[str, Array]:
        return {"y": x @ self.weight.T + self.bias}

    def jacobian(self, x: Floats) -> dict[str, Floats]:
        return {"y": self.weight.astype(np.float64)}


class Perceptron:
    """Two layers with ReLU and tanh, differentiated by hand."""

    def __init__(self, rng: np.random.Generator, dtype: str = "float32") -> None:
        self._first = (rng.normal(size=(40, 24)) / 5).astype(dtype)
        self._second = (rng.normal(size=(30, 40)) / 6).astype(dtype)

    def __call__(self, x: Array) -> dict[str, Array]:
        a = x @ self._first.T
        h = np.maximum(a, 0)
        return {"a": a, "h": h, "t": np.tanh(h @ self._second.T)}

    def jacobian(self, x: Floats) -> dict[str, Floats]:
        first, second = self._first.astype(np.float64), self._second.astype(np.float64)
        a = first @ x
        h = (a > 0)[:, None] * first
        t = np.tanh(second @ np.maximum(a, 0))
        return {"a": first, "h": h, "t": (1 - t**2)[:, None] * (second @ h)}
