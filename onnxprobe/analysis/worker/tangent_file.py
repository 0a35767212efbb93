"""Answering ``derive``: the tangent model as a file of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnxprobe.analysis.worker.opening import ModelFile, open_graph
from onnxprobe.analysis.worker.ranks import known_types
from onnxprobe.errors import DataError, ModelError, RunError
from onnxprobe.graph import (
    REAL_TYPES,
    Differentiated,
    Graph,
    Reach,
    choose_source,
    differentiate,
    fix_sizes,
    has_half_precision,
    rounding_nodes,
    source_inputs,
    trace,
    upcast_graph,
    write_model,
)
from onnxprobe.hints import did_you_mean
from onnxprobe.inputs import set_dimensions
from onnxprobe.runtime import Session, Settings
from onnxprobe.types import Program, TensorType

__all__ = ["derive_model"]

# Metadata entries of a derived model are JSON, under names that begin so.
PREFIX = "onnxprobe."


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
        Names of the tangents' inputs and outputs; nodes differentiated numerically and tangents
        that are zero, with the reasons; nodes at which rounding ends a derivative; ranks that only
        the model's declarations or a run told; why the runtime refuses the model, if it does; and
        bytes beside the model.

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
    types, assumed = known_types(file, graph, sizes, allow_links=allow_links)
    _check_tensors(graph, types, tensors)
    sources = _sources(graph, types, wrt)
    wanted = list(dict.fromkeys(tensors)) or _float_outputs(graph, types)
    derived = differentiate(
        graph, types, sources, wanted, straight_through=straight_through, assumed_ranks=assumed
    )
    _check_derived(graph, derived, wanted)
    refusal = _refusal(graph, derived)
    _describe(derived)
    written = write_model(derived.proto, derived.weights, out, data_name, data_out)
    numerical = derived.outcome.numerical
    reached = trace(graph, sources, types, straight_through=straight_through)
    return {
        "sources": derived.sources,
        "tangents": derived.tangents,
        "numerical": [f"{each.node} ({each.operator}): {each.reason}" for each in numerical],
        "zero": _zeros(derived, reached),
        "rounding": [] if straight_through else list(rounding_nodes(graph, reached)),
        "assumed_ranks": derived.outcome.assumed,
        "refusal": refusal,
        "data_bytes": written,
        "files": [each.name for each in graph.files[1:]],
    }


def _check_derived(graph: Graph, derived: Differentiated, wanted: Sequence[str]) -> None:
    """Refuse to write a file without a tangent that was asked for."""
    is_open = any(not isinstance(size, int) for kind in graph.inputs for size in kind.shape or ())
    for name in wanted:
        if name in derived.outcome.failed:
            reason = derived.outcome.failed[name]
            helps = is_open and "the rank of" in reason
            unknown = "fix open sizes with --set, or " if helps else ""
            raise ModelError(
                f"the derivative of {name!r} cannot be computed: {reason}; {unknown}name tensors "
                "in front of that node with --tensors"
            )


def _refusal(graph: Graph, derived: Differentiated) -> str | None:
    """Open what was derived; tell why the runtime refuses it, if it refuses the model as well."""
    settings = Settings()
    try:
        program = Program(derived.proto.SerializeToString(), derived.weights)
        Session(program, settings, optimise=True)
    except RunError as error:
        try:
            original = Program(graph.proto.SerializeToString(), graph.weights)
            Session(original, settings, optimise=True)
        except RunError as own:
            return str(own)
        raise ModelError(
            f"ONNX Runtime runs the model, but not what is derived from it ({error}); name "
            "tensors in front of that node with --tensors"
        ) from error
    return None


def _zeros(derived: Differentiated, reached: Mapping[str, Reach]) -> dict[str, str]:
    """Tell why derivatives are identically zero, by tensor."""
    moved = {*derived.outcome.depths, *derived.sources}
    why = {
        Reach.NONE: "no source reaches it",
        Reach.SHAPE: "only the shape of a source reaches it",
    }
    steps = "it moves in steps, so its derivative is zero wherever there is one"
    still = [name for name in derived.tangents if name not in moved]
    return {name: why.get(reached.get(name, Reach.NONE), steps) for name in still}


def _describe(derived: Differentiated) -> None:
    """Say in the metadata of a derived model what its tangents are, and what is not exact."""
    outcome = derived.outcome
    said: dict[str, Any] = {
        "sources": derived.sources,
        "tangents": derived.tangents,
        "numerical_nodes": [each.node for each in outcome.numerical],
        "straight_through": outcome.straight,
        "assumed_ranks": outcome.assumed,
    }
    entries = derived.proto.metadata_props
    for place in reversed(range(len(entries))):
        if entries[place].key.startswith(PREFIX):
            del entries[place]
    for key, content in said.items():
        if not content and key != "numerical_nodes":
            continue
        entries.add(key=f"{PREFIX}{key}", value=json.dumps(content))


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
            if graph.stored_type(name) is not None:
                raise DataError(
                    f"--tensors names {name!r}, which is a weight stored in the model: nothing "
                    "moves it; name tensors that are computed (onnxprobe inspect lists them)"
                )
            hint = did_you_mean(name, graph.producers)
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
