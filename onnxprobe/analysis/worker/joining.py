"""Releases of several tensors at a time: one tensor for each, in the model's own graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from onnxprobe.analysis.worker.study import Study
from onnxprobe.errors import DataError, RunError
from onnxprobe.graph import JointParts, expose_tensors, join_tensors, readable_names
from onnxprobe.hints import did_you_mean
from onnxprobe.runtime import Session
from onnxprobe.types import Array

__all__ = ["join_releases"]

# Samples over which the size of values is measured that each tensor is divided by.
_SAMPLES = 64


def join_releases(study: Study, groups: Sequence[Sequence[str]]) -> None:
    """Add a tensor for each group that is released together, each part divided by its own RMS.

    Noise relative to the RMS of the whole is then noise relative to the RMS of each part.

    Args:
        study: The opened model; its graphs are extended, and it knows the new tensors.
        groups: Names of tensors.

    Raises:
        DataError: If a tensor is none of the model's, or stands twice in a group.
        RunError: If the tensors cannot be run.
    """
    if not groups:
        return
    known = study.graph.producers
    for group in groups:
        for name in group:
            if name not in known:
                hint = did_you_mean(name, known)
                raise DataError(f"{name!r}, to be released with others, is no tensor{hint}")
        if len(set(group)) < len(group):
            raise DataError(f"a tensor stands twice among those released together: {list(group)}")
    names = list(dict.fromkeys(name for group in groups for name in group))
    squares, shapes = _measure(study, names)
    parts = [
        JointParts(
            tuple(group),
            tuple(squares[name] for name in group),
            all(shapes[name][:1] == (1,) for name in group),
            sum(math.prod(shapes[name]) for name in group),
        )
        for group in groups
    ]
    same = study.smooth_graph is study.graph
    graph, joints = join_tensors(study.graph, parts, study.types)
    study.smooth_graph = graph if same else join_tensors(study.smooth_graph, parts, {})[0]
    study.graph = graph
    study.joints = {joint.name: joint for joint in joints}
    study.types |= {kind.name: kind for joint in joints for kind in joint.types}


def _measure(
    study: Study, names: Sequence[str]
) -> tuple[dict[str, float], dict[str, tuple[int, ...]]]:
    """Measure RMS and shape of some tensors, sample by sample."""
    session = Session(
        expose_tensors(study.graph, names, types=study.types), study.settings, optimise=False
    )
    read_as = readable_names(study.graph, names, study.types)
    order = {kind.name: place for place, kind in enumerate(session.output_types)}
    slots = {slot.name: slot for slot in study.signature.slots}
    sums = dict.fromkeys(names, 0.0)
    counts = dict.fromkeys(names, 0)
    shapes: dict[str, tuple[int, ...]] = {}
    for index in study.samples.spread(min(_SAMPLES, study.samples.count)):
        rows = study.rows([int(index)])
        feeds = {kind.name: slots[kind.name].feed(rows[kind.name]) for kind in session.input_types}
        outputs = session.run(feeds)
        for name in names:
            value = outputs[order[read_as[name]]]
            if not _is_numeric(value):
                raise RunError(f"{name!r} holds no numbers, and cannot be released with others")
            shapes[name] = value.shape
            finite = np.nan_to_num(value.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
            sums[name] += float(np.sum(finite**2))
            counts[name] += value.size
    return {name: math.sqrt(sums[name] / max(1, counts[name])) for name in names}, shapes


def _is_numeric(value: Array | object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
