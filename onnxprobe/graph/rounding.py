"""Pairs of quantisation and dequantisation: rounding that derivatives may pass straight through."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from onnx import NodeProto

from onnxprobe.graph import walk
from onnxprobe.graph.model import Graph

__all__ = [
    "behind_rounding",
    "is_dequantiser",
    "is_quantiser",
    "multiplies_rounded",
    "rounded_from",
]

# Of MatMulNBits: what is multiplied is rounded to eight bits.
INT8_LEVEL = 4


def is_quantiser(node: NodeProto) -> bool:
    """Tell whether a node rounds to integers or to a small float type."""
    return walk.operator_name(node).removeprefix("com.microsoft.") == "QuantizeLinear"


def is_dequantiser(node: NodeProto) -> bool:
    """Tell whether a node turns such numbers back."""
    return walk.operator_name(node).removeprefix("com.microsoft.") == "DequantizeLinear"


def multiplies_rounded(node: NodeProto) -> bool:
    """Tell whether a node rounds what it multiplies by weights of few bits, to be faster."""
    if walk.operator_name(node) != "com.microsoft.MatMulNBits":
        return False
    return any(each.name == "accuracy_level" and each.i == INT8_LEVEL for each in node.attribute)


def rounded_from(nodes: Iterable[NodeProto]) -> dict[str, str]:
    """Find what is quantised and dequantised at once.

    Args:
        nodes: Nodes of one graph, each behind those whose outputs it reads.

    Returns:
        By output of a DequantizeLinear, the input of the QuantizeLinear that it reads.
    """
    quantised: dict[str, str] = {}
    pairs: dict[str, str] = {}
    for node in nodes:
        if is_quantiser(node) and node.input and node.output:
            quantised[node.output[0]] = node.input[0]
        elif is_dequantiser(node) and node.input and node.input[0] in quantised and node.output:
            pairs[node.output[0]] = quantised[node.input[0]]
    return pairs


def behind_rounding(graph: Graph, moved: Collection[str]) -> frozenset[str]:
    """Name the tensors that a source reaches through a pair, whatever else reaches them.

    Args:
        graph: The model.
        moved: Tensors that a source reaches smoothly, where pairs count as smooth.

    Returns:
        Outputs of pairs, and those of what is computed from them.
    """
    nodes = [graph.proto.graph.node[at] for at in walk.topological_order(graph.proto.graph.node)]
    pairs: Mapping[str, str] = rounded_from(nodes)
    found: set[str] = set()
    for node in nodes:
        if not found.isdisjoint(walk.read_names([node])):
            found.update(name for name in node.output if name in moved)
        found.update(name for name in node.output if name in pairs and pairs[name] in moved)
        if multiplies_rounded(node):
            found.update(name for name in node.output if name in moved)
    return frozenset(found)
