"""Small models, made by hand, and the ways to open and run them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from onnxprobe.graph import Graph, parse_model
from onnxprobe.graph.dtypes import element_type
from onnxprobe.runtime import Session, Settings
from onnxprobe.types import Array, Program

ROOT = Path(__file__).parents[2]
MODELS = sorted((ROOT / "models").glob("*.onnx"))
CORPUS = ROOT.parent / "shared" / "corpus"

Shape = Sequence[int | str | None]


def value(name: str, shape: Shape | None, dtype: str = "float32") -> ValueInfoProto:
    return helper.make_tensor_value_info(name, element_type(dtype), shape)


def node(
    operator: str, inputs: str, outputs: str, name: str = "", domain: str = "", **attributes: object
) -> NodeProto:
    """Make a node; names are separated by spaces, and ``_`` is an empty one."""
    read = ["" if each == "_" else each for each in inputs.split()]
    written = ["" if each == "_" else each for each in outputs.split()]
    made = helper.make_node(operator, read, written, name=name, domain=domain)
    made.attribute.extend(helper.make_attribute(key, each) for key, each in attributes.items())
    return made


def stored(name: str, array: ArrayLike) -> TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def body(
    nodes: Iterable[NodeProto],
    outputs: Sequence[ValueInfoProto],
    inputs: Sequence[ValueInfoProto] = (),
    initializers: Sequence[TensorProto] = (),
) -> GraphProto:
    return helper.make_graph(list(nodes), "body", list(inputs), list(outputs), list(initializers))


def model(
    nodes: Iterable[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    initializers: Sequence[TensorProto] = (),
    *,
    opset: int = 17,
    ir: int = 8,
    domains: Mapping[str, int] | None = None,
    functions: Sequence[FunctionProto] = (),
) -> ModelProto:
    graph = helper.make_graph(list(nodes), "made", list(inputs), list(outputs), list(initializers))
    opsets = {"": opset, **(domains or {})}
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()],
        ir_version=ir,
        functions=list(functions),
    )


def relu(*initializers: TensorProto) -> ModelProto:
    """One Relu, to hang initializers on."""
    return model([node("Relu", "x", "y")], [value("x", [4])], [value("y", [4])], initializers)


def with_bytes(proto: ModelProto, placeholder: str, replacement: bytes) -> bytes:
    """Serialise a model with a text replaced by bytes of the same length, UTF-8 or not."""
    content = proto.SerializeToString()
    assert len(placeholder) == len(replacement)
    assert placeholder.encode() in content
    return content.replace(placeholder.encode(), replacement)


def opened(proto: ModelProto) -> Graph:
    return parse_model(proto.SerializeToString())


def session(program: Program) -> Session:
    return Session(program, Settings(), optimise=False)


def run(program: Program, feeds: Mapping[str, Array]) -> dict[str, Any]:
    """Run a program once with graph optimisation off, fed with what it takes of the feeds."""
    made = session(program)
    names = [kind.name for kind in made.output_types]
    taken = {kind.name: feeds[kind.name] for kind in made.input_types}
    return dict(zip(names, made.run(taken), strict=True))


def run_file(content: bytes | Path, feeds: Mapping[str, Array]) -> list[Any]:
    """Run a model as its user would, bypassing onnxprobe, with graph optimisation off."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    source = str(content) if isinstance(content, Path) else content
    made = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    outputs: list[Any] = made.run(None, dict(feeds))
    return outputs


def weight(*shape: int, seed: int = 0) -> Array:
    """Return numbers that need every bit of a float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def perceptron() -> ModelProto:
    """Input (n, 8) → MatMul → Add → Relu → MatMul: weights to be lifted, and a small bias."""
    return model(
        [
            node("MatMul", "x w1", "h"),
            node("Add", "h b1", "hb"),
            node("Relu", "hb", "r", name="relu"),
            node("MatMul", "r w2", "y"),
        ],
        [value("x", ["n", 8])],
        [value("y", ["n", 5])],
        [stored("w1", weight(8, 64)), stored("b1", weight(64, seed=1)),
         stored("w2", weight(64, 5, seed=2))],
    )  # fmt: skip


def branching(names: tuple[str, str] = ("up", "down")) -> ModelProto:
    """Choose w·x + 1 or −w·x by a condition; the bodies capture the outer h."""
    then = body(
        [node("Add", "h one", names[0])],
        [value(names[0], ["n", 4])],
        initializers=[stored("one", np.ones(4, np.float32))],
    )
    other = body([node("Neg", "h", names[1])], [value(names[1], ["n", 4])])
    return model(
        [
            node("MatMul", "x w", "h"),
            node("If", "c", "y", name="choice", then_branch=then, else_branch=other),
            node("Relu", "y", "z"),
        ],
        [value("x", ["n", 4]), value("c", [], "bool")],
        [value("z", ["n", 4])],
        [stored("w", weight(4, 4))],
    )


def looping() -> ModelProto:
    """A loop that multiplies its state by a captured weight, and keeps each step."""
    steps = body(
        [
            node("Identity", "go", "go_on"),
            node("MatMul", "state w", "next", name="step"),
            node("Tanh", "next", "kept"),
        ],
        [value("go_on", [], "bool"), value("next", [20]), value("kept", [20])],
        [value("i", [], "int64"), value("go", [], "bool"), value("state", [20])],
    )
    return model(
        [
            node("Relu", "x", "r"),
            node("Loop", "times on r", "last all", name="loop", body=steps),
            node("ReduceSum", "all", "y", keepdims=0),
        ],
        [value("x", [20])],
        [value("last", [20]), value("y", [])],
        [stored("times", np.array(3)), stored("on", np.array(True)), stored("w", weight(20, 20))],
    )


def tokens(*, opset: int = 17) -> ModelProto:
    """A token classifier: ids (n, 5) → embedding of 30 words in 16 dimensions → mean → logits."""
    return model(
        [
            node("Gather", "table ids", "embedded", name="embed"),
            node("ReduceMean", "embedded", "mean", axes=[1], keepdims=0),
            node("MatMul", "mean w", "logits"),
        ],
        [value("ids", ["n", 5], "int64")],
        [value("logits", ["n", 3])],
        [stored("table", weight(30, 16)), stored("w", weight(16, 3, seed=1))],
        opset=opset,
    )
