"""Third-party models from some twenty exporters: admitted, rewritten, and none of them changed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from onnxprobe.errors import ModelError, RunError
from onnxprobe.graph import (
    Graph,
    catalogue,
    choose_source,
    expose_tensors,
    find_sharing,
    index_limits,
    infer_types,
    load_model,
    random_nodes,
    readable_names,
    trace,
)
from onnxprobe.types import Array
from tests.graph.checker import is_bit_equal
from tests.graph.messages import exactly
from tests.graph.models import CORPUS, run

REFUSED = "ort__gpt2_past"


def _entries() -> list[dict[str, Any]]:
    if not CORPUS.exists():
        return []
    entries: list[dict[str, Any]] = json.loads((CORPUS / "index.json").read_text())["models"]
    return entries


ENTRIES = _entries()

pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(not ENTRIES, reason=f"no third-party models at {CORPUS}"),
]


def _feeds(graph: Graph, entry: dict[str, Any]) -> dict[str, Array]:
    """Draw inputs of the shapes that are known to run."""
    rng = np.random.default_rng(0)
    low, high = entry["int_input_range"]
    feeds: dict[str, Array] = {}
    for kind in graph.inputs:
        shape = entry["run_shapes"][kind.name]
        if kind.dtype == "string":
            feeds[kind.name] = np.full(shape, "a", object)
        elif kind.dtype == "bool":
            feeds[kind.name] = np.ones(shape, bool)
        elif str(kind.dtype).startswith("float"):
            feeds[kind.name] = rng.uniform(0.1, 1.0, shape).astype(str(kind.dtype))
        else:
            feeds[kind.name] = rng.integers(low, high, shape).astype(str(kind.dtype))
        if kind.name in entry.get("fixed_values", {}):
            fixed = np.array(entry["fixed_values"][kind.name], feeds[kind.name].dtype)
            feeds[kind.name] = np.broadcast_to(fixed, shape).copy()
    return feeds


ADMITTED = [entry for entry in ENTRIES if entry["id"] != REFUSED]


@pytest.mark.parametrize("entry", ADMITTED, ids=lambda entry: entry["id"])
def test_every_tensor_is_listed_and_exposed(entry: dict[str, Any]) -> None:
    """Where ONNX Runtime runs a model, its outputs are the same bits with every tensor exposed."""
    graph = load_model(CORPUS / entry["file"])
    types = infer_types(graph)
    listed = catalogue(graph, types)
    assert len({info.name for info in listed}) == len(listed)
    known = {kind.name for kind in graph.inputs} | graph.initializers | graph.producers.keys()
    assert all(known.issuperset(info.parents) for info in listed if not info.skip)
    reached = trace(graph, [kind.name for kind in graph.inputs], types)
    assert reached.keys() >= graph.producers.keys()
    sharing = find_sharing(graph, types)
    assert graph.producers.keys() >= {*sharing.same, *sharing.same.values(), *sharing.shifted}
    source = choose_source(graph, types, None)
    assert all(name in known for name in source.names)
    assert index_limits(graph).keys() <= {kind.name for kind in graph.inputs}
    assert all(name.endswith(")") for name in random_nodes(graph))
    if entry["runs"] and not random_nodes(graph):
        _check_bits(graph, entry, [info.name for info in listed if info.skip is None])


def _check_bits(graph: Graph, entry: dict[str, Any], names: list[str]) -> None:
    feeds = _feeds(graph, entry)
    types = infer_types(graph)
    original = run(graph.original, feeds)
    inner = [name for name in names if name not in graph.outputs]
    program = expose_tensors(graph, [*graph.outputs, *inner], types=types)
    exposed = run(program, feeds)
    spelled = readable_names(graph, graph.outputs, types)
    for name, expected in original.items():
        got = exposed[spelled[name]]
        if isinstance(expected, np.ndarray) and expected.dtype == np.float16:
            # Rounded where it was not before: within 4 units in the last place.
            gap = np.abs(expected.astype(float) - got.astype(float)).max()
            assert gap <= 4 * np.spacing(np.abs(expected).max())
        else:
            assert is_bit_equal(expected, got)


def test_a_tensor_defined_twice_is_refused() -> None:
    """By two Constant nodes; the only model of the corpus that is not admitted."""
    (entry,) = [each for each in ENTRIES if each["id"] == REFUSED]
    with pytest.raises(
        ModelError,
        match=exactly(
            "tensor '284' is defined twice, and readers differ in which definition they take; "
            "export the model again"
        ),
    ):
        load_model(CORPUS / entry["file"])


def test_what_onnx_runtime_refuses_says_so_in_one_line() -> None:
    for entry in ADMITTED:
        if entry["ort_cpu_loads"]:
            continue
        graph = load_model(CORPUS / entry["file"])
        with pytest.raises(RunError, match=r"^ONNX Runtime refuses the model: [^\n\x1b]+$"):
            run(graph.original, {})


def test_all_models_were_found() -> None:
    assert len(ENTRIES) == 105
    assert sum(entry["runs"] for entry in ENTRIES) == 95
