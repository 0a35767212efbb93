"""Half precision to float32, so that derivatives are not drowned in the rounding of 10 bits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, numpy_helper

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import HALF_TYPES, dtype_name
from onnxprobe.graph.model import Graph

__all__ = ["has_half_precision", "upcast_graph"]

# Attributes whose integer is an element type.
_TYPE_ATTRIBUTES = frozenset(
    {"dtype", "output_datatype", "output_dtype", "precision", "softmax_precision", "stash_type",
     "to"}
)  # fmt: skip


def has_half_precision(graph: Graph) -> bool:
    """Tell whether any stored, declared or cast value is float16 or bfloat16.

    Args:
        graph: The model.

    Returns:
        True if `upcast_graph` would change something.
    """
    proto = graph.proto
    stored = any(_is_half(tensor.data_type) for tensor, _ in walk.tensors(proto))
    declared = any(_is_half(kind.elem_type) for kind in walk.tensor_types(proto))
    return stored or declared or any(_half_attributes(proto))


def upcast_graph(graph: Graph) -> Graph:
    """Compute in float32 what a model computes in float16 or bfloat16.

    Args:
        graph: The model; it is left as it is.

    Returns:
        The same graph with every half-precision weight, input, output, cast and attribute in
        float32. Names stay, so a tensor of one graph is found in the other.
    """
    proto = ModelProto()
    proto.CopyFrom(graph.proto)
    weights = dict(graph.weights)
    for tensor, is_initializer in walk.tensors(proto):
        if not _is_half(tensor.data_type):
            continue
        # An emptied initializer may share its name with a tensor inside a body.
        if is_initializer and tensor.name in weights:
            weights[tensor.name] = weights[tensor.name].astype(np.float32)
            weights[tensor.name].flags.writeable = False
            tensor.data_type = TensorProto.FLOAT
        else:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for kind in walk.tensor_types(proto):
        if _is_half(kind.elem_type):
            kind.elem_type = TensorProto.FLOAT
    for attribute in _half_attributes(proto):
        attribute.i = TensorProto.FLOAT
    return replace(graph, proto=proto, weights=weights)


def _is_half(element_type: int) -> bool:
    return dtype_name(element_type) in HALF_TYPES


def _half_attributes(proto: ModelProto) -> Iterator[AttributeProto]:
    for node in walk.nodes(proto):
        for attribute in node.attribute:
            named = attribute.name in _TYPE_ATTRIBUTES and attribute.type == AttributeProto.INT
            if named and _is_half(attribute.i):
                yield attribute
