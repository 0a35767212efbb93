"""Types of values that are written along the way."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import NUMPY_TYPES, element_type
from onnxprobe.graph.model import tensor_type
from onnxprobe.graph.tangent.scope import Scope
from onnxprobe.types import Array, TensorType

__all__ = ["infer_written"]

# A trial run serves shapes alone; it must not cost more than the model.
MAX_TRIAL_ELEMENTS = 2**22
LOOPS = ("Loop", "Scan", "SequenceMap")
# Larger constants are weights; what they hold does not matter.
MAX_STORED_ELEMENTS = 2**12


def infer_written(
    scope: Scope, nodes: Sequence[NodeProto], declared: Mapping[str, TensorType] | None = None
) -> None:
    """Learn the types of what nodes give, and add them to a scope.

    Inference comes first; where it does not find a rank, the nodes are run on ones by onnx's
    reference evaluator, if their inputs have fixed shapes; what is open then is believed as it is
    declared.

    Args:
        scope: What is known; it is added to.
        nodes: Nodes in order, in which other nodes are not nested.
        declared: Types that the model declares.
    """
    given = [name for node in nodes for name in node.output if name]
    types, declared = scope.types, declared or {}
    model = _model(scope, nodes)
    _infer(scope, model)
    missing = [name for name in given if _is_open(types.get(name))]
    believed = {name: declared[name] for name in missing if name in declared}
    if believed:
        types |= believed
        scope.assumed.update(name for name, kind in believed.items() if kind.shape is not None)
        model = _model(scope, nodes, believed)
        _infer(scope, model)
        missing = [name for name in given if _is_open(types.get(name))]
    if missing:
        for name, array in _trial(model, missing).items():
            known = types.get(name)
            dtype = (known and known.dtype) or str(array.dtype)
            types[name] = TensorType(name, dtype, array.shape)


def _infer(scope: Scope, model: ModelProto) -> None:
    try:
        inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # noqa: BLE001 (the native code throws many; the types stay unknown)
        inferred = model.graph
    for value in [*inferred.value_info, *inferred.output]:
        kind = tensor_type(value)
        known = scope.types.get(value.name)
        told = kind.dtype is not None or kind.kind != "tensor"
        if told and (known is None or known.shape is None):
            scope.types[value.name] = kind


def _is_open(kind: TensorType | None) -> bool:
    return kind is None or (kind.kind == "tensor" and kind.shape is None)


def _model(scope: Scope, nodes: Sequence[NodeProto], believed: Collection[str] = ()) -> ModelProto:
    written = {name for node in nodes for name in node.output}
    read = {name for node in nodes for name in [*node.input, *walk.outer_names(node)]}
    outside = sorted(read - written - {""})
    found = {name: scope.statics.get(name) for name in outside if _is_small(scope, name)}
    stored = {name: array for name, array in found.items() if array is not None}
    for name, array in stored.items():
        scope.types.setdefault(name, TensorType(name, str(array.dtype), array.shape))
    inputs = []
    for name in outside:
        kind = scope.types.get(name)
        if name not in stored and kind is not None and kind.dtype is not None:
            inputs.append(helper.make_tensor_value_info(name, element_type(kind.dtype), kind.shape))
    graph = helper.make_graph(
        nodes,
        "written",
        inputs,
        [],
        [numpy_helper.from_array(array, name) for name, array in stored.items()],
        value_info=[
            helper.make_tensor_value_info(name, element_type(kind.dtype), kind.shape)
            for name in sorted(written)
            if (name not in scope.assumed or name in believed)
            and (kind := scope.types.get(name)) is not None
            and kind.dtype is not None
        ],
    )
    opsets = [
        helper.make_opsetid("" if domain == "ai.onnx" else domain, version)
        for domain, version in scope.opsets.items()
    ]
    return helper.make_model(graph, opset_imports=opsets)


def _is_small(scope: Scope, name: str) -> bool:
    """Whether a value is small enough to say something of shapes."""
    kind = scope.types.get(name)
    sizes = [size for size in (kind and kind.shape) or () if isinstance(size, int)]
    return math.prod(sizes) <= MAX_STORED_ELEMENTS


def _trial(model: ModelProto, names: Sequence[str]) -> dict[str, Array]:
    if any(node.op_type in LOOPS for node in walk.graph_nodes(model.graph)):
        # Fed ones, a loop may run for ever.
        return {}
    feeds = {}
    for value in model.graph.input:
        kind = tensor_type(value)
        sizes = [size for size in kind.shape or (None,) if isinstance(size, int)]
        if kind.shape is None or len(sizes) < len(kind.shape) or kind.dtype not in NUMPY_TYPES:
            return {}
        if np.prod(sizes, dtype=np.float64) > MAX_TRIAL_ELEMENTS:
            return {}
        feeds[value.name] = np.ones(sizes, kind.dtype)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    try:
        # Ones are no data: what overflows says nothing of the model.
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model).run(None, feeds)
    except Exception:  # noqa: BLE001 (an evaluator for tests; what it cannot do stays unknown)
        return {}
    return {
        name: array
        for name, array in zip(names, results, strict=True)
        if isinstance(array, np.ndarray)
    }
