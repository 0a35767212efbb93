"""Derivatives of sequences and optional values: they hold the tangents of what they hold."""

from __future__ import annotations

from collections.abc import Sequence

from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import Result, Rules

__all__ = ["register"]


def _construct(node: Node) -> Sequence[Result]:
    parts = [node.filled(place) for place in range(len(node.proto.input))]
    return [node.e.op("SequenceConstruct", *parts)]


def _same(node: Node) -> Sequence[Result]:
    """What is counted, wrapped or unwrapped is not looked at."""
    return [node.linear(node.t())]


def _insert(node: Node) -> Sequence[Result]:
    (name,) = node.repeat({0: node.filled(0), 1: node.filled(1)})
    return [Value(node.e, name, node.x(1).dtype)]


def _split(node: Node) -> Sequence[Result]:
    node.only(0)
    return [node.linear(node.t(), axis=node.axis(node.attr("axis", 0)))]


def _concat(node: Node) -> Sequence[Result]:
    rank = len(node.out_shape)
    return [node.linear(node.t(), axis=node.axis(node.attr("axis"), rank))]


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("SequenceConstruct", _construct)
    table.add("SequenceAt SequenceErase Optional OptionalGetElement", _same)
    table.add("SequenceInsert", _insert)
    table.add("SplitToSequence", _split)
    table.add("ConcatFromSequence", _concat)
