"""Integer operators whose sums of products some processors cannot hold."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from onnxprobe.graph import walk
from onnxprobe.graph.model import Graph
from onnxprobe.types import Array, Program

__all__ = ["int8_products", "integer_canary"]

# Operators that multiply 8-bit integers, with the places of the factor that is mostly a weight.
_WEIGHTS = {
    "ConvInteger": 1,
    "MatMulInteger": 1,
    "QLinearConv": 3,
    "QLinearMatMul": 3,
    "com.microsoft.DynamicQuantizeMatMul": 1,
    "com.microsoft.MatMulIntegerToFloat": 1,
    "com.microsoft.QAttention": 1,
    "com.microsoft.QGemm": 3,
}
SIZE = 64


def int8_products(graph: Graph) -> int:
    """Count the nodes that multiply unsigned integers by int8 weights.

    Args:
        graph: The model.

    Returns:
        How many nodes of the main graph may saturate on x86 processors without VNNI instructions.
    """
    count = 0
    for node in graph.proto.graph.node:
        place = _WEIGHTS.get(walk.operator_name(node))
        if place is not None and place < len(node.input):
            kind = graph.stored_type(node.input[place])
            count += kind is not None and kind.dtype == "int8"
    return count


def integer_canary() -> tuple[Program, dict[str, Array], int]:
    """Build a product of the largest uint8 and int8 numbers.

    Returns:
        A program with output ``y``, int32 of shape (1, 1); its inputs by name; the exact result.
    """
    x = np.full((1, SIZE), 255, np.uint8)
    weight = np.full((SIZE, 1), 127, np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "integer canary",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 1])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return Program(model.SerializeToString(), {}), {"x": x}, SIZE * 255 * 127
