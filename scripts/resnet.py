"""A CIFAR ResNet-18, which measurements and extended tests share."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

__all__ = ["SHAPE", "ResNet"]

SHAPE = (3, 32, 32)


class ResNet:
    """A residual network as exporters write it: batch normalisation folded into convolutions."""

    def __init__(self, width: int, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._nodes: list[NodeProto] = []
        self._weights: list[TensorProto] = []
        self.model = self._build(width)

    def _build(self, width: int) -> ModelProto:
        x = self._relu(self._convolve("input", 3, width, 3, 1))
        channels = width
        for stage in range(4):
            for block in range(2):
                stride = 2 if stage and not block else 1
                x = self._block(x, channels, width * 2**stage, stride)
                channels = width * 2**stage
        pooled = self._node("GlobalAveragePool", [x])
        weight = self._weight((channels, 10), channels)
        self._nodes.append(
            helper.make_node("MatMul", [self._node("Flatten", [pooled]), weight], ["logits"])
        )
        graph = helper.make_graph(
            self._nodes,
            "resnet18",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *SHAPE])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])],
            self._weights,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _block(self, x: str, inner: int, outer: int, stride: int) -> str:
        y = self._relu(self._convolve(x, inner, outer, 3, stride))
        y = self._convolve(y, outer, outer, 3, 1)
        if stride != 1 or inner != outer:
            x = self._convolve(x, inner, outer, 1, stride)
        return self._relu(self._node("Add", [y, x]))

    def _relu(self, x: str) -> str:
        return self._node("Relu", [x])

    def _convolve(self, x: str, inner: int, outer: int, kernel: int, stride: int) -> str:
        weight = self._weight((outer, inner, kernel, kernel), inner * kernel**2 / 2)
        bias = self._weight((outer,), 100.0)
        pads = [kernel // 2] * 4
        strides = [stride] * 2
        return self._node("Conv", [x, weight, bias], pads=pads, strides=strides)

    def _node(self, operator: str, inputs: list[str], **attributes: list[int]) -> str:
        output = f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def _weight(self, shape: tuple[int, ...], fan_in: float) -> str:
        name = f"weight{len(self._weights)}"
        values = self._rng.normal(size=shape).astype(np.float32) / np.float32(np.sqrt(fan_in))
        self._weights.append(numpy_helper.from_array(values, name))
        return name
