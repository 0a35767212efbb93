"""Operators that ONNX Runtime's optimiser fuses, written as what they were fused from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from onnxprobe.graph.flow import ROUNDING_OPERATORS
from onnxprobe.graph.rounding import multiplies_rounded
from onnxprobe.graph.tangent.activations import activate
from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.lifting import lifted_linear
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.normalisation import normalised
from onnxprobe.graph.tangent.registry import (
    MICROSOFT,
    Expansions,
    NoRuleError,
    NotDifferentiableError,
    Result,
    Rules,
)

__all__ = ["activated", "kept_attributes", "refuse_outputs", "register"]

_ROUNDS = "it rounds what it multiplies to integers"
_EPSILON, _SKIP_EPSILON = 1e-5, 1e-12


def refuse_outputs(node: Node, *places: int) -> None:
    """Leave the expansion if one of these outputs is taken.

    Args:
        node: A node.
        *places: Outputs that the expansion does not write.

    Raises:
        NoRuleError: If the model takes one.
    """
    taken = node.proto.output
    for place in places:
        if place < len(taken) and taken[place]:
            raise NoRuleError(f"no rule for output {place} of {node.proto.op_type}")


def activated(e: Emitter, x: Value, name: str | None, given: Sequence[float | None]) -> Value:
    """Apply a fused activation function.

    Args:
        e: Where nodes go.
        x: A value.
        name: The function; none if empty.
        given: Its parameters; those that are ``None`` have their default.

    Returns:
        The result.
    """
    if not name or name == "Identity":
        return x
    if name == "Clip":
        low, high = (*given, None, None)[:2]
        if e.opset < 11:
            return e.op("Clip", x, min=low, max=high)
        bounds = [None if each is None else e.scalar(each, x.dtype) for each in (low, high)]
        (clipped,) = e.node("Clip", [x, *bounds])
        return Value(e, clipped, x.dtype)
    return activate(e, x, name, given)


def kept_attributes(node: Node, *dropped: str) -> dict[str, Any]:
    """Return a node's attributes but for some, as `Emitter.node` takes them."""
    return {each.name: each for each in node.proto.attribute if each.name not in dropped}


def _fused_conv(node: Node) -> list[Value | None]:
    """Conv, then the sum with Z, then the activation."""
    e = node.e
    inputs = [node.x(place) if node.has(place) else None for place in range(3)]
    (name,) = e.node("Conv", inputs, **kept_attributes(node, "activation", "activation_params"))
    result = Value(e, name, node.x().dtype)
    if node.has(3):
        result = result + node.x(3)
    return [activated(e, result, node.attr("activation"), node.attr("activation_params", []))]


def _fused_gemm(node: Node) -> list[Value | None]:
    e = node.e
    inputs = [node.x(place) if node.has(place) else None for place in range(3)]
    if inputs[2] is None and e.opset < 11:
        inputs[2] = e.scalar(0, node.x().dtype)
    names = ("activation", *(f"activation_{each}" for each in ("alpha", "beta", "gamma")))
    (name,) = e.node("Gemm", inputs, **kept_attributes(node, *names))
    given = [node.attr("activation_alpha"), node.attr("activation_beta")]
    return [activated(e, Value(e, name, node.x().dtype), node.attr("activation"), given)]


def _fused_matmul(node: Node) -> list[Value | None]:
    """MatMul of operands with axes moved, where the rule for the operator itself does not reach."""
    e, factors = node.e, []
    for place, letter in enumerate("AB"):
        rank = node.rank(place)
        order = list(range(rank))
        if rank > 2 and node.attr(f"transBatch{letter}", 0):
            order = [*order[1:-1], 0, rank - 1]
        if rank > 1 and node.attr(f"trans{letter}", 0):
            order[-2:] = order[:-3:-1]
        factors.append(e.transpose(node.x(place), order))
    return [e.op("MatMul", *factors) * node.attr("alpha", 1.0)]


def _simplified_layer_norm(node: Node) -> list[Value | None]:
    first = node.attr("axis", -1) % node.rank()
    axes = list(range(first, node.rank()))
    epsilon = node.attr("epsilon", _EPSILON)
    result, inverse = normalised(node.e, node.x(), axes, epsilon, centre=False)
    return [result * node.x(1), inverse]


def _skip_layer_norm(*, centre: bool) -> Callable[[Node], list[Value | None]]:
    """SkipLayerNormalization has a shift in front of its bias, the simplified one has none."""
    shift, bias = (3, 4) if centre else (None, 3)

    def expand(node: Node) -> list[Value | None]:
        refuse_outputs(node, 1, 2)
        whole = node.x(0) + node.x(1)
        if node.has(bias):
            whole = whole + node.x(bias)
        epsilon = node.attr("epsilon", _SKIP_EPSILON)
        result, _ = normalised(node.e, whole, [node.rank() - 1], epsilon, centre=centre)
        result = result * node.x(2)
        if shift is not None and node.has(shift):
            result = result + node.x(shift)
        return [result, None, None, whole]

    return expand


def _gelu(e: Emitter, x: Value) -> Value:
    return x * (e.op("Erf", x * math.sqrt(0.5)) + 1.0) * 0.5


def _bias_split_gelu(node: Node) -> list[Value | None]:
    e, whole = node.e, node.x(0) + node.x(1)
    axis = node.rank() - 1
    size = node.shape()[axis]
    if size is None:
        raise NoRuleError("the number of channels is not known")
    left, right = e.slice(whole, 0, size // 2, axis), e.slice(whole, size // 2, size, axis)
    return [left * _gelu(e, right)]


def _bias_add(node: Node) -> list[Value | None]:
    return [node.x(0) + node.x(1) + node.x(2)]


def _group_norm(node: Node) -> list[Value | None]:
    return [_grouped(node, node.x())]


def _skip_group_norm(node: Node) -> list[Value | None]:
    e, last = node.e, node.attr("channels_last", 1)
    if not last:
        raise NoRuleError("SkipGroupNorm with channels first")
    skip = node.x(3)
    if node.rank(3) == 2:
        skip = e.unsqueeze(skip, [1, 2])
    whole = node.x() + skip
    if node.has(4):
        whole = whole + node.x(4)
    return [_grouped(node, whole), whole]


def _grouped(node: Node, x: Value) -> Value:
    """Normalise each group of channels, which stand last if nothing else is said."""
    e, groups = node.e, node.attr("groups")
    epsilon = node.attr("epsilon", _EPSILON)
    scale, shift = node.x(1), node.x(2)
    rank = node.rank()
    if node.attr("channels_last", 1):
        parts = e.reshape(x, [*[0] * (rank - 1), groups, -1])
        axes = [*range(1, rank - 1), rank]
    else:
        parts, axes = e.reshape(x, [0, groups, -1]), [2]
        scale, shift = (e.unsqueeze(each, list(range(1, rank - 1))) for each in (scale, shift))
    result, _ = normalised(e, parts, axes, epsilon)
    result = e.reshape(result, node.sizes()) * scale.cast(x.dtype) + shift.cast(x.dtype)
    return result * e.op("Sigmoid", result) if node.attr("activation", 0) else result


def _matmul_bits(node: Node) -> Sequence[Result]:
    """A product with packed integer weights: linear, without the bias, in what they multiply."""
    node.only(0)
    if multiplies_rounded(node.proto):
        if not node.scope.straight_through:
            raise NotDifferentiableError(_ROUNDS)
        node.scope.outcome.straight.append(node.proto.name or node.proto.output[0])
    names = [*node.proto.input[1:5]]
    # Otherwise the tangent might be rounded to eight bits.
    kept = kept_attributes(node, "accuracy_level")
    (made,) = node.e.node(
        node.proto.op_type, [node.t(), *names], domain=node.proto.domain, accuracy_level=1, **kept
    )
    return [Value(node.e, made, node.t().dtype)]


def _matmul_floats(node: Node) -> Sequence[Result]:
    """A product with weights of four bits, which only their codes and scales tell."""
    node.only(0)
    return [node.linear(node.t())]


ROUNDING = " ".join(sorted(each.rsplit(".", 1)[1] for each in ROUNDING_OPERATORS))


def _refuse_rounding(_: Node) -> Sequence[Result]:
    raise NotDifferentiableError(_ROUNDS)


def _linear(*places: int) -> Callable[[Node], Sequence[Result]]:
    return lambda node: [lifted_linear(node, *places)]


def register(rules: Rules, expansions: Expansions) -> None:
    """Add these rules and expansions to tables.

    Args:
        rules: Where rules go.
        expansions: Where expansions go.
    """
    rules.add("MatMulNBits", _matmul_bits, domain=MICROSOFT)
    rules.add("MatMulBnb4 MatMulFpQ4", _matmul_floats, domain=MICROSOFT)
    rules.add(ROUNDING, _refuse_rounding, domain=MICROSOFT)
    rules.add("GatherND GridSample Trilu UnfoldTensor", _linear(0), domain=MICROSOFT)
    for operator, expansion in {
        "BiasAdd": _bias_add,
        "BiasSplitGelu": _bias_split_gelu,
        "FusedConv": _fused_conv,
        "FusedGemm": _fused_gemm,
        "FusedMatMul TransposeMatMul": _fused_matmul,
        "GroupNorm": _group_norm,
        "SimplifiedLayerNormalization": _simplified_layer_norm,
        "SkipGroupNorm": _skip_group_norm,
        "SkipLayerNormalization": _skip_layer_norm(centre=True),
        "SkipSimplifiedLayerNormalization": _skip_layer_norm(centre=False),
    }.items():
        expansions.add(operator, expansion, domain=MICROSOFT)
    # ONNX Runtime keeps this one in ONNX's own domain.
    expansions.add("SimplifiedLayerNormalization", _simplified_layer_norm, undefined=True)
