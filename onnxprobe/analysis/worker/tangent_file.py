"""Answering ``derive``: the tangent model as a file of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.worker.opening import ModelFile, open_graph, open_study
from onnxprobe.analysis.worker.survey import survey
from onnxprobe.errors import DataError, ModelError, OnnxProbeError
from onnxprobe.graph import (
    REAL_TYPES,
    Differentiated,
    Graph,
    choose_source,
    differentiate,
    fix_sizes,
    has_half_precision,
    infer_types,
    source_inputs,
    upcast_graph,
    write_model,
)
from onnxprobe.inputs import set_dimensions
from onnxprobe.types import TensorType

__all__ = ["NUMERICAL_NODES", "derive_model"]

# Metadata entries of a derived model: JSON lists of node names.
NUMERICAL_NODES = "onnxprobe.numerical_nodes"
STRAIGHT_THROUGH = "onnxprobe.straight_through"


def derive_model(
    file: ModelFile,
    out: Path,
    data_name: str,
    data_out: Path,
    *,
    wrt: Sequence[str],
    tensors: Sequence[str],
    sizes: Mapping[str, int],
    straight_through: bool,
    allow_links: bool,
) -> dict[str, Any]:
    """Write a model that also computes tangents.

    Args:
        file: Where the model comes from.
        out: Where to write it.
        data_name: How the model refers to a file of weights, where one file does not hold them.
        data_out: Where to write that file.
        wrt: Sources; every float input if empty.
        tensors: Whose tangents become outputs; the float outputs of the model if empty.
        sizes: Sizes of open dimensions, by symbol or ``INPUT[AXIS]``; they are fixed in the file.
        straight_through: Whether derivatives pass straight through rounding.
        allow_links: Whether external data may be reached through links.

    Returns:
        Names of the tangents' inputs and outputs, nodes differentiated numerically with the
        reasons, tensors whose rank only a run told, and bytes beside the model.

    Raises:
        DataError: If a source or tensor does not exist or is not real-valued.
        ModelError: If a wanted tangent cannot be computed.
    """
    graph = open_graph(file, allow_links=allow_links)
    if has_half_precision(graph):
        graph = upcast_graph(graph)
    fixed = set_dimensions(graph.inputs, sizes)
    if sizes:
        graph = fix_sizes(graph, {name: dims for name, dims in fixed.items() if dims})
    types = infer_types(graph, follow_shapes=True)
    seen = _ranks_by_running(file, graph, types, sizes, allow_links=allow_links)
    types |= seen
    _check_tensors(graph, types, tensors)
    sources = _sources(graph, types, wrt)
    wanted = list(tensors) or _float_outputs(graph, types)
    derived = differentiate(graph, types, sources, wanted, straight_through=straight_through)
    for name in wanted:
        if name in derived.outcome.failed:
            reason = derived.outcome.failed[name]
            unknown = "fix open sizes with --set, or " if "the rank of" in reason else ""
            raise ModelError(
                f"the derivative of {name!r} cannot be computed: {reason}; {unknown}name tensors "
                "in front of that node with --tensors"
            )
    numerical = derived.outcome.numerical
    _describe(derived)
    written = write_model(derived.proto, derived.weights, out, data_name, data_out)
    return {
        "sources": derived.sources,
        "tangents": derived.tangents,
        "numerical": [f"{each.node} ({each.operator}): {each.reason}" for each in numerical],
        "ranks_by_running": list(seen),
        "data_bytes": written,
    }


def _describe(derived: Differentiated) -> None:
    """Say in the metadata of a derived model what is not exact about it."""
    outcome = derived.outcome
    said = {NUMERICAL_NODES: [each.node for each in outcome.numerical]}
    if outcome.straight:
        said[STRAIGHT_THROUGH] = outcome.straight
    entries = derived.proto.metadata_props
    for place in reversed(range(len(entries))):
        if entries[place].key in (NUMERICAL_NODES, STRAIGHT_THROUGH):
            del entries[place]
    for key, nodes in said.items():
        entries.add(key=key, value=json.dumps(nodes))


def _sources(graph: Graph, types: dict[str, TensorType], wrt: Sequence[str]) -> list[str]:
    if not wrt:
        found = [kind.name for kind in source_inputs(graph)]
        if not found:
            raise DataError(
                "the model has no float input to differentiate by; name an inner float tensor "
                "with --wrt (onnxprobe inspect lists them)"
            )
        return found
    return [choose_source(graph, types, name).names[0] for name in dict.fromkeys(wrt)]


def _check_tensors(graph: Graph, types: dict[str, TensorType], tensors: Sequence[str]) -> None:
    known = {kind.name: kind for kind in graph.inputs} | types
    for name in tensors:
        if name not in known and name not in graph.producers:
            near = get_close_matches(name, [*graph.producers], n=3, cutoff=0.3)
            hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise DataError(
                f"--tensors names {name!r}, which is no tensor of the main graph{hint}"
                " (onnxprobe inspect lists them)"
            )
        kind = known.get(name, TensorType(name, None, None))
        if kind.dtype not in REAL_TYPES | {None} or kind.kind != "tensor":
            raise DataError(
                f"--tensors names {name!r}, whose type is {kind.dtype or kind.kind}; only float "
                "tensors have tangents"
            )


def _float_outputs(graph: Graph, types: dict[str, TensorType]) -> list[str]:
    kinds = [types.get(name, TensorType(name, None, None)) for name in graph.outputs]
    found = [each.name for each in kinds if each.kind == "tensor" and each.dtype in REAL_TYPES]
    if not found:
        raise DataError(
            "no output of the model is known to be a float tensor; name tensors with --tensors "
            "(onnxprobe inspect lists them)"
        )
    return found


def _ranks_by_running(
    file: ModelFile,
    graph: Graph,
    types: dict[str, TensorType],
    sizes: Mapping[str, int],
    *,
    allow_links: bool,
) -> dict[str, TensorType]:
    """Complete ranks that inference does not know by running the model on drawn inputs."""
    unknown = [name for name in graph.producers if name not in types or types[name].shape is None]
    unknown = [name for name in unknown if types.get(name, _TENSOR).kind == "tensor"]
    if not unknown:
        return {}
    configuration = Configuration(
        data_limit=2, samples=1, device="cpu", sizes=dict(sizes), allow_links=allow_links
    )
    try:
        study, _ = open_study(file, configuration, None, infer=True, try_first=True)
        found = survey(study, unknown)
    except OnnxProbeError:
        # What stays unknown is named where it matters.
        return {}
    return {
        layout.name: replace(
            types.get(layout.name, _TENSOR),
            name=layout.name,
            dtype="float32" if layout.dtype == "float16" else layout.dtype,
            shape=(None,) * len(layout.shape),
        )
        for layout in found.layouts
    }


_TENSOR = TensorType("", None, None)
