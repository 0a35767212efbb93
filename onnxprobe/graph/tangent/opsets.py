"""Raising a model to the opset that tangents need, where its operators allow it."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, helper

from onnxprobe.errors import ModelError
from onnxprobe.graph import walk
from onnxprobe.graph.tangent.emitter import Emitter
from onnxprobe.graph.tangent.registry import OLDEST_OPSET

__all__ = ["raise_opset", "settle_nodes"]

# From this one on, operators broadcast as they do today.
OLDEST_RAISED = 7


def raise_opset(proto: ModelProto) -> int:
    """Import at least the opset that tangents need.

    Args:
        proto: A model, which is changed; its nodes are not, see `settle_nodes`.

    Returns:
        The version of the default domain from now on.

    Raises:
        ModelError: If the model is too old, or has operators that mean something else there.
    """
    for entry in proto.opset_import:
        if entry.domain not in ("", "ai.onnx"):
            continue
        if entry.version >= OLDEST_OPSET:
            return entry.version
        changed = {node.op_type for node in walk.nodes(proto) if _changes(node)}
        if entry.version < OLDEST_RAISED or changed:
            what = f" ({', '.join(sorted(changed))})" if changed else ""
            raise ModelError(
                f"exact derivatives need opset {OLDEST_OPSET}, and the model has opset "
                f"{entry.version}, from which some operators changed{what}; export it with a "
                "later opset"
            )
        entry.version = OLDEST_OPSET
        return OLDEST_OPSET
    proto.opset_import.append(helper.make_opsetid("", OLDEST_OPSET))
    return OLDEST_OPSET


def _changes(node: NodeProto) -> bool:
    """Whether an operator means something else at opset 9 than at 7 or 8."""
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "BatchNormalization":
        return any(each.name == "spatial" and each.i == 0 for each in node.attribute)
    return node.op_type == "Scan"


def settle_nodes(proto: ModelProto, emitter: Emitter) -> None:
    """Spell operators of opsets 7 and 8 as opset 9 wants them; what they compute stays.

    Args:
        proto: A model that `raise_opset` accepted; its nodes are changed.
        emitter: Where constants go.
    """
    for node in walk.nodes(proto):
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type == "BatchNormalization":
            _take_attribute(node, "spatial")
        elif node.op_type == "Upsample" and len(node.input) == 1:
            scales = _take_attribute(node, "scales")
            node.input.append(emitter.constant(np.array(scales, np.float32)).name)


def _take_attribute(node: NodeProto, name: str) -> list[float]:
    """Remove an attribute, and return its floats."""
    for place, attribute in enumerate(node.attribute):
        if attribute.name == name:
            values = list(attribute.floats)
            del node.attribute[place]
            return values
    return []
