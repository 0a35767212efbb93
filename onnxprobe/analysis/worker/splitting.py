"""Answering ``split``: what could be cut, what it costs, and two halves that equal the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from onnxprobe.analysis.worker.description import unmoved
from onnxprobe.analysis.worker.opening import ModelFile, open_graph
from onnxprobe.analysis.worker.study import Study
from onnxprobe.errors import DataError, RunError
from onnxprobe.graph import (
    Reach,
    catalogue,
    infer_types,
    multiply_adds,
    split_model,
    trace,
    write_program,
)
from onnxprobe.runtime import Session
from onnxprobe.types import Array

__all__ = ["count_costs", "describe_structure", "write_halves"]

# Samples on which the halves are held against the whole.
_SAMPLES = 8


def describe_structure(file: ModelFile, *, allow_links: bool) -> dict[str, Any]:
    """Describe what is computed from what.

    Args:
        file: Where the model comes from.
        allow_links: Whether external data may be reached through links.

    Returns:
        By tensor that values of inputs reach, what it is computed from; inputs and outputs; and
        which tensors can be sent.
    """
    graph = open_graph(file, allow_links=allow_links)
    types = infer_types(graph)
    inputs = [kind.name for kind in graph.inputs]
    fed = trace(graph, inputs, types)
    moving = {name for name in graph.producers if unmoved(fed.get(name, Reach.NONE)) is None}
    listed = [info for info in catalogue(graph, types) if info.name in moving]
    known = moving.union(inputs)
    parents = {info.name: [name for name in info.parents if name in known] for info in listed}
    candidates = [info.name for info in listed if info.skip is None]
    return {
        "parents": parents,
        "inputs": inputs,
        "outputs": list(graph.outputs),
        "candidates": candidates,
    }


def count_costs(
    file: ModelFile, shapes: Mapping[str, Sequence[int]], *, allow_links: bool
) -> dict[str, Any]:
    """Count the multiply-adds of a model's nodes.

    Args:
        file: Where the model comes from.
        shapes: Shapes of tensors for one sample.
        allow_links: Whether external data may be reached through links.

    Returns:
        A cost per node.
    """
    graph = open_graph(file, allow_links=allow_links)
    return {"nodes": [asdict(cost) for cost in multiply_adds(graph, shapes)]}


def write_halves(
    study: Study,
    cut: Sequence[str],
    outputs: Sequence[Path],
    data_names: Sequence[str],
    data_outputs: Sequence[Path],
) -> dict[str, Any]:
    """Write both halves of a model, and prove that together they equal the whole.

    Args:
        study: The opened model with its samples.
        cut: Tensors that everything passes.
        outputs: Where to write the halves.
        data_names: How each half refers to a file of weights, where one file does not hold them.
        data_outputs: Where to write these files.

    Returns:
        What is sent, on how many samples the halves were run, and bytes beside each.

    Raises:
        DataError: If it is no cut of the model.
        RunError: If the halves cannot be run, or give anything else than the whole.
    """
    kinds = {**study.types, **{kind.name: kind for kind in study.graph.inputs}}
    halves = split_model(study.graph, cut, kinds)
    whole, front, back = (
        Session(program, study.settings, optimise=False)
        for program in (study.graph.original, halves.front, halves.back)
    )
    slots = {slot.name: slot for slot in study.signature.slots}
    samples = study.samples.spread(min(_SAMPLES, study.samples.count))
    for index in samples:
        rows = study.rows([int(index)])

        def fed(session: Session, rows: Mapping[str, Array] = rows) -> dict[str, Array]:
            return {k.name: slots[k.name].feed(rows[k.name]) for k in session.input_types}

        sent = dict(zip(halves.sent, front.run(fed(front)), strict=True))
        expected = dict(
            zip([k.name for k in whole.output_types], whole.run(fed(whole)), strict=True)
        )
        read = {kind.name: sent[kind.name] for kind in back.input_types}
        given = dict(zip(halves.outputs, back.run(read), strict=True)) | sent
        for name in study.graph.outputs:
            if not _is_equal(expected[name], given[name]):
                raise RunError(
                    f"the halves give another {name!r} than the whole, at sample {index}: nothing "
                    "is written"
                )
    written = [
        write_program(program, path, name, data)
        for program, path, name, data in zip(
            (halves.front, halves.back), outputs, data_names, data_outputs, strict=True
        )
    ]
    return {
        "sent": list(halves.sent),
        "samples": len(samples),
        "data_bytes": written,
        "files": [each.name for each in study.graph.files[1:]],
    }


def _is_equal(one: Array | object, other: Array | object) -> bool:
    if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
        raise DataError("a model whose outputs are no tensors cannot be split")
    return (
        one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    )
