"""Run as a program, exposes every tensor of onnx's own node models and compares.

Prints a line of JSON per model before it is touched, and one with what was found after it, so that
whoever started it sees where native code died. Arguments: the index of the first model, and how far
it is to the next.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

import numpy as np
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator

from onnxprobe.errors import RunError
from onnxprobe.graph import (
    Graph,
    catalogue,
    expose_all,
    expose_tensors,
    has_half_precision,
    infer_types,
    readable_names,
)
from onnxprobe.types import Array, Program
from tests.graph.checker import check_close, is_bit_equal
from tests.graph.models import opened, run, session

Outputs = dict[str, Any]


def examine(proto: ModelProto, arrays: list[Any]) -> dict[str, Any]:
    """Expose every tensor of a model, and say what came of it."""
    graph = opened(proto)
    feeds = {
        kind.name: np.asarray(array) if isinstance(array, np.generic) else array
        for kind, array in zip(graph.inputs, arrays, strict=False)
    }
    try:
        made = session(graph.original)
        original = dict(zip([k.name for k in made.output_types], made.run(feeds), strict=True))
    except RunError as error:
        return {"outcome": "does not run", "reason": str(error)}
    types = infer_types(graph)
    listed = catalogue(graph, types)
    names = [info.name for info in listed if info.skip is None]
    inner = [name for name in names if name not in graph.outputs]
    found: dict[str, Any] = {
        "outcome": "runs",
        "tensors": len(inner),
        "skipped": sum(info.skip is not None for info in listed),
        "listed": len(listed),
    }
    if not inner:
        return found
    spelled = readable_names(graph, [*graph.outputs, *inner], types)
    exposed = run(expose_tensors(graph, [*graph.outputs, *inner], types=types), feeds)
    whole = run(Program(expose_all(graph, types).SerializeToString(), graph.weights), feeds)
    found["reference"] = _compare(graph, proto, feeds, {n: exposed[spelled[n]] for n in inner})
    for name, expected in original.items():
        got = exposed[spelled[name]]
        cast = name != spelled[name]
        if not is_bit_equal(expected, whole[name]) or not (cast or is_bit_equal(expected, got)):
            found.setdefault("moved", {})[name] = [str(expected.dtype), _ulps(expected, got)]
    return found


def _compare(graph: Graph, proto: ModelProto, feeds: dict[str, Array], values: Outputs) -> str:
    try:
        truth = ReferenceEvaluator(proto).run(None, feeds, intermediate=True)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        return f"no reference: {type(error).__name__}"
    assert isinstance(truth, dict)
    coarsest = "float16" if has_half_precision(graph) else "float32"
    for name, value in values.items():
        if name in graph.producers and name in truth:
            check_close(name, np.asarray(truth[name]), value, coarsest=coarsest)
    return "agrees"


def _ulps(expected: Array, got: Array) -> float:
    """Measure in units of the type's precision at the largest element."""
    a, b = expected.astype(np.float64), got.astype(np.float64)
    unit = float(np.spacing(np.abs(expected).max()))
    return float(np.abs(a - b).max() / unit)


def main(first: int, step: int) -> None:
    """Examine every model from the first on."""
    # The models are computed with numpy, which warns of what they are meant to show.
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases

    cases = collect_testcases(None)
    for index in range(first, len(cases), step):
        case = cases[index]
        _say(index=index, name=case.name)
        assert case.model is not None
        assert case.data_sets is not None
        found = examine(case.model, list(case.data_sets[0][0]))
        _say(index=index, **found)


def _say(**line: object) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
