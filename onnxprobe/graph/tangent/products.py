"""Derivatives of products and convolutions: linear in each factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.lifting import lifted_linear, over_directions
from onnxprobe.graph.tangent.node import Node, total
from onnxprobe.graph.tangent.registry import MICROSOFT, NoRuleError, Result, Rules
from onnxprobe.graph.tangent.scope import Folded

__all__ = ["convolution", "register"]


def _matrix(node: Node, index: int, rank: int) -> tuple[Value, Value | None]:
    """Return a factor and its tangent as matrices, the tangent aligned to a rank."""
    e, own = node.e, node.rank(index)
    value, tangent = node.x(index), node.t(index) if node.active(index) else None
    if own == 1:
        # A vector is a row on the left and a column on the right.
        value = e.unsqueeze(value, [0 if index == 0 else 1])
        if tangent is not None:
            tangent = e.unsqueeze(tangent, [1 if index == 0 else 2])
        own = 2
    if tangent is not None:
        tangent = e.unsqueeze(tangent, list(range(1, 1 + rank - own)))
    return value, tangent


def _matmul(node: Node) -> Sequence[Result]:
    node.only(0, 1)
    rank = max(2, node.rank(0), node.rank(1))
    first, moved_first = _matrix(node, 0, rank)
    second, moved_second = _matrix(node, 1, rank)
    terms = []
    if moved_first is not None:
        terms.append(node.e.op("MatMul", moved_first, second))
    if moved_second is not None:
        terms.append(node.e.op("MatMul", first, moved_second))
    result = total(terms)
    return [node.as_output(result) if min(node.rank(0), node.rank(1)) == 1 else result]


def _gemm(node: Node) -> Sequence[Result]:
    node.only(0, 1, 2)
    e = node.e
    alpha, beta = node.attr("alpha", 1.0), node.attr("beta", 1.0)
    turned = node.attr("transA", 0), node.attr("transB", 0)
    if node.actives == [0] and not turned[0]:
        inputs = [node.fold(0), node.x(1)]
        (name,) = e.node("Gemm", _with_bias(node, inputs), alpha=alpha, transB=turned[1])
        return [Folded(Value(e, name, inputs[0].dtype))]
    terms = []
    if node.active(0) or node.active(1):
        sides = [_side(node, place, bool(turned[place])) for place in (0, 1)]
        for place in (0, 1):
            if node.active(place):
                pair = [sides[other][other == place] for other in (0, 1)]
                terms.append(e.op("MatMul", *pair) * alpha)
    if node.active(2):
        terms.append(e.expand(node.aligned(2, 2) * beta, node.out_sizes()))
    return [total(terms)]


def _with_bias(node: Node, inputs: list[Value]) -> list[Value]:
    if node.scope.opsets.get("ai.onnx", 11) >= 11:
        return inputs
    # The third input is needed before opset 11.
    return [*inputs, node.e.scalar(0, inputs[0].dtype)]


def _side(node: Node, place: int, turned: bool) -> tuple[Value, Value]:
    """Return a factor of Gemm and its tangent (itself if it has none), transposed if asked for."""
    value = node.x(place)
    tangent = node.t(place) if node.active(place) else value
    if not turned:
        return value, tangent
    e = node.e
    return e.transpose(value, [1, 0]), (
        e.transpose(tangent, [0, 2, 1]) if node.active(place) else value
    )


def convolution(node: Node) -> Sequence[Result]:
    """Differentiate Conv or ConvTranspose; directions ride on the batch axis.

    Args:
        node: The node; its bias, if any, is one per channel.

    Returns:
        The tangent of its output.
    """
    node.only(0, 1, 2)
    e = node.e
    if node.actives == [0]:
        return [Folded(_unbiased(node, {0: node.fold(0)}))]
    terms = []
    if node.active(0):
        terms.append(node.scope.unfolded(_unbiased(node, {0: node.fold(0)}), node.y().name))
    if node.active(1):
        (moved,) = over_directions(
            [node.t(1)], lambda each: [_unbiased(node, {1: each[0]})], [node.out_shape]
        )
        terms.append(moved)
    if node.active(2):
        spatial = len(node.out_shape) - 2
        bias = e.unsqueeze(node.t(2), [1, *range(3, 3 + spatial)])
        terms.append(e.expand(bias, node.out_sizes()))
    return [total(terms)]


def _unbiased(node: Node, inputs: dict[int, Value]) -> Value:
    names = [inputs.get(place) or node.x(place) for place in (0, 1)]
    kept: dict[str, Any] = {each.name: each for each in node.proto.attribute}
    (name,) = node.e.node(node.proto.op_type, names, domain=node.proto.domain, **kept)
    return Value(node.e, name, names[0].dtype)


def _einsum(node: Node) -> Sequence[Result]:
    equation = node.attr("equation").replace(" ", "")
    letters = [each for each in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
               if each not in equation]  # fmt: skip
    if "..." in equation or not letters:
        return [lifted_linear(node, *range(len(node.proto.input)))]
    left, _, right = equation.partition("->")
    operands = left.split(",")
    if not right and "->" not in equation:
        used = left.replace(",", "")
        right = "".join(sorted({each for each in used if used.count(each) == 1}))
    terms = []
    for place in node.actives:
        marked = [
            letters[0] + each if other == place else each for other, each in enumerate(operands)
        ]
        moved = f"{','.join(marked)}->{letters[0]}{right}"
        terms.append(node.linear(node.t(place), at=place, equation=moved))
    return [total(terms)]


def _fused_matmul(node: Node) -> Sequence[Result]:
    for name in ("transBatchA", "transBatchB"):
        if node.attr(name, 0):
            raise NoRuleError(name)
    if min(node.rank(0), node.rank(1)) < 2:
        raise NoRuleError("FusedMatMul of a vector")
    rank = max(node.rank(0), node.rank(1))
    terms = [node.linear(node.aligned(place, rank), at=place) for place in node.actives]
    return [total(terms)]


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("MatMul", _matmul)
    table.add("Gemm", _gemm, since=7)
    table.add("Conv ConvTranspose", convolution)
    table.add("Einsum", _einsum)
    table.add("FusedMatMul", _fused_matmul, domain=MICROSOFT)
