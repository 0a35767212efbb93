"""A model small enough to know by heart, run first to see what the provider really does."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from onnxprobe.types import Floats, Program

__all__ = ["canary_program", "canary_weight"]

SIZE = 64


def canary_program() -> Program:
    """Build ``y = x W``.

    Returns:
        A program with input ``x`` and output ``y``, both float32 of shape (64, 64).
    """
    shape = [SIZE, SIZE]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "canary",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [helper.make_tensor("w", TensorProto.FLOAT, shape, canary_weight().ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return Program(model.SerializeToString(), {})


def canary_weight() -> Floats:
    """Return the matrix W, whose entries need all 24 bits of a float32.

    Returns:
        Shape (64, 64).
    """
    rows, columns = np.indices((SIZE, SIZE))
    return np.sin(1.0 + rows + 0.37 * columns).astype(np.float32).astype(np.float64)
