"""Answering ``expose`` and ``inspect``: rewriting and listing without measuring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnxprobe.analysis.worker.description import unmoved
from onnxprobe.analysis.worker.opening import ModelFile, open_graph
from onnxprobe.errors import RunError
from onnxprobe.graph import (
    Graph,
    Reach,
    catalogue,
    expose_all,
    expose_tensors,
    infer_types,
    trace,
    write_model,
)
from onnxprobe.runtime import Session, Settings
from onnxprobe.types import TensorType

__all__ = ["expose_model", "inspect_model"]


def expose_model(
    file: ModelFile, out: Path, data_name: str, data_out: Path, *, allow_links: bool
) -> dict[str, Any]:
    """Write a model whose every intermediate tensor is an output.

    Args:
        file: Where the model comes from.
        out: Where to write it.
        data_name: How the model refers to a file of weights, where one file does not hold them.
        data_out: Where to write that file.
        allow_links: Whether external data may be reached through links.

    Returns:
        Counts of outputs, of tensors left out by reason, and of bytes beside the model.
    """
    graph = open_graph(file, allow_links=allow_links)
    types = _types(graph)
    proto = expose_all(graph, types)
    exposed = {value.name for value in proto.graph.output}
    left_out = {
        info.name: info.skip for info in catalogue(graph, types) if info.name not in exposed
    }
    written = write_model(proto, graph.weights, out, data_name, data_out)
    return {
        "outputs": len(proto.graph.output),
        "before": len(graph.outputs),
        "left_out": left_out,
        "data_bytes": written,
        "files": [each.name for each in graph.files[1:]],
    }


def inspect_model(file: ModelFile, *, allow_links: bool) -> dict[str, Any]:
    """List a model's inputs, outputs and tensors.

    Args:
        file: Where the model comes from.
        allow_links: Whether external data may be reached through links.

    Returns:
        Plain data, as the command prints it.
    """
    graph = open_graph(file, allow_links=allow_links)
    types = _types(graph)
    fed = trace(graph, [kind.name for kind in graph.inputs], types)
    tensors = []
    for info in catalogue(graph, types):
        is_main = info.name in graph.producers
        reason = unmoved(fed.get(info.name, Reach.NONE)) if is_main else None
        tensors.append({
            **_plain(info.type),
            "name": info.name,
            "op_type": info.op_type,
            "node": info.node,
            "is_output": info.is_output,
            "skip": info.skip or reason,
        })
    kinds = {**types, **{kind.name: kind for kind in graph.inputs}}
    return {
        "name": file.name,
        "sha256": graph.files[0].sha256,
        "producer": f"{graph.proto.producer_name} {graph.proto.producer_version}".strip(),
        "ir_version": graph.proto.ir_version,
        "opsets": graph.opsets,
        "local_functions": graph.local_functions,
        "inputs": [_plain(kind) for kind in graph.inputs],
        "outputs": [
            _plain(kinds.get(name, TensorType(name, None, None))) for name in graph.outputs
        ],
        "tensors": tensors,
    }


def _types(graph: Graph) -> dict[str, TensorType]:
    """Infer types, and ask the runtime for what inference leaves open, where it takes the model."""
    types = infer_types(graph)
    names = [
        info.name
        for info in catalogue(graph, types)
        if info.skip is None and info.type.dtype is None
    ]
    try:
        session = Session(expose_tensors(graph, names), Settings(), optimise=False)
    except RunError:
        return types
    known = {kind.name: kind for kind in session.output_types}
    return types | {name: known[name] for name in names if name in known}


def _plain(kind: TensorType) -> dict[str, Any]:
    return {
        "name": kind.name,
        "dtype": kind.dtype or (kind.kind if kind.kind != "tensor" else None),
        "shape": None if kind.shape is None else list(kind.shape),
    }
