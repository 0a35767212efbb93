"""Multiply-adds of nodes, from the shapes of what they read and give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from onnx import NodeProto

from onnxprobe.graph import walk
from onnxprobe.graph.model import Graph

__all__ = ["Cost", "multiply_adds"]

_Shape = Sequence[int] | None

# Where the weight of a convolution stands.
_CONVOLUTIONS = {"Conv": 1, "ConvInteger": 1, "com.microsoft.FusedConv": 1, "QLinearConv": 3}
_PRODUCTS = frozenset({"MatMul", "MatMulInteger", "QLinearMatMul"})
_RECURRENT = frozenset({"RNN", "GRU", "LSTM"})
# What gives a weight in another type, and in the same shape; no exporter puts more in a row.
_KEEPING = frozenset({"DequantizeLinear", "QuantizeLinear", "Cast", "Identity"})
_MOST_KEEPING = 8
# Domains whose other operators multiply no matrices.
_PLAIN_DOMAINS = ("ai.onnx.ml.",)
# Operators that multiply matrices as well, and are not counted.
_UNCOUNTED = frozenset({"Attention", "DeformConv", "Einsum", "If", "Loop", "Scan"})


@dataclass(frozen=True)
class Cost:
    """What a node costs.

    Attributes:
        outputs: The tensors that it gives.
        operator: What it does.
        multiply_adds: How many multiply-adds for one sample; ``None`` if it is not known.
    """

    outputs: tuple[str, ...]
    operator: str
    multiply_adds: int | None


def multiply_adds(graph: Graph, shapes: Mapping[str, Sequence[int]]) -> tuple[Cost, ...]:
    """Count the multiply-adds of each node: of convolutions, matrix products and recurrences.

    Args:
        graph: The model.
        shapes: Shapes of tensors for one sample; those of weights are known.

    Returns:
        A cost per node, in order. Operators of domains that nobody here knows, with bodies of their
        own, or with matrix products that are not counted, are unknown; all others without matrix
        products cost nothing.
    """

    def shape(name: str) -> _Shape:
        for _ in range(_MOST_KEEPING):
            if name in shapes:
                return shapes[name]
            stored = graph.stored_type(name)
            if stored is not None and stored.shape is not None:
                return [size for size in stored.shape if isinstance(size, int)]
            # Stored weights are often rescaled, and keep their shape.
            index = graph.producers.get(name)
            made = None if index is None else graph.proto.graph.node[index]
            if made is None or not made.input or walk.operator_name(made) not in _KEEPING:
                return None
            name = made.input[0]
        return None

    costs = []
    for node in graph.proto.graph.node:
        operator = walk.operator_name(node)
        count = None
        if operator not in _UNCOUNTED:
            outputs = shape(node.output[0]) if node.output else None
            count = _count(node, operator, [shape(name) for name in node.input], outputs)
        costs.append(Cost(tuple(filter(None, node.output)), operator, count))
    return tuple(costs)


def _count(node: NodeProto, operator: str, read: Sequence[_Shape], given: _Shape) -> int | None:
    """Count a node; ``None`` if a shape that matters is not known."""
    if operator in _CONVOLUTIONS:
        weight = _at(read, _CONVOLUTIONS[operator])
        return None if weight is None or given is None else prod(given) * prod(weight[1:])
    if operator == "ConvTranspose":
        image, weight = _at(read, 0), _at(read, 1)
        return None if weight is None or image is None else prod(image) * prod(weight[1:])
    if operator in _PRODUCTS:
        factor = _at(read, 0)
        return None if not factor or given is None else prod(given) * factor[-1]
    if operator == "Gemm":
        factor = _at(read, 0)
        if factor is None or given is None or len(factor) not in {1, 2}:
            return None
        if len(factor) == 1:
            # One sample of an input, whose batch axis does not count.
            return prod(given) * factor[0]
        turned = any(each.name == "transA" and each.i for each in node.attribute)
        return prod(given) * factor[0 if turned else 1]
    if operator in _RECURRENT:
        steps, weight, recurrence = (_at(read, place) for place in range(3))
        if steps is None or weight is None or recurrence is None or len(steps) < 2:
            return None
        # Both hold every gate: (directions, gates·hidden, inputs) and (…, hidden).
        return steps[0] * steps[1] * (prod(weight) + prod(recurrence))
    is_foreign = "." in operator and not operator.startswith(_PLAIN_DOMAINS)
    return None if is_foreign else 0


def _at(shapes: Sequence[_Shape], place: int) -> _Shape:
    return shapes[place] if place < len(shapes) else None
