"""Networks with skip connections, to be cut."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from onnxprobe.types import Array
from tests.graph.models import model, node, stored, value

__all__ = ["attending", "forked", "reshaping", "residual"]


def _weight(name: str, *shape: int) -> TensorProto:
    rng = np.random.default_rng(len(name) + sum(map(ord, name)))
    values: Array = rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
    return stored(name, values.astype(np.float32))


def residual(blocks: int = 2) -> ModelProto:
    """Convolutions, each with what it reads added to what it gives."""
    nodes: list[NodeProto] = [node("Conv", "x w", "stem", pads=[1, 1, 1, 1])]
    weights = [_weight("w", 3, 1, 3, 3)]
    last = "stem"
    for n in range(blocks):
        weights += [_weight(f"w{n}", 3, 3, 3, 3)]
        nodes += [
            node("Conv", f"{last} w{n}", f"c{n}", pads=[1, 1, 1, 1]),
            node("Relu", f"c{n}", f"r{n}"),
            node("Add", f"r{n} {last}", f"a{n}"),
        ]
        last = f"a{n}"
    nodes.append(node("Flatten", last, "y"))
    return model(nodes, [value("x", ["N", 1, 4, 4])], [value("y", ["N", 48])], weights)


def forked() -> ModelProto:
    """A U: what the first level gives is read again behind the second."""
    nodes = [
        node("Conv", "x w0", "e0", pads=[1, 1, 1, 1]),
        node("AveragePool", "e0", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p w1", "e1", pads=[1, 1, 1, 1]),
        node("Tanh", "e0", "skip"),
        node("ConvTranspose", "e1 w2", "u", strides=[2, 2]),
        node("Concat", "u skip", "j", axis=1),
        node("Conv", "j w3", "y"),
    ]
    weights = [
        _weight("w0", 2, 1, 3, 3), _weight("w1", 4, 2, 3, 3), _weight("w2", 4, 2, 2, 2),
        _weight("w3", 1, 4, 1, 1),
    ]  # fmt: skip
    return model(nodes, [value("x", ["N", 1, 4, 4])], [value("y", ["N", 1, 4, 4])], weights)


def attending() -> ModelProto:
    """One layer of attention over three tokens, with a skip connection."""
    nodes = [
        node("MatMul", "x wq", "q"),
        node("MatMul", "x wk", "k"),
        node("MatMul", "x wv", "v"),
        node("Transpose", "k", "t", perm=[0, 2, 1]),
        node("MatMul", "q t", "s"),
        node("Softmax", "s", "p", axis=2),
        node("MatMul", "p v", "o"),
        node("Add", "o x", "a"),
        node("Gemm", "flat wo", "y"),
    ]
    nodes.insert(8, node("Flatten", "a", "flat"))
    weights = [*(_weight(name, 4, 4) for name in ("wq", "wk", "wv")), _weight("wo", 12, 2)]
    return model(nodes, [value("x", ["N", 3, 4])], [value("y", ["N", 2])], weights)


def reshaping() -> ModelProto:
    """What follows is shaped by the shape of the input."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Tanh", "x", "t"),
        node("Reshape", "t minus", "flat"),
        node("Exp", "flat", "e"),
        node("Reshape", "e shape", "y"),
    ]
    minus = stored("minus", np.array([-1], np.int64))
    return model(nodes, [value("x", ["N", 6])], [value("y", ["N", 6])], [minus])
