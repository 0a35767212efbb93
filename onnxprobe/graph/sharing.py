"""Tensors that must have the same measures because they hold the same numbers, moved at most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto

from onnxprobe.graph import walk
from onnxprobe.graph.flow import may_drop
from onnxprobe.graph.model import Graph
from onnxprobe.types import Array, TensorType

__all__ = ["Sharing", "find_sharing"]

# A constant as large as this is a mask, after which the summand's digits are lost.
MASKING = 1e4

# One input's numbers, all of them, in one output: only their places change.
_MOVES = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})


@dataclass(frozen=True)
class Sharing:
    """Who shares with whom.

    Attributes:
        same: For each tensor that holds another tensor's numbers, the first that held them: every
            measure is shared.
        shifted: For each tensor that is another one plus a constant, that tensor: the spectrum of
            the Jacobian is shared, and that of the centred covariance, but not RMS and what depends
            on it.
    """

    same: Mapping[str, str]
    shifted: Mapping[str, str]

    def origin(self, name: str) -> str:
        """Return the tensor that is measured in a tensor's place.

        Args:
            name: Any tensor.

        Returns:
            The first holder of its numbers; the tensor itself where it shares with none.
        """
        return self.same.get(name, name)


def find_sharing(graph: Graph, types: Mapping[str, TensorType]) -> Sharing:
    """Find the tensors of the main graph that share measures.

    Only operators whose definition guarantees it count: moves of all elements, dropout that is off,
    and the addition of a stored constant, below 10,000 everywhere, that does not change the shape.
    Per-channel factors change numerical rank and share nothing.

    Args:
        graph: The model.
        types: Known types, to see whether an addition changes the shape.

    Returns:
        The sharing between intermediate tensors; graph inputs are nobody's origin.
    """
    same: dict[str, str] = {}
    shifted: dict[str, str] = {}
    nodes = graph.proto.graph.node
    for node in (nodes[index] for index in walk.topological_order(nodes)):
        operator = walk.operator_name(node)
        if not node.input or not node.output or not node.output[0]:
            continue
        moves = operator in _MOVES or (operator == "Dropout" and not may_drop(graph, node))
        if moves and node.input[0] in graph.producers:
            same[node.output[0]] = same.get(node.input[0], node.input[0])
        for origin in _shift_origins(graph, node, types):
            shifted[node.output[0]] = origin
    return Sharing(same, shifted)


def _shift_origins(graph: Graph, node: NodeProto, types: Mapping[str, TensorType]) -> Iterator[str]:
    if walk.operator_name(node) not in ("Add", "Sub") or len(node.input) != 2:
        return
    for variable, constant in (node.input, reversed(node.input)):
        shape = types[variable].shape if variable in types else None
        stored = graph.constant(constant)
        if variable not in graph.producers or shape is None or stored is None:
            continue
        if _keeps_shape(shape, stored.shape) and _is_small(stored):
            yield variable


def _keeps_shape(shape: tuple[int | str | None, ...], added: tuple[int, ...]) -> bool:
    # Broadcasting aligns the last axes.
    aligned = zip(reversed(shape), reversed(added), strict=False)
    return len(added) <= len(shape) and all(new in (1, size) for size, new in aligned)


def _is_small(stored: Array) -> bool:
    # Masks add minus infinity, or a number so large that nothing is left of the other summand.
    return bool((np.abs(stored.astype(np.float64)) < MASKING).all())
