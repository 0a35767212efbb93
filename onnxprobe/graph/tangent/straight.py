"""Derivatives straight through rounding, which are those of a network that does not round."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from onnxprobe.graph.rounding import is_dequantiser, is_quantiser
from onnxprobe.graph.tangent.elementwise import weighted
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import NotDifferentiableError, Result
from onnxprobe.graph.tangent.scope import Scope
from onnxprobe.graph.tangent.value import Value

__all__ = ["pass_straight_through", "quantiser_of"]

# The largest numbers of small float types.
_LARGEST_FLOATS = {
    "float8e4m3fn": 448.0,
    "float8e4m3fnuz": 240.0,
    "float8e5m2": 57344.0,
    "float8e5m2fnuz": 57344.0,
    "float4e2m1": 6.0,
}


def quantiser_of(scope: Scope, node: NodeProto) -> NodeProto | None:
    """Return the node that rounded what a node turns back, if its input has a tangent.

    Args:
        scope: What is known.
        node: Any node.

    Returns:
        The QuantizeLinear in front of a DequantizeLinear; ``None`` where derivatives shall not pass
        straight through, and for other nodes.
    """
    if not scope.straight_through or not is_dequantiser(node):
        return None
    quantiser = scope.statics.producer(node.input[0])
    if quantiser is None or not is_quantiser(quantiser):
        return None
    return quantiser if quantiser.input[0] in scope.tangents else None


def pass_straight_through(scope: Scope, quantiser: NodeProto, dequantiser: NodeProto) -> Result:
    """Return the tangent of what was quantised and dequantised.

    Args:
        scope: What is known.
        quantiser: The first node.
        dequantiser: The second one, which reads its output.

    Returns:
        The tangent of the first one's input where that lies within the range of the type; elsewhere
        zero.

    Source:
        Bengio, Léonard & Courville 2013, Estimating or Propagating Gradients Through Stochastic
        Neurons; with the range of Jacob et al. 2018.
    """
    first, second = Node(quantiser, scope), Node(dequantiser, scope)
    x, low_high = first.x(), _range(scope.dtype(quantiser.output[0]))
    scale = _aligned(first, 1)
    place = x / scale
    if first.has(2):
        place = place + _aligned(first, 2).cast(x.dtype)
    inside = scope.emitter.both(place > low_high[0], place < low_high[1]).cast(x.dtype)
    factor = inside
    if quantiser.input[1] != dequantiser.input[1]:
        factor = inside * (_aligned(second, 1) / scale)
    # The pair, seen as one elementwise node.
    pair = helper.make_node("DequantizeLinear", [quantiser.input[0]], [dequantiser.output[0]])
    return weighted(Node(pair, scope), {0: factor})


def _range(dtype: str | None) -> tuple[float, float]:
    """Return the ends between which numbers are rounded to a type and not cut off."""
    if dtype in _LARGEST_FLOATS:
        return -_LARGEST_FLOATS[dtype], _LARGEST_FLOATS[dtype]
    if dtype in ("int4", "uint4"):
        low, high = (-8, 7) if dtype == "int4" else (0, 15)
    elif dtype is not None and dtype.lstrip("u").startswith("int"):
        low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    else:
        raise NotDifferentiableError(f"numbers are rounded to a type that is not known ({dtype})")
    return low - 0.5, high + 0.5


def _aligned(node: Node, place: int) -> Value:
    """Align a scale or zero point, of which there may be one for each place along an axis."""
    shape = node.shape(place)
    if not shape or shape == (1,):
        return node.e.reshape(node.x(place), []) if shape else node.x(place)
    if len(shape) > 1 or node.attr("block_size", 0):
        raise NotDifferentiableError("blocks of numbers have scales of their own")
    axis = node.attr("axis", 1) % node.rank()
    return node.e.unsqueeze(node.x(place), list(range(1, node.rank() - axis)))
