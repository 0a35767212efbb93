"""Networks of the tests, run by PyTorch in float64, which shares nothing with this package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import ModelProto, NodeProto, helper, numpy_helper
from torch import Tensor
from torch.nn import functional

from onnxprobe.types import Array

__all__ = ["jacobians", "run"]

_Operator = Callable[[Sequence[Any], Mapping[str, Any]], Any]


def _conv(read: Sequence[Any], own: Mapping[str, Any]) -> Tensor:
    pads = own.get("pads", [0, 0, 0, 0])
    assert pads[:2] == pads[2:]
    return functional.conv2d(
        read[0],
        read[1],
        read[2] if len(read) > 2 else None,
        stride=own.get("strides", [1, 1]),
        padding=pads[:2],
        groups=own.get("group", 1),
    )


def _conv_transpose(read: Sequence[Any], own: Mapping[str, Any]) -> Tensor:
    return functional.conv_transpose2d(read[0], read[1], read[2], stride=own["strides"])


def _batch_norm(read: Sequence[Any], own: Mapping[str, Any]) -> Tensor:
    x, scale, shift, mean, variance = read
    return functional.batch_norm(x, mean, variance, scale, shift, eps=own["epsilon"])


def _resize(read: Sequence[Any], own: Mapping[str, Any]) -> Tensor:
    assert own["coordinate_transformation_mode"] == "half_pixel"
    assert own["mode"] == "linear"
    scales = [float(each) for each in read[2][2:]]
    return functional.interpolate(
        read[0], scale_factor=scales, mode="bilinear", align_corners=False
    )


def _gemm(read: Sequence[Any], own: Mapping[str, Any]) -> Tensor:
    second = read[1].T if own.get("transB") else read[1]
    product: Tensor = read[0] @ second + read[2]
    return product


def _lstm(read: Sequence[Any], own: Mapping[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """One direction; gates stand in the order input, output, forget, cell."""
    x, weight, recurrent, bias = (each[0] if at else each for at, each in enumerate(read[:4]))
    size = own["hidden_size"]
    h = c = torch.zeros(x.shape[1], size, dtype=x.dtype)
    states = []
    for step in x:
        whole = step @ weight.T + h @ recurrent.T + bias[: 4 * size] + bias[4 * size :]
        into, out, forget, cell = whole.split(size, 1)
        c = forget.sigmoid() * c + into.sigmoid() * cell.tanh()
        h = out.sigmoid() * c.tanh()
        states.append(h)
    return torch.stack(states)[:, None], h[None], c[None]


def _squeeze(read: Sequence[Any], own: Mapping[str, Any]) -> Tensor:
    made: Tensor = read[0].squeeze(int(read[1][0]))
    return made


def _reshape(read: Sequence[Any], own: Mapping[str, Any]) -> Tensor:
    sizes = [read[0].shape[at] if size == 0 else size for at, size in enumerate(read[1].tolist())]
    made: Tensor = read[0].reshape(sizes)
    return made


OPERATORS: dict[str, _Operator] = {
    "Add": lambda x, _: x[0] + x[1],
    "AveragePool": lambda x, a: functional.avg_pool2d(x[0], a["kernel_shape"], a["strides"]),
    "BatchNormalization": _batch_norm,
    "Clip": lambda x, _: x[0].clamp(float(x[1]), float(x[2])),
    "Concat": lambda x, a: torch.cat(list(x), a["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Elu": lambda x, _: functional.elu(x[0]),
    "Erf": lambda x, _: torch.erf(x[0]),
    "Flatten": lambda x, _: x[0].flatten(1),
    "Gather": lambda x, a: x[0].select(a["axis"], int(x[1])),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x, _: x[0].mean((2, 3), keepdim=True),
    "HardSigmoid": lambda x, a: (a["alpha"] * x[0] + 0.5).clamp(0, 1),
    "HardSwish": lambda x, _: functional.hardswish(x[0]),
    "InstanceNormalization": lambda x, _: functional.instance_norm(
        x[0], weight=x[1], bias=x[2], eps=1e-5
    ),
    "LSTM": _lstm,
    "LayerNormalization": lambda x, a: functional.layer_norm(
        x[0], x[1].shape, x[1], x[2], a["epsilon"]
    ),
    "LeakyRelu": lambda x, a: functional.leaky_relu(x[0], a["alpha"]),
    "MatMul": lambda x, _: x[0] @ x[1],
    "MaxPool": lambda x, a: functional.max_pool2d(x[0], a["kernel_shape"], a["strides"]),
    "Mul": lambda x, _: x[0] * x[1],
    "ReduceMean": lambda x, a: x[0].mean(a["axes"], keepdim=bool(a["keepdims"])),
    "Relu": lambda x, _: x[0].relu(),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": lambda x, _: x[0].sigmoid(),
    "Softmax": lambda x, a: x[0].softmax(a["axis"]),
    "Squeeze": _squeeze,
    "Tanh": lambda x, _: x[0].tanh(),
    "Transpose": lambda x, a: x[0].permute(a["perm"]),
}


def run(proto: ModelProto, x: Tensor) -> dict[str, Tensor]:
    """Compute every tensor of a model with one input, in the precision of that input."""
    values: dict[str, Any] = {"": None, proto.graph.input[0].name: x}
    for tensor in proto.graph.initializer:
        array = torch.tensor(numpy_helper.to_array(tensor))
        values[tensor.name] = array.to(x.dtype) if array.is_floating_point() else array
    computed: dict[str, Tensor] = {}
    for node in proto.graph.node:
        made = OPERATORS[node.op_type]([values[name] for name in node.input], _attributes(node))
        outputs = made if isinstance(made, tuple) else (made,)
        found = dict(zip(node.output, outputs, strict=False))
        values.update(found)
        computed.update(found)
    return computed


def _attributes(node: NodeProto) -> dict[str, Any]:
    values = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {key: each.decode() if isinstance(each, bytes) else each for key, each in values.items()}


def jacobians(
    function: Callable[[Tensor], dict[str, Tensor]], x: Array, chunk: int = 64
) -> dict[str, Array]:
    """Differentiate in float64, exactly.

    Args:
        function: Returns tensors by name.
        x: Where.
        chunk: Directions taken at a time.

    Returns:
        By tensor, its Jacobian of shape (outputs, inputs).
    """
    point = torch.tensor(np.asarray(x, np.float64))
    directions = torch.eye(point.numel(), dtype=point.dtype).reshape(-1, *point.shape)

    def along(direction: Tensor) -> dict[str, Tensor]:
        moved: dict[str, Tensor] = torch.func.jvp(function, (point,), (direction,))[1]
        return moved

    found = torch.func.vmap(along, chunk_size=chunk)(directions)
    return {
        name: each.reshape(len(directions), -1).T.detach().numpy() for name, each in found.items()
    }
