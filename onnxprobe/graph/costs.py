"""Multiply-adds of nodes, from the shapes of what they read and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from onnx import NodeProto

from onnxprobe.graph import walk
from onnxprobe.graph.model import Graph

__all__ = ["multiply_adds"]

_Shape = Sequence[int] | None

# Where the weight of a convolution, and the second factor of a product, stands.
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "com.microsoft.FusedConv": 1, "QLinearConv": 3}
_PRODUCTS = {
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "com.microsoft.FusedMatMul": (0, 1),
    "QLinearMatMul": (0, 3),
}
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
# Operators that multiply matrices as well, and are not counted.
_UNCOUNTED = frozenset({
    "Attention", "Einsum", "If", "Loop", "Scan", "com.microsoft.Attention",
    "com.microsoft.MultiHeadAttention", "com.microsoft.GroupQueryAttention",
    "com.microsoft.QAttention", "com.microsoft.MatMulNBits", "DeformConv",
})  # fmt: skip


def multiply_adds(
    graph: Graph, shapes: Mapping[str, Sequence[int]]
) -> tuple[dict[str, int], list[str]]:
    """Count the multiply-adds of each node: of convolutions, matrix products and recurrences.

    Args:
        graph: The model.
        shapes: Shapes of tensors for one sample; those of weights are known.

    Returns:
        By the first output of a node, its multiply-adds; and the operators that multiply matrices
        but were not counted, because their shapes are unknown or they run a body of their own.
    """

    def shape(name: str) -> _Shape:
        if name in shapes:
            return shapes[name]
        stored = graph.stored_type(name)
        sizes = stored.shape if stored is not None else None
        return None if sizes is None else [size for size in sizes if isinstance(size, int)]

    counts: dict[str, int] = {}
    uncounted: dict[str, None] = {}
    for node in graph.proto.graph.node:
        operator = walk.operator_name(node)
        if not node.output:
            continue
        if operator in _UNCOUNTED:
            uncounted[operator] = None
            continue
        read = [shape(name) for name in node.input]
        count = _count(node, operator, read, shape(node.output[0]))
        if count is None:
            uncounted[operator] = None
        else:
            counts[node.output[0]] = count
    return counts, list(uncounted)


def _count(node: NodeProto, operator: str, read: Sequence[_Shape], given: _Shape) -> int | None:
    """Count a node; ``None`` if a shape that matters is not known."""
    if operator in _CONVOLUTIONS:
        weight = _at(read, _CONVOLUTIONS[operator])
        return None if weight is None or given is None else prod(given) * prod(weight[1:])
    if operator == "ConvTranspose":
        image, weight = _at(read, 0), _at(read, 1)
        return None if weight is None or image is None else prod(image) * prod(weight[1:])
    if operator in _PRODUCTS:
        factor = _at(read, _PRODUCTS[operator][0])
        return None if not factor or given is None else prod(given) * factor[-1]
    if operator == "Gemm":
        factor = _at(read, 0)
        if factor is None or given is None or len(factor) != 2:
            return None
        turned = any(each.name == "transA" and each.i for each in node.attribute)
        return prod(given) * factor[0 if turned else 1]
    if operator in _GATES:
        steps, weight, recurrence = (_at(read, place) for place in range(3))
        if steps is None or weight is None or recurrence is None or len(steps) < 2:
            return None
        # Both hold every gate: (directions, gates·hidden, inputs) and (…, hidden).
        return steps[0] * steps[1] * (prod(weight) + prod(recurrence))
    return 0


def _at(shapes: Sequence[_Shape], place: int) -> _Shape:
    return shapes[place] if place < len(shapes) else None
