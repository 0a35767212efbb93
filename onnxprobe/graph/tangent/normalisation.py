"""Derivatives of normalisations, written as simpler operators where all inputs may move."""

from __future__ import annotations

from collections.abc import Sequence

from onnxprobe.graph.tangent.elementwise import weighted
from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import Expansions, NoRuleError, Result, Rules

__all__ = ["normalised", "register"]


def _per_channel(node: Node, value: Value) -> Value:
    """Align a value of shape (C,) with a tensor of shape (N, C, ...)."""
    spatial = node.rank() - 2
    return node.e.unsqueeze(value, list(range(1, 1 + spatial)))


def _batch_factor(node: Node) -> Value:
    return node.x(1) / node.e.op("Sqrt", node.x(4) + node.attr("epsilon", 1e-5))


def _batch_norm(node: Node) -> Sequence[Result]:
    node.only(0)
    _refuse_training(node)
    return [weighted(node, {0: _per_channel(node, _batch_factor(node))})]


def _refuse_training(node: Node) -> None:
    trains = node.attr("training_mode", 0) or len([n for n in node.proto.output if n]) > 1
    if trains or node.attr("spatial", 1) == 0:
        raise NoRuleError("batch normalisation in training mode or per activation")


def _batch_norm_expansion(node: Node) -> list[Value | None]:
    if node.attr("spatial", 1) == 0:
        raise NoRuleError("batch normalisation per activation")
    e = node.e
    mean, variance = node.x(3), node.x(4)
    if node.attr("training_mode", 0):
        axes = [axis for axis in range(node.rank()) if axis != 1]
        mean = e.mean(node.x(), axes, keep=False)
        middle = node.x() - _per_channel(node, mean)
        variance = e.mean(middle * middle, axes, keep=False)
    elif len([name for name in node.proto.output if name]) > 1:
        raise NoRuleError("batch normalisation in training mode")
    factor = node.x(1) / e.op("Sqrt", variance + node.attr("epsilon", 1e-5))
    middle = node.x() - _per_channel(node, mean)
    result: list[Value | None] = [
        middle * _per_channel(node, factor) + _per_channel(node, node.x(2))
    ]
    if node.attr("training_mode", 0):
        keep = node.attr("momentum", 0.9)
        result += [
            node.x(3) * keep + mean * (1 - keep),
            node.x(4) * keep + variance * (1 - keep),
        ]
    return result


def normalised(
    e: Emitter, x: Value, axes: Sequence[int], epsilon: float, *, centre: bool = True
) -> tuple[Value, Value]:
    """Divide by the root of the mean square over axes.

    Args:
        e: Where nodes go.
        x: A value.
        axes: Axes over which the mean runs.
        epsilon: Added to the mean square.
        centre: Whether the mean is subtracted first.

    Returns:
        The result, and what it was multiplied by.
    """
    if centre:
        x = x - e.mean(x, axes)
    inverse = 1.0 / e.op("Sqrt", e.mean(x * x, axes) + epsilon)
    return x * inverse, inverse


def _instance_norm(node: Node) -> list[Value | None]:
    axes = range(2, node.rank())
    whole, _ = normalised(node.e, node.x(), axes, node.attr("epsilon", 1e-5))
    scale, shift = (_per_channel(node, node.x(place)) for place in (1, 2))
    return [whole * scale + shift]


def _mean_variance(node: Node) -> list[Value | None]:
    axes = [axis % node.rank() for axis in node.attr("axes", [0, 2, 3])]
    e, x = node.e, node.x()
    middle = x - e.mean(x, axes)
    return [middle / (e.op("Sqrt", e.mean(middle * middle, axes)) + 1e-9)]


def _lp_norm(node: Node) -> list[Value | None]:
    e, x, axis = node.e, node.x(), node.attr("axis", -1) % node.rank()
    if node.attr("p", 2) == 1:
        size = e.sum(e.op("Abs", x), [axis])
    else:
        size = e.op("Sqrt", e.sum(x * x, [axis]))
    return [x / size]


def _lrn(node: Node) -> list[Value | None]:
    """Each channel is divided by a power of the mean square of its neighbours."""
    e, x, size = node.e, node.x(), node.attr("size")
    channels = node.shape()[1]
    if channels is None:
        raise NoRuleError("the number of channels is not known")
    before, after = (size - 1) // 2, size // 2
    # Channels become a column, over which a window runs that is padded with zeros.
    columns = e.reshape(x * x, [0, 1, channels, -1])
    around = e.op(
        "AveragePool",
        columns,
        kernel_shape=[size, 1],
        pads=[before, 0, after, 0],
        count_include_pad=1,
    )
    bottom = e.reshape(around, node.sizes()) * node.attr("alpha", 1e-4) + node.attr("bias", 1.0)
    return [x / bottom ** node.attr("beta", 0.75)]


def _layer_norm(node: Node) -> list[Value | None]:
    """LayerNormalization as onnx defines it; old files use it before opset 17."""
    e, x = node.e, node.x()
    axes = range(node.attr("axis", -1) % node.rank(), node.rank())
    result, inverse = normalised(e, x, axes, node.attr("epsilon", 1e-5))
    result = result * node.x(1)
    mean = e.mean(x, axes) if any(node.proto.output[1:2]) else None
    return [result + node.x(2) if node.has(2) else result, mean, inverse]


def register(rules: Rules, expansions: Expansions) -> None:
    """Add these rules and expansions to tables.

    Args:
        rules: Where rules go.
        expansions: Where expansions go.
    """
    rules.add("BatchNormalization", _batch_norm, since=7)
    expansions.add("BatchNormalization", _batch_norm_expansion, since=7)
    expansions.add("InstanceNormalization", _instance_norm, since=6)
    expansions.add("MeanVarianceNormalization", _mean_variance)
    expansions.add("LpNormalization", _lp_norm)
    expansions.add("LRN", _lrn)
    expansions.add("LayerNormalization", _layer_norm)
