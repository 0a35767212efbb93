"""Derivatives of pooling and resizing, which work on images one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.lifting import lifted_linear
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import NoRuleError, NotDifferentiableError, Result, Rules
from onnxprobe.graph.tangent.scope import Folded

__all__ = ["fold_linear", "register"]


def fold_linear(node: Node) -> Sequence[Result]:
    """Differentiate what is linear in images, and treats each by itself.

    Args:
        node: The node.

    Returns:
        The tangent of its output, directions folded into the batch axis.
    """
    return [Folded(node.linear(node.fold()))]


def _max_pool(node: Node) -> Sequence[Result]:
    """Gather the tangents that stand where the maxima stand: the first ones, of several."""
    node.only(0)
    e = node.e
    # Indices are counted through the whole tensor, whatever the storage order says.
    _, places = node.repeat({}, 2, storage_order=None)
    flat = e.reshape(node.t(), [0, -1])
    picked = e.gather(flat, e.reshape(Value(e, places, "int64"), [-1]), 1)
    return [node.as_output(picked), None]


def _global_max_pool(node: Node) -> Sequence[Result]:
    rank = node.rank()
    axes = list(range(2, rank))
    hit = node.x().equals(node.y()).cast(node.x().dtype)
    share = hit / node.e.sum(hit, axes)
    return [node.e.sum(node.t() * share, [axis + 1 for axis in axes])]


def _lp_pool(node: Node) -> Sequence[Result]:
    """The p-norm over windows: a sum of t·sign(x)·|x|^(p−1), divided by y^(p−1)."""
    e, x, y = node.e, node.x(), node.y()
    power = float(node.attr("p", 2))
    weight = e.op("Sign", x) * e.op("Abs", x) ** (power - 1.0) if power > 1 else e.op("Sign", x)
    moved = node.t() * weight
    bottom = e.where(y.equals(0.0), 1.0, y) ** (power - 1.0)
    axes = list(range(2, node.rank()))
    if node.proto.op_type == "GlobalLpPool":
        return [e.sum(moved, [axis + 1 for axis in axes]) / bottom]
    window = node.attr("kernel_shape")
    shape = node.shape()
    if shape[1] is None:
        raise NoRuleError("the number of channels is not known")
    if node.attr("ceil_mode", 0):
        raise NoRuleError("LpPool with ceil_mode")
    # Sums over windows are a convolution of each channel with ones.
    kernel = e.constant(np.ones((shape[1], 1, *window), x.dtype))
    kept = {
        name: node.attr(name)
        for name in ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
    }
    scope, name = node.scope, node.proto.input[0]
    folded = scope.folded(moved, name)
    (sums,) = e.node("Conv", [folded, kernel], group=shape[1], **kept)
    return [node.as_output(Value(e, sums, x.dtype)) / bottom]


def _resize(node: Node) -> Sequence[Result]:
    """Linear in the image, whose batch axis keeps its size; the geometry is held fixed."""
    if node.active(2) or (node.active(1) and node.proto.op_type == "Upsample"):
        raise NotDifferentiableError("the scales move, and sizes with them")
    node.only(0)
    before, after = node.shape(), node.out_shape
    mode = node.attr("coordinate_transformation_mode", "half_pixel")
    if not before or before[0] is None or before[0] != after[0] or mode == "tf_crop_and_resize":
        return [lifted_linear(node, 0, extrapolation_value=None)]
    if node.attr("axes") is not None or node.has(3):
        return [lifted_linear(node, 0)]
    return fold_linear(node)


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("AveragePool", fold_linear)
    table.add("GlobalAveragePool", fold_linear)
    table.add("MaxPool", _max_pool, since=8)
    table.add("GlobalMaxPool", _global_max_pool)
    table.add("LpPool", _lp_pool, since=2)
    table.add("GlobalLpPool", _lp_pool, since=2)
    table.add("Resize Upsample", _resize)
