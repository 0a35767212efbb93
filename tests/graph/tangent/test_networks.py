"""Networks of several shapes in float32 against float64 differences of onnx's evaluator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from onnxprobe.graph import parse_model
from onnxprobe.graph.tangent import differentiate
from onnxprobe.types import Array, TensorType
from tests.graph.models import node, stored, value

DIRECTIONS = 5
# Small enough to cross no kink here; in float64 central differences then leave about 1e-9.
STEP = 1e-6
# Rounding of float32 products along ten to twenty layers.
TOLERANCE = 1e-6


@dataclass
class Network:
    """A network under construction; names of tensors are what its methods return."""

    shape: tuple[int, ...]
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    nodes: list[NodeProto] = field(default_factory=list)
    weights: list[TensorProto] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, outputs: str = "", **attributes: Any) -> str:
        first = outputs.split()[0] if outputs else f"t{len(self.nodes)}"
        made = node(operator, " ".join(inputs), outputs or first)
        made.attribute.extend(helper.make_attribute(key, each) for key, each in attributes.items())
        self.nodes.append(made)
        return first

    def keep(self, array: Array) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(stored(name, array))
        return name

    def draw(self, *shape: int, scale: float = 1.0) -> str:
        return self.keep((scale * self.rng.normal(size=shape)).astype(np.float32))

    def ints(self, *values: int) -> str:
        return self.keep(np.array(values, np.int64))

    def scalar(self, number: float) -> str:
        return self.keep(np.array(number, np.float32))

    def conv(
        self, x: str, inner: int, outer: int, kernel: int = 3, stride: int = 1, group: int = 1
    ) -> str:
        scale = (2 / (inner // group * kernel**2)) ** 0.5
        weight = self.draw(outer, inner // group, kernel, kernel, scale=scale)
        return self.add(
            "Conv",
            x,
            weight,
            self.draw(outer, scale=0.1),
            pads=[kernel // 2] * 4,
            strides=[stride] * 2,
            group=group,
        )

    def batch_norm(self, x: str, channels: int) -> str:
        spread = np.abs(self.rng.normal(size=channels)).astype(np.float32) + 0.5
        middle = [self.draw(channels, scale=0.3) for _ in range(3)]
        return self.add("BatchNormalization", x, *middle, self.keep(spread), epsilon=1e-5)

    def dense(self, x: str, inner: int, outer: int) -> str:
        product = self.add("MatMul", x, self.draw(inner, outer, scale=inner**-0.5))
        return self.add("Add", product, self.draw(outer, scale=0.1))

    def layer_norm(self, x: str, width: int) -> str:
        inputs = (self.draw(width), self.draw(width, scale=0.1))
        return self.add("LayerNormalization", x, *inputs, axis=-1, epsilon=1e-5)

    def model(self, output: str) -> ModelProto:
        graph = helper.make_graph(
            self.nodes, "network", [value("x", self.shape)], [value(output, None)], self.weights
        )
        opsets = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _resnet() -> ModelProto:
    """Two stages of two blocks, batch normalisation as exported in training graphs."""
    net = Network((1, 3, 12, 12))
    x, inner = net.add("Relu", net.batch_norm(net.conv("x", 3, 8), 8)), 8
    for outer, stride in ((8, 1), (8, 1), (16, 2), (16, 1)):
        y = net.add("Relu", net.batch_norm(net.conv(x, inner, outer, 3, stride), outer))
        y = net.batch_norm(net.conv(y, outer, outer), outer)
        if inner != outer:
            x = net.conv(x, inner, outer, 1, stride)
        x, inner = net.add("Relu", net.add("Add", x, y)), outer
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.model(net.add("Gemm", x, net.draw(10, 16), net.draw(10), transB=1))


def _mobilenet() -> ModelProto:
    """Inverted residuals with depthwise convolutions, ReLU6, hard swish and squeeze-excitation."""
    net = Network((1, 3, 12, 12))
    x, inner = net.add("HardSwish", net.conv("x", 3, 8, 3, 2)), 8
    for outer, stride in ((8, 1), (12, 2), (12, 1)):
        y = net.batch_norm(net.conv(x, inner, 3 * inner, 1), 3 * inner)
        y = net.add("Clip", y, net.scalar(0), net.scalar(6))
        y = net.conv(y, 3 * inner, 3 * inner, 3, stride, 3 * inner)
        gate = net.add("Relu", net.conv(net.add("GlobalAveragePool", y), 3 * inner, 4, 1))
        gate = net.add("HardSigmoid", net.conv(gate, 4, 3 * inner, 1), alpha=1 / 6)
        y = net.conv(net.add("Mul", y, gate), 3 * inner, outer, 1)
        x, inner = net.add("Add", x, y) if inner == outer else y, outer
    x = net.add("ReduceMean", net.add("HardSwish", x), axes=[2, 3], keepdims=0)
    return net.model(net.add("Softmax", net.dense(x, inner, 10), axis=-1))


def _unet() -> ModelProto:
    """Down twice and up twice, with skips; transposed convolution and bilinear resizing."""
    net = Network((1, 2, 16, 16))
    first = net.add("Relu", net.conv("x", 2, 6))
    down = net.add("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2])
    inputs = (net.draw(8), net.draw(8))
    second = net.add("InstanceNormalization", net.conv(down, 6, 8), *inputs)
    second = net.add("LeakyRelu", second, alpha=0.1)
    deep = net.add("AveragePool", second, kernel_shape=[2, 2], strides=[2, 2])
    deep = net.add("Sigmoid", net.conv(deep, 8, 8))
    weight = net.draw(8, 8, 2, 2, scale=0.3)
    up = net.add("ConvTranspose", deep, weight, net.draw(8), strides=[2, 2])
    up = net.add("Relu", net.conv(net.add("Concat", up, second, axis=1), 16, 6))
    up = net.add(
        "Resize",
        up,
        "_",
        net.keep(np.array([1, 1, 2, 2], np.float32)),
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )
    up = net.add("Elu", net.conv(net.add("Concat", up, first, axis=1), 12, 6))
    return net.model(net.add("Tanh", net.conv(up, 6, 2, 1)))


def _vit() -> ModelProto:
    """Patches, positions, two encoder blocks with attention as exporters write it."""
    width, heads, count = 12, 3, 10
    net = Network((1, 3, 12, 12))
    patches = net.add("Conv", "x", net.draw(width, 3, 4, 4, scale=0.15), strides=[4, 4])
    tokens = net.add(
        "Transpose", net.add("Reshape", patches, net.ints(0, width, -1)), perm=[0, 2, 1]
    )
    tokens = net.add("Concat", net.draw(1, 1, width), tokens, axis=1)
    x = net.add("Add", tokens, net.draw(1, count, width, scale=0.2))
    for _ in range(2):
        y = net.layer_norm(x, width)
        parts = []
        for place in range(3):
            split = net.add("Reshape", net.dense(y, width, width), net.ints(1, count, heads, -1))
            perm = [0, 2, 3, 1] if place == 1 else [0, 2, 1, 3]
            parts.append(net.add("Transpose", split, perm=perm))
        scores = net.add("Mul", net.add("MatMul", *parts[:2]), net.scalar(0.5))
        mixed = net.add("MatMul", net.add("Softmax", scores, axis=-1), parts[2])
        mixed = net.add("Transpose", mixed, perm=[0, 2, 1, 3])
        mixed = net.add("Reshape", mixed, net.ints(1, count, width))
        x = net.add("Add", x, net.dense(mixed, width, width))
        y = net.dense(net.layer_norm(x, width), width, 2 * width)
        erf = net.add("Erf", net.add("Mul", y, net.scalar(0.5**0.5)))
        half = net.add(
            "Mul", net.add("Mul", y, net.scalar(0.5)), net.add("Add", erf, net.scalar(1))
        )
        x = net.add("Add", x, net.dense(half, 2 * width, width))
    first = net.add("Gather", net.layer_norm(x, width), net.keep(np.array(0)), axis=1)
    return net.model(net.dense(first, width, 5))


def _lstm() -> ModelProto:
    """Two layers over a sequence, with the last state read out."""
    steps, width, hidden = 6, 4, 5
    net = Network((steps, 1, width))
    x = "x"
    for layer, inner in enumerate((width, hidden)):
        inputs = (
            net.draw(1, 4 * hidden, inner, scale=0.5),
            net.draw(1, 4 * hidden, hidden, scale=0.5),
            net.draw(1, 8 * hidden, scale=0.2),
        )
        x = net.add("LSTM", x, *inputs, outputs=f"y{layer} h{layer} c{layer}", hidden_size=hidden)
        x = net.add("Squeeze", x, net.ints(1))
    last = net.add("Squeeze", "h1", net.ints(0))
    return net.model(net.dense(last, hidden, 3))


class Erf(OpRun):
    """The evaluator's own one rounds to float32."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.vectorize(math.erf, otypes=[np.float64])(x),)


def _session(proto: ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def _upcast(proto: ModelProto) -> ModelProto:
    """Turn a network into float64 by hand, independently of the package."""
    copy = ModelProto()
    copy.CopyFrom(proto)
    for tensor in copy.graph.initializer:
        array = numpy_helper.to_array(tensor)
        # Scales of Resize stay float32 by its definition.
        scales = any(n.op_type == "Resize" and tensor.name in n.input for n in copy.graph.node)
        if array.dtype == np.float32 and not scales:
            tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float64), tensor.name))
    for each in [*copy.graph.input, *copy.graph.output]:
        each.type.tensor_type.elem_type = TensorProto.DOUBLE
    return copy


def _exposed(proto: ModelProto) -> tuple[ModelProto, list[str]]:
    names = [name for each in proto.graph.node for name in each.output if name]
    copy = ModelProto()
    copy.CopyFrom(proto)
    del copy.graph.output[:]
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    return copy, names


def _truth(proto: ModelProto, x: Array, vectors: Array) -> dict[str, Array]:
    """Difference every tensor in float64."""
    whole, names = _exposed(_upcast(proto))
    evaluator = ReferenceEvaluator(whole, new_ops=[Erf])

    def at(step: float, which: int) -> list[Array]:
        moved = x.astype(np.float64) + step * vectors[which].astype(np.float64)
        return list(evaluator.run(None, {"x": moved}))

    rows: list[Sequence[Array]] = []
    for which in range(len(vectors)):
        places = [at(step * STEP, which) for step in (1, -1, 2, -2)]
        rows.append([
            (8 * (a - b) - (c - d)) / (12 * STEP) for a, b, c, d in zip(*places, strict=True)
        ])
    return {name: np.stack(each) for name, each in zip(names, zip(*rows, strict=True), strict=True)}


def _drawn(proto: ModelProto) -> tuple[Array, Array]:
    """Return a sample, and directions."""
    rng = np.random.default_rng(3)
    shape = tuple(each.dim_value for each in proto.graph.input[0].type.tensor_type.shape.dim)
    vectors = rng.normal(size=(DIRECTIONS, *shape)).astype(np.float32)
    return rng.normal(size=shape).astype(np.float32), vectors


def _tangents(proto: ModelProto, x: Array, vectors: Array, names: list[str]) -> dict[str, Array]:
    """Differentiate a network exactly, and run what comes out."""
    whole, every = _exposed(proto)
    values = dict(zip(every, _session(whole).run(None, {"x": x}), strict=True))
    types = {name: TensorType(name, str(each.dtype), each.shape) for name, each in values.items()}
    types["x"] = TensorType("x", "float32", x.shape)
    derived = differentiate(parse_model(proto.SerializeToString()), types, ["x"], names)
    assert not derived.outcome.numerical
    assert not derived.outcome.failed
    made = ModelProto()
    made.CopyFrom(derived.proto)
    for tensor in made.graph.initializer:
        if tensor.name in derived.weights:
            array = np.asarray(derived.weights[tensor.name])
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    feeds = {"x": x, derived.sources["x"]: vectors}
    found = _session(made).run([derived.tangents[name] for name in names], feeds)
    return dict(zip(names, found, strict=True))


def _error(found: Array, truth: Array) -> float:
    assert found.shape == truth.shape
    size = float(np.linalg.norm(truth))
    assert size > 0
    return float(np.linalg.norm(found - truth)) / size


BUILDS = pytest.mark.parametrize("build", [_resnet, _mobilenet, _unet, _vit, _lstm])


@BUILDS
def test_every_tangent_of_a_network_is_right_to_float32_rounding(build: Any) -> None:
    proto = build()
    x, vectors = _drawn(proto)
    _, names = _exposed(proto)
    found, truth = _tangents(proto, x, vectors, names), _truth(proto, x, vectors)
    errors = {name: _error(found[name], truth[name]) for name in names}
    assert max(errors.values()) <= TOLERANCE, errors


@BUILDS
def test_a_network_that_the_runtime_optimised_and_saved_is_as_exact(
    build: Any, tmp_path: Path
) -> None:
    """Fused operators of com.microsoft, against float64 differences of the network as built."""
    proto = build()
    x, vectors = _drawn(proto)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(tmp_path / "saved.onnx")
    onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    saved = onnx.load(tmp_path / "saved.onnx")
    name = proto.graph.output[0].name
    fused = {each.op_type for each in saved.graph.node if each.domain == "com.microsoft"}
    assert fused or build is _lstm
    found = _tangents(saved, x, vectors, [name])
    assert _error(found[name], _truth(proto, x, vectors)[name]) <= TOLERANCE
