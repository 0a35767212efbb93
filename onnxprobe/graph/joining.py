"""Several tensors as one: what is released together, side by side in one tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxprobe.graph.model import Graph
from onnxprobe.graph.names import FreshNames
from onnxprobe.types import TensorType

__all__ = ["Joint", "JointParts", "join_tensors"]


@dataclass(frozen=True)
class JointParts:
    """Tensors that are released together.

    Attributes:
        tensors: Their names.
        scales: By which each is divided, such as its RMS.
        by_rows: Whether the first axis of each counts samples, so that rows can be put side by
            side; else all of their elements are.
        size: Elements of all of them for one sample.
    """

    tensors: tuple[str, ...]
    scales: tuple[float, ...]
    by_rows: bool
    size: int


@dataclass(frozen=True)
class Joint:
    """A tensor that stands for several.

    Attributes:
        name: Its name.
        tensors: Those it stands for.
        types: Its type, and those of tensors that were needed on the way.
    """

    name: str
    tensors: tuple[str, ...]
    types: tuple[TensorType, ...]


def join_tensors(
    graph: Graph, groups: Sequence[JointParts], types: Mapping[str, TensorType]
) -> tuple[Graph, tuple[Joint, ...]]:
    """Add a tensor to a graph for each group: its parts in float32, scaled, side by side.

    Args:
        graph: The model; it is left as it is.
        groups: Tensors of the main graph.
        types: Types of tensors, as far as they are known.

    Returns:
        The graph with nodes behind its own, and the new tensors; their names are the same for
        every graph with the same names in it.
    """
    proto = ModelProto()
    proto.CopyFrom(graph.proto)
    fresh = FreshNames(graph.names)
    joints = []
    for number, group in enumerate(groups, 1):
        label = f"onnxprobe@joint{number}"
        rows, made = [], []
        for place, (tensor, scale) in enumerate(zip(group.tensors, group.scales, strict=True)):
            real, factor, scaled, row = (
                fresh.name(f"{label}/{what}{place}") for what in ("real", "factor", "scaled", "row")
            )
            value = np.array(1 / scale if scale > 0 else 1.0, np.float32)
            proto.graph.initializer.append(numpy_helper.from_array(value, factor))
            proto.graph.node.extend([
                helper.make_node("Cast", [tensor], [real], to=TensorProto.FLOAT),
                helper.make_node("Mul", [real, factor], [scaled]),
                helper.make_node("Flatten", [scaled], [row], axis=int(group.by_rows)),
            ])
            shape = types[tensor].shape if tensor in types else None
            made += [TensorType(each, "float32", shape) for each in (real, scaled)]
            made.append(TensorType(row, "float32", (None, None)))
            rows.append(row)
        name = fresh.name(label)
        proto.graph.node.append(helper.make_node("Concat", rows, [name], name=label, axis=1))
        own = TensorType(name, "float32", (None, group.size))
        joints.append(Joint(name, group.tensors, (own, *made)))
    return replace(graph, proto=proto), tuple(joints)
