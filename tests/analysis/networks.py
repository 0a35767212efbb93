"""Small ONNX models, each made for one thing that an analysis must get right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
Shape = Sequence[int | str]


def model(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, tuple[int, Shape]],
    outputs: Sequence[str],
    weights: dict[str, Any] | None = None,
    opset: int = 17,
) -> ModelProto:
    """Put a model together; outputs are float tensors of unknown shape."""
    graph = helper.make_graph(
        list(nodes),
        "made",
        [helper.make_tensor_value_info(n, kind, shape) for n, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in (weights or {}).items()],
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains, ir_version=8)


def node(
    operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
) -> NodeProto:
    """A node named after its first output."""
    return helper.make_node(operator, inputs, outputs, name=f"make_{outputs[0]}", **attributes)


def flat(outputs: int, inputs: int, rank: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """A float32 matrix (inputs, outputs) of a rank."""
    rng = np.random.default_rng(seed)
    product = rng.normal(size=(inputs, rank)) @ rng.normal(size=(rank, outputs))
    return product.astype(np.float32)


def linear(
    rank: int = 3, inputs: int = 12, outputs: int = 20, batch: int | str = "N"
) -> ModelProto:
    """``y = x W + b`` with W of a rank, and what only moves or shifts it."""
    nodes = [
        node("MatMul", ["x", "w"], ["product"]),
        node("Add", ["product", "b"], ["y"]),
        node("Reshape", ["y", "shape"], ["moved"]),
        node("Relu", ["moved"], ["z"]),
    ]
    weights = {
        "w": flat(outputs, inputs, rank),
        "b": np.linspace(-1, 1, outputs, dtype=np.float32),
        "shape": np.array([-1, 2, outputs // 2]),
    }
    return model(nodes, {"x": (FLOAT, [batch, inputs])}, ["z"], weights)


def classifier() -> ModelProto:
    """A smooth layer, then operators without derivatives, then integers."""
    nodes = [
        node("MatMul", ["x", "w"], ["scores"]),
        node("Softmax", ["scores"], ["shares"]),
        node("Round", ["scores"], ["rounded"]),
        node("ArgMax", ["shares"], ["label"], axis=1, keepdims=0),
        node("Shape", ["x"], ["shape"]),
        node("Constant", [], ["constant"], value_float=1.0),
    ]
    made = model(nodes, {"x": (FLOAT, ["N", 6])}, ["shares", "rounded"], {"w": flat(4, 6, 4)})
    made.graph.output.append(helper.make_tensor_value_info("label", INT64, None))
    return made


def tokens(rows: int = 30) -> ModelProto:
    """A token model: two tables, the larger of which is the vocabulary."""
    weights = {
        "vocabulary": flat(8, rows, 8),
        "segments": flat(8, 2, 2),
        "w": flat(5, 8, 5, seed=1),
        "axes": np.array([1]),
    }
    nodes = [
        node("Gather", ["segments", "kinds"], ["segment"]),
        node("Gather", ["vocabulary", "ids"], ["embedded"]),
        node("Add", ["embedded", "segment"], ["sum"]),
        node("MatMul", ["sum", "w"], ["scores"]),
        node("ReduceMean", ["scores"], ["mean"], axes=[1], keepdims=0),
    ]
    shape: Shape = ["N", 7]
    inputs = {"ids": (INT64, shape), "kinds": (INT64, shape)}
    return model(nodes, inputs, ["mean"], weights)


def masks() -> ModelProto:
    """Integers only: a mask made float, which is no source."""
    nodes = [node("Cast", ["mask"], ["float"], to=FLOAT), node("MatMul", ["float", "w"], ["y"])]
    return model(nodes, {"mask": (INT64, ["N", 5])}, ["y"], {"w": flat(4, 5, 4)})


def crashing() -> ModelProto:
    """A model whose middle node crashes ONNX Runtime natively (a Min with an empty input)."""
    nodes = [
        node("Relu", ["x"], ["before"]),
        node("Min", ["before", ""], ["crash"]),
        node("Relu", ["crash"], ["after"]),
        node("Neg", ["before"], ["beside"]),
    ]
    return model(nodes, {"x": (FLOAT, ["N", 4])}, ["after", "beside"])


def endless() -> ModelProto:
    """A layer, and a Loop without an end."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Neg", ["state"], ["next"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("turn", INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state", FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", FLOAT, None),
        ],
    )
    before = helper.make_node("Tanh", ["x"], ["before"])
    loop = helper.make_node("Loop", ["", "true", "before"], ["y"], body=body, name="endless")
    return model([before, loop], {"x": (FLOAT, ["N", 4])}, ["y"], {"true": np.array(True)})


def too_large() -> ModelProto:
    """Three layers, one of which needs 32 GB."""
    nodes = [
        helper.make_node("Tanh", ["x"], ["before"]),
        helper.make_node("Neg", ["before"], ["after"]),
        helper.make_node("ConstantOfShape", ["size"], ["much"]),
        helper.make_node("ReduceSum", ["much"], ["sum"], keepdims=0),
        helper.make_node("Add", ["before", "sum"], ["y"]),
    ]
    size = {"size": np.array([2**33])}
    return model(nodes, {"x": (FLOAT, ["N", 4])}, ["y", "after"], size)


def mixing() -> ModelProto:
    """Rows that influence each other in a batch: normalised over it."""
    nodes = [
        node("MatMul", ["x", "w"], ["apart"]),
        node("ReduceMean", ["apart"], ["mean"], axes=[0], keepdims=1),
        node("Sub", ["apart", "mean"], ["mixed"]),
    ]
    return model(nodes, {"x": (FLOAT, ["N", 5])}, ["mixed"], {"w": flat(6, 5, 5)})


def infinite() -> ModelProto:
    """A tensor with an infinity, and one after it without."""
    nodes = [
        node("MatMul", ["x", "w"], ["y"]),
        node("Div", ["y", "zero"], ["wild"]),
        node("Tanh", ["wild"], ["tame"]),
    ]
    weights = {"w": flat(4, 5, 4), "zero": np.array([1, 1, 1, 0], np.float32)}
    return model(nodes, {"x": (FLOAT, ["N", 5])}, ["tame"], weights)


def deep(layers: int = 8, width: int = 64) -> ModelProto:
    """A chain whose activations together are far larger than each."""
    nodes, last = [], "x"
    for index in range(layers):
        nodes.append(node("MatMul", [last, "w"], [f"m{index}"]))
        nodes.append(node("Tanh", [f"m{index}"], [f"t{index}"]))
        last = f"t{index}"
    weights = {"w": flat(width, width, width) / np.float32(width)}
    return model(nodes, {"x": (FLOAT, ["N", width])}, [last], weights)


def halves(kind: int = TensorProto.BFLOAT16) -> ModelProto:
    """A linear layer in half precision, input and all."""
    weight = helper.make_tensor("w", kind, [6, 5], flat(5, 6, 5).ravel())
    graph = helper.make_graph(
        [node("MatMul", ["x", "w"], ["y"]), node("Relu", ["y"], ["z"])],
        "halves",
        [helper.make_tensor_value_info("x", kind, ["N", 6])],
        [helper.make_tensor_value_info("z", kind, None)],
        [weight],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def picky(size: int = 32) -> ModelProto:
    """A model whose open dimension fits one size only."""
    nodes = [node("MatMul", ["x", "w"], ["y"])]
    return model(nodes, {"x": (FLOAT, ["N", "length"])}, ["y"], {"w": flat(4, size, 4)})


def crowd(size: int = 4) -> ModelProto:
    """A model that takes batches of one size only."""
    nodes = [node("MatMul", ["mix", "x"], ["y"])]
    return model(nodes, {"x": (FLOAT, ["batch", 6])}, ["y"], {"mix": flat(size, 3, 3)})


def varying() -> ModelProto:
    """Tensors that cannot be measured: of varying shape, empty, text, a sequence, inside a body."""
    then = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["negated"])],
        "then",
        [],
        [helper.make_tensor_value_info("negated", FLOAT, None)],
    )
    other = helper.make_graph(
        [helper.make_node("Abs", ["x"], ["negated"])],
        "else",
        [],
        [helper.make_tensor_value_info("negated", FLOAT, None)],
    )
    nodes = [
        node("Greater", ["x", "zero"], ["positive"]),
        node("NonZero", ["positive"], ["places"]),
        node("Slice", ["x", "start", "start"], ["nothing"]),
        node("Cast", ["x"], ["text"], to=TensorProto.STRING),
        node("SequenceConstruct", ["x"], ["list"]),
        helper.make_node(
            "If", ["true"], ["chosen"], then_branch=then, else_branch=other, name="if"
        ),
    ]
    weights = {
        "zero": np.float32(0),
        "start": np.array([0]),
        "true": np.array(True),
    }
    return model(nodes, {"x": (FLOAT, ["N", 5])}, ["chosen"], weights)


def two_inputs() -> ModelProto:
    """Two float inputs and a setting that is no sample."""
    nodes = [
        node("MatMul", ["a", "w"], ["left"]),
        node("Mul", ["left", "gain"], ["scaled"]),
        node("Concat", ["scaled", "b"], ["both"], axis=1),
    ]
    inputs: dict[str, tuple[int, Shape]] = {
        "a": (FLOAT, ["N", 6]),
        "b": (FLOAT, ["N", 3]),
        "gain": (FLOAT, []),
    }
    return model(nodes, inputs, ["both"], {"w": flat(4, 6, 4)})


def pictures(channels: int = 3, side: int = 8) -> ModelProto:
    """A convolution over pictures."""
    weight = np.random.default_rng(0).normal(size=(4, channels, 3, 3)).astype(np.float32)
    nodes = [
        node("Conv", ["image", "w"], ["features"], pads=[1] * 4),
        node("Relu", ["features"], ["z"]),
    ]
    return model(nodes, {"image": (FLOAT, ["N", channels, side, side])}, ["z"], {"w": weight})
