"""Models whose tensors pass through sequences and optional values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

__all__ = ["GRAPHS", "OPTIONAL", "X", "sequence_model"]

X = np.random.default_rng(0).uniform(0.5, 1.5, (2, 3)).astype(np.float32)


def _node(operator: str, inputs: str, output: str, **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs.split(), [output], **attributes)


def sequence_model(nodes: Sequence[NodeProto], inputs: Sequence[str]) -> ModelProto:
    def value(name: str) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])

    graph = helper.make_graph(
        nodes,
        "sequences",
        [value(name) for name in inputs],
        [helper.make_empty_tensor_value_info("out")],
        [helper.make_tensor("one", TensorProto.INT64, [], [1])],
    )
    opsets = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


PAIR = _node("SequenceConstruct", "x y", "s")
_SQUARE = helper.make_graph(
    [_node("Mul", "each each", "square")],
    "squared",
    [helper.make_tensor_value_info("each", TensorProto.FLOAT, [2, 3])],
    [helper.make_tensor_value_info("square", TensorProto.FLOAT, [2, 3])],
)
GRAPHS = {
    "at": [PAIR, _node("SequenceAt", "s one", "z"), _node("Mul", "z x", "out")],
    "concat": [PAIR, _node("ConcatFromSequence", "s", "out", axis=-1)],
    "stack": [PAIR, _node("ConcatFromSequence", "s", "out", axis=1, new_axis=1)],
    "insert": [
        PAIR,
        _node("SequenceInsert", "s x one", "t"),
        _node("ConcatFromSequence", "t", "out", axis=0),
    ],
    "erase": [
        PAIR,
        _node("SequenceErase", "s one", "t"),
        _node("ConcatFromSequence", "t", "out", axis=0),
    ],
    "map": [
        PAIR,
        _node("SequenceMap", "s", "t", body=_SQUARE),
        _node("ConcatFromSequence", "t", "out", axis=0),
    ],
    "split": [
        _node("Mul", "x y", "p"),
        _node("SplitToSequence", "p", "t", axis=-1),
        _node("ConcatFromSequence", "t", "out", axis=0),
    ],
}
# What each of these computes, without optional values, which onnx's evaluator confuses with lists.
OPTIONAL: dict[str, tuple[list[NodeProto], list[NodeProto]]] = {
    "tensor": (
        [
            _node("Mul", "x y", "p"),
            _node("Optional", "p", "o"),
            _node("OptionalGetElement", "o", "q"),
            _node("Sin", "q", "out"),
        ],
        [_node("Mul", "x y", "p"), _node("Sin", "p", "out")],
    ),
    "sequence": (
        [
            PAIR,
            _node("Optional", "s", "o"),
            _node("OptionalGetElement", "o", "t"),
            _node("SequenceAt", "t one", "z"),
            _node("Mul", "z x", "out"),
        ],
        [_node("Mul", "y x", "out")],
    ),
}
