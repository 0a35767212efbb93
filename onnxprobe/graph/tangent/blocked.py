"""Operators on images whose channels lie in blocks: what ONNX Runtime makes of them on a CPU.

Their values have the shape of ordinary images, channels rounded up to whole blocks, and another
order in memory within each image. So directions may ride on the batch axis, values may be taken
element by element, and nothing may be broadcast along an axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from onnxprobe.graph.tangent.contrib import activated, kept_attributes
from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.pooling import fold_linear
from onnxprobe.graph.tangent.products import convolution
from onnxprobe.graph.tangent.registry import NCHWC, Expansions, NoRuleError, Result, Rules

__all__ = ["register"]


def _linear(node: Node) -> Sequence[Result]:
    node.only(0)
    return fold_linear(node)


def _conv(node: Node) -> Sequence[Result]:
    if node.has(3) or node.attr("activation"):
        raise NoRuleError("a fused convolution")
    if node.actives != [0]:
        raise NoRuleError("weights in blocks that move")
    return convolution(node)


def _fused_conv(node: Node) -> list[Value | None]:
    """Conv, then the sum with Z, then the activation."""
    e = node.e
    inputs = [node.x(place) if node.has(place) else None for place in range(3)]
    attributes = kept_attributes(node, "activation", "activation_params")
    (name,) = e.node("Conv", inputs, domain=NCHWC, **attributes)
    output = node.proto.output[0]
    if output in node.scope.types:
        node.scope.types[name] = replace(node.scope.types[output], name=name)
    result = Value(e, name, node.x().dtype)
    if node.has(3):
        result = result + node.x(3)
    return [activated(e, result, node.attr("activation"), node.attr("activation_params", []))]


def _unblocked(operator: str) -> Callable[[Node], list[Value | None]]:
    """Write the operator that takes ordinary images, between two that move channels."""

    def expand(node: Node) -> list[Value | None]:
        e, channels = node.e, node.shape()[1]
        if channels is None:
            raise NoRuleError("the number of channels is not known")
        dtype = node.x().dtype
        (image,) = e.node("ReorderOutput", [node.x()], domain=NCHWC, channels=channels)
        kind = node.scope.types[node.proto.input[0]]
        node.scope.types[image] = replace(kind, name=image)
        (taken,) = e.node(operator, [Value(e, image, dtype)], **kept_attributes(node))
        (result,) = e.node("ReorderInput", [Value(e, taken, dtype)], domain=NCHWC)
        return [Value(e, result, dtype)]

    return expand


def register(table: Rules, expansions: Expansions) -> None:
    """Add these rules to tables.

    Args:
        table: Where derivatives go.
        expansions: Where operators written as others go.
    """
    linear = "ReorderInput ReorderOutput AveragePool GlobalAveragePool Upsample"
    table.add(linear, _linear, domain=NCHWC)
    table.add("Conv", _conv, domain=NCHWC)
    expansions.add("Conv", _fused_conv, domain=NCHWC)
    for operator in ("MaxPool", "GlobalMaxPool"):
        expansions.add(operator, _unblocked(operator), domain=NCHWC)
