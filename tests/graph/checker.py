"""A generic check of a rewrite: against a slow reference, and bit for bit against the original."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from onnxprobe.graph import Graph, catalogue, expose_tensors, infer_types, readable_names
from onnxprobe.types import Array, Program, TensorType
from tests.graph.models import opened, run, run_file

# The reference computes each operator in numpy, in another order: about √n rounding errors.
TOLERANCES = {"float32": 1e-5, "float64": 1e-12, "float16": 4e-3}


class Rewrite(Protocol):
    def __call__(
        self, graph: Graph, names: Sequence[str], *, types: Mapping[str, TensorType]
    ) -> Program: ...


def check_exposure(
    proto: ModelProto, feeds: Mapping[str, Array], rewrite: Rewrite = expose_tensors
) -> list[str]:
    """Expose every tensor of a model and compare all values.

    Raises AssertionError if an exposed tensor is not what the reference computes, an output is not
    bit-equal to the unmodified model's, or the rewrite changes the graph that it is given. Returns
    the names of the exposed tensors.
    """
    graph = opened(proto)
    before = graph.proto.SerializeToString(deterministic=True)
    types = infer_types(graph)
    names = [info.name for info in catalogue(graph, types) if info.skip is None]
    exposed = [*graph.outputs, *(name for name in names if name not in graph.outputs)]
    found = run(rewrite(graph, exposed, types=types), feeds)
    assert graph.proto.SerializeToString(deterministic=True) == before, "the graph was changed"
    spelled = readable_names(graph, names, types)
    truth = ReferenceEvaluator(proto).run(None, dict(feeds), intermediate=True)
    assert isinstance(truth, dict)
    for name in names:
        if name in truth:
            check_close(name, np.asarray(truth[name]), found[spelled[name]])
    original = run_file(proto.SerializeToString(), feeds)
    outputs = [value.name for value in proto.graph.output]
    for name, expected in zip(outputs, original, strict=True):
        assert is_bit_equal(expected, found[name]), f"output {name!r} is not bit-equal"
    return names


def check_close(name: str, expected: Array, got: Array, *, coarsest: str = "float64") -> None:
    """Raise AssertionError if an array is further from another than rounding explains.

    What a tensor is computed from may be of a coarser type than the tensor.
    """
    assert got.shape == expected.shape, f"{name!r} has shape {got.shape}, not {expected.shape}"
    if expected.dtype.kind not in "fV":
        assert np.array_equal(got, expected), f"{name!r} differs"
        return
    truth, values = expected.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(truth)
    assert np.array_equal(truth[~finite], values[~finite], equal_nan=True), f"{name!r} differs"
    largest = np.abs(truth[finite]).max(initial=0.0)
    kinds = (str(expected.dtype), coarsest)
    allowed = max(TOLERANCES.get(kind, 1e-2) for kind in kinds) * (1 + largest)
    gap = np.abs(values[finite] - truth[finite]).max(initial=0.0)
    assert gap <= allowed, f"{name!r} is off by {gap:.3g}"


def is_bit_equal(first: object, second: object) -> bool:
    """Tell whether two outputs hold the same bits, NaN and signed zeros included."""
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(is_bit_equal, first, second))
    if not isinstance(first, np.ndarray) or not isinstance(second, np.ndarray):
        return bool(first == second)
    if first.dtype == object:
        return bool(np.array_equal(first, second))
    same_kind = first.dtype == second.dtype and first.shape == second.shape
    return bool(same_kind and first.tobytes() == second.tobytes())
