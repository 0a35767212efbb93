"""Networks drawn at random, with inputs that fit them."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from onnxprobe.types import Array
from tests.graph.models import body, model, node, stored, value

# Every tensor of a drawn network has this shape.
SHAPE = (3, 4)

_UNARY = ("Relu", "Tanh", "Sigmoid", "Neg", "Abs", "Identity", "Softmax", "Erf", "Floor")
_BINARY = ("Add", "Sub", "Mul", "Max")


def draw_network(rng: np.random.Generator, nodes: int) -> ModelProto:
    """Draw a graph with weights, several outputs of one node, half precision, If and Shape.

    Its outputs are a few of its tensors; the nodes stand in random order.
    """
    made: list[NodeProto] = []
    tensors = ["x"]
    weights: list[TensorProto] = [stored("half", np.array([2, 2], np.int64))]
    for index in range(nodes):
        first, second = (str(each) for each in rng.choice(tensors[-4:], 2))
        kind = rng.choice(["unary", "binary", "dense", "split", "half", "if", "shape"])
        out = f"t{index}"
        if kind == "unary":
            made.append(node(str(rng.choice(_UNARY)), first, out))
        elif kind == "binary":
            made.append(node(str(rng.choice(_BINARY)), f"{first} {second}", out))
        elif kind == "dense":
            weights.append(stored(f"w{index}", 0.5 * rng.normal(size=(4, 4)).astype(np.float32)))
            made.append(node("MatMul", f"{first} w{index}", out))
        elif kind == "split":
            made.append(node("Split", f"{first} half", f"{out}a {out}b", axis=1))
            made.append(node("Concat", f"{out}b {out}a", out, axis=1))
        elif kind == "half":
            made.append(node("Cast", first, f"{out}h", to=TensorProto.BFLOAT16))
            made.append(node("Cast", f"{out}h", out, to=TensorProto.FLOAT))
        elif kind == "if":
            then = body([node("Neg", first, "a")], [value("a", SHAPE)])
            other = body([node("Abs", second, "b")], [value("b", SHAPE)])
            made.append(node("If", "c", out, then_branch=then, else_branch=other))
        else:
            made.append(node("Shape", second, f"{out}s"))
            made.append(node("Reshape", f"{first} {out}s", out))
        tensors.append(out)
    outputs = sorted({str(each) for each in rng.choice(tensors[1:], 3)} | {tensors[-1]})
    order = rng.permutation(len(made))
    return model(
        [made[index] for index in order],
        [value("x", SHAPE), value("c", [], "bool")],
        [value(name, SHAPE) for name in outputs],
        weights,
    )


def draw_feeds(rng: np.random.Generator) -> dict[str, Array]:
    x = rng.normal(size=SHAPE).astype(np.float32)
    return {"x": x, "c": np.array(bool(rng.integers(2)))}
