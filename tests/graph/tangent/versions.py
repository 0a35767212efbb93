"""Models written as an older or newer opset wants them; what they compute stays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, defs, helper, numpy_helper

from onnxprobe.graph import walk
from onnxprobe.types import Array

__all__ = ["operators", "retargeted"]

OLDEST = 9
# Inputs that were attributes once, by place.
ATTRIBUTES: dict[str, dict[int, str]] = {
    "Clip": {1: "min", 2: "max"},
    "Dropout": {1: "ratio"},
    "Pad": {1: "pads", 2: "value"},
    "Slice": {1: "starts", 2: "ends", 3: "axes"},
    "Split": {1: "split"},
    "Squeeze": {1: "axes"},
    "TopK": {1: "k"},
    "Unsqueeze": {1: "axes"},
    "Upsample": {1: "scales"},
}
SCALARS = ("k", "max", "min", "ratio", "value")


def operators(proto: ModelProto) -> set[tuple[str, str]]:
    """Name the operators of a model by domain."""
    return {(each.domain.replace("ai.onnx", "", 1) if each.domain == "ai.onnx" else each.domain,
             each.op_type) for each in walk.nodes(proto)}  # fmt: skip


def retargeted(proto: ModelProto, operator: str, version: int) -> ModelProto | None:
    """Write a model for the oldest opset in which an operator has a version.

    Args:
        proto: A model of ONNX's own operators.
        operator: One of them.
        version: Its version.

    Returns:
        A model that onnx's checker accepts; ``None`` where it cannot be written so.
    """
    copy = ModelProto()
    copy.CopyFrom(proto)
    opset = max(version, OLDEST)
    for entry in copy.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = opset
    stored = {each.name: numpy_helper.to_array(each) for each in copy.graph.initializer}
    try:
        for node in walk.nodes(copy):
            _respell(node, opset, stored)
        schema: Any = defs.get_schema(operator, opset, "")
        _drop_unread(copy)
        _check(copy, opset)
    except (ValueError, defs.SchemaError, onnx.checker.ValidationError):
        return None
    return copy if schema.since_version == version else None


def _check(copy: ModelProto, opset: int) -> None:
    if any(any(walk.body_graphs(node)) for node in copy.graph.node):
        onnx.checker.check_model(copy)
        return
    # Node by node, since models that are checked whole must declare the types of their outputs.
    context = onnx.checker.C.CheckerContext()
    context.ir_version = copy.ir_version
    context.opset_imports = {"": opset}
    for node in copy.graph.node:
        onnx.checker.check_node(node, context)


def _respell(node: NodeProto, opset: int, stored: dict[str, Array]) -> None:
    if node.domain not in ("", "ai.onnx"):
        return
    schema: Any = defs.get_schema(node.op_type, opset, "")
    if node.op_type == "Resize" and opset < 13:
        raise ValueError("Resize has a form of its own in each of these")
    if node.op_type in ("Squeeze", "Unsqueeze") and opset < 11 and len(node.input) > 1:
        axes = stored.get(node.input[1])
        if axes is None or (axes < 0).any():
            raise ValueError("axes are counted from the front before opset 11")
    places = ATTRIBUTES.get(node.op_type, {1: "axes"} if "Reduce" in node.op_type else {})
    if len(node.input) > schema.max_input or any(
        name in schema.attributes for name in places.values()
    ):
        for place, name in places.items():
            if place < len(node.input) and node.input[place] and name in schema.attributes:
                if node.input[place] not in stored:
                    raise ValueError(f"{name} is computed")
                array = stored[node.input[place]].ravel()
                value = array[0].item() if name in SCALARS else array.tolist()
                node.attribute.append(helper.make_attribute(name, value))
        del node.input[schema.max_input :]
    unknown = [each for each in node.attribute if each.name not in schema.attributes]
    for each in unknown:
        if not _is_default(each, node.op_type):
            raise ValueError(f"{each.name} is not known yet")
        node.attribute.remove(each)


def _is_default(attribute: AttributeProto, operator: str) -> bool:
    latest: Any = defs.get_schema(operator)
    default = latest.attributes.get(attribute.name)
    return (
        default is not None
        and default.default_value.type != AttributeProto.UNDEFINED
        and helper.get_attribute_value(default.default_value)
        == helper.get_attribute_value(attribute)
    )


def _drop_unread(copy: ModelProto) -> None:
    read = {name for node in walk.nodes(copy) for name in node.input}
    kept: Sequence[Any] = [each for each in copy.graph.initializer if each.name in read]
    kept = [onnx.TensorProto.FromString(each.SerializeToString()) for each in kept]
    del copy.graph.initializer[:]
    copy.graph.initializer.extend(kept)


def as_stored(feeds: dict[str, Any], proto: ModelProto, names: Sequence[str]) -> ModelProto:
    """Store inputs of a model that decide about shapes, so that they may become attributes."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    for name in names:
        copy.graph.initializer.append(numpy_helper.from_array(np.asarray(feeds[name]), name))
    kept = [each for each in copy.graph.input if each.name not in names]
    kept = [onnx.ValueInfoProto.FromString(each.SerializeToString()) for each in kept]
    del copy.graph.input[:]
    copy.graph.input.extend(kept)
    return copy
