"""Models that onnx's checker accepts and that crash native code, each beside a healthy branch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from tests.graph.models import model, node, stored, value

__all__ = ["CRASHERS", "HEALTHY"]

HEALTHY = ("left", "right")


def _beside(
    nodes: list[NodeProto], rank: int = 2, *, weights: tuple[TensorProto, ...] = (),
    dtype: str = "float32", opset: int = 20, ir: int = 9,
) -> ModelProto:  # fmt: skip
    """A model with a hostile node, and two tensors that have nothing to do with it."""
    whole = [
        node("Tanh", "x", "left"),
        node("Exp", "left", "right"),
        *nodes,
    ]
    outputs = [value("right", ["N", 6]), value("bad", [f"b{axis}" for axis in range(rank)], dtype)]
    return model(
        whole,
        [value("x", ["N", 6])],
        outputs,
        weights,
        opset=opset,
        ir=ir,
        domains={"ai.onnx.ml": 3},
    )


def _missing(operator: str) -> ModelProto:
    made = node(operator, "x _", "bad")
    return _beside([made])


def _dft() -> ModelProto:
    shape = stored("shape", np.array([-1, 6, 1]))
    nodes = [node("Reshape", "x shape", "deep"), node("DFT", "deep _ _", "bad")]
    return _beside(nodes, 3, weights=(shape,))


def _split() -> ModelProto:
    made = node("Split", "x", "_ bad _", axis=1, num_outputs=3)
    return _beside([made])


def _uneven_split() -> ModelProto:
    """Four rows do not make three parts that anybody agrees on."""
    deep = node("Reshape", "x four", "deep")
    made = node("Split", "deep", "bad b c", axis=0, num_outputs=3)
    return _beside([deep, made], weights=(stored("four", np.array([4, -1])),))


def _attention(heads: int) -> ModelProto:
    deep = node("Unsqueeze", "x one", "deep")
    made = node("Attention", "deep deep deep", "bad", q_num_heads=heads, kv_num_heads=2)
    return _beside([deep, made], 3, weights=(stored("one", np.array([1])),), opset=23, ir=10)


def _layer_norm() -> ModelProto:
    made = node("LayerNormalization", "x scale", "bad", axis=2**31)
    return _beside([made], weights=(stored("scale", np.ones(6, np.float32)),))


def _labels() -> ModelProto:
    made = node("LabelEncoder", "x", "bad", domain="ai.onnx.ml", keys_floats=[1.0],
                values_strings=[""], default_string="")  # fmt: skip
    return _beside([made], dtype="string")


def _loop() -> ModelProto:
    from tests.graph.models import body

    inner = body(
        [
            node("Identity", "on", "still"),
            node("Identity", "h", "next"),
            node("Identity", "h", "part"),
        ],
        [value("still", [], "bool"), value("next", ["N", 6]), value("part", ["N", 6])],
        [value("i", [], "int64"), value("on", [], "bool"), value("h", ["N", 6])],
    )
    made = node("Loop", "turns _ x", "_ bad", body=inner)
    return _beside([made], 3, weights=(stored("turns", np.array(3)),))


CRASHERS: dict[str, Callable[[], ModelProto]] = {
    "Min of nothing": lambda: _missing("Min"),
    "Max of nothing": lambda: _missing("Max"),
    "DFT without a length": _dft,
    "Split without a name": _split,
    "Split of four into three": _uneven_split,
    "Attention without heads": lambda: _attention(0),
    "Attention with -2^63 heads": lambda: _attention(-(2**63)),
    "LayerNormalization at axis 2^31": _layer_norm,
    "LabelEncoder of empty texts": _labels,
    "Loop without a name": _loop,
}
