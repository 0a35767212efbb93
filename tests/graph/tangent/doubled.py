"""A copy of a model that computes in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    TensorProto,
    numpy_helper,
)

from onnxprobe.types import Array


def doubled(proto: ModelProto) -> ModelProto:
    """Copy a model in float64: stored tensors, types and what casts to float32."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    _double_graph(copy.graph)
    for function in copy.functions:
        for node in function.node:
            _double_attributes(node.attribute)
    return copy


def _double_graph(graph: GraphProto) -> None:
    for tensor in graph.initializer:
        _double_tensor(tensor)
    for value in [*graph.input, *graph.output, *graph.value_info]:
        if value.type.tensor_type.elem_type == TensorProto.FLOAT:
            value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in graph.node:
        if node.op_type == "Constant":
            for attribute in list(node.attribute):
                _double_constant(attribute)
        _double_attributes(node.attribute)
        if node.op_type == "GroupNormalization":
            node.attribute.add(name="stash_type", i=TensorProto.DOUBLE, type=AttributeProto.INT)


def _double_constant(attribute: AttributeProto) -> None:
    """Constants given as plain floats become stored tensors, which can be float64."""
    array: Array
    if attribute.name == "value_float":
        array = np.array(attribute.f, np.float64)
    elif attribute.name == "value_floats":
        array = np.array(attribute.floats, np.float64)
    else:
        return
    attribute.Clear()
    attribute.name, attribute.type = "value", AttributeProto.TENSOR
    attribute.t.CopyFrom(numpy_helper.from_array(array))


def _double_attributes(attributes: Any) -> None:
    for attribute in attributes:
        if attribute.name in ("to", "dtype", "stash_type", "output_dtype") and (
            attribute.i == TensorProto.FLOAT
        ):
            attribute.i = TensorProto.DOUBLE
        if attribute.type == AttributeProto.TENSOR:
            _double_tensor(attribute.t)
        if attribute.type == AttributeProto.GRAPH:
            _double_graph(attribute.g)


def _double_tensor(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        array = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
