"""Single nodes of ONNX's own operators, with what they are fed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from onnxprobe.graph.dtypes import element_type
from onnxprobe.types import Array

__all__ = ["LATEST", "SPECS", "Spec", "draw", "integers"]

LATEST = 22


@dataclass
class Spec:
    """A node and what it is fed; ``None`` stands for an input that is left out."""

    operator: str
    inputs: Sequence[Array | None]
    opset: int = LATEST
    outputs: int = 1
    attributes: dict[str, Any] = field(default_factory=dict)
    stored: tuple[int, ...] = ()

    def __str__(self) -> str:
        shapes = " ".join("-" if each is None else str(each.shape) for each in self.inputs)
        extra = " ".join(f"{key}={value}" for key, value in self.attributes.items())
        return f"{self.operator}-{self.opset} {shapes} {extra}".replace("\n", "")

    def model(self) -> tuple[ModelProto, dict[str, Array]]:
        names = [f"x{place}" if each is not None else "" for place, each in enumerate(self.inputs)]
        feeds = {
            name: each for name, each in zip(names, self.inputs, strict=True) if each is not None
        }
        stored = {name: feeds.pop(name) for name in [names[place] for place in self.stored]}
        outputs = [f"y{place}" for place in range(self.outputs)]
        made = helper.make_node(self.operator, names, outputs, **self.attributes)
        graph = helper.make_graph(
            [made],
            "one",
            [
                helper.make_tensor_value_info(name, element_type(str(each.dtype)), each.shape)
                for name, each in feeds.items()
            ],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            [
                helper.make_tensor(name, element_type(str(each.dtype)), each.shape, each.ravel())
                for name, each in stored.items()
            ],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8), feeds

    @property
    def directions(self) -> list[int]:
        """1, 7, and the size of every axis of every operand."""
        shapes = [each.shape for each in self.inputs if each is not None]
        return sorted({1, 7, *(size for shape in shapes for size in shape if size)})


def draw(*shape: int, low: float = -1.5, high: float = 1.5, seed: int = 0) -> Array:
    drawn = np.random.default_rng((seed, *shape)).uniform(low, high, shape)
    return np.asarray(drawn, np.float32)


def integers(*values: Any) -> Array:
    return np.array(values, np.int64)


PAIRS = [
    ((3,), (2, 3)),
    ((2, 3), (3,)),
    ((2, 1, 3), (4, 1)),
    ((1,), (2, 3)),
    ((), (2, 3)),
    ((2, 3), (2, 3)),
    ((1, 3), (1, 3)),
]
UNARY = [
    "Abs", "Asinh", "Atan", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid",
    "HardSwish", "Identity", "LeakyRelu", "Mish", "Neg", "Relu", "Selu", "Shrink", "Sigmoid",
    "Sin", "Sinh", "Softplus", "Softsign", "Tan", "Tanh", "ThresholdedRelu",
]  # fmt: skip
POSITIVE = ["Log", "Reciprocal", "Sqrt"]
SMALL = ["Acos", "Asin", "Atanh"]
REDUCTIONS = [
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
    "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
]  # fmt: skip


def _elementwise() -> list[Spec]:
    specs = [Spec(each, [draw(2, 3)]) for each in UNARY]
    specs += [Spec(each, [draw(1, 4)]) for each in ("Relu", "Tanh", "Neg")]
    specs += [Spec(each, [draw(2, 3, low=0.5)]) for each in POSITIVE]
    specs += [Spec(each, [draw(2, 3, low=-0.7, high=0.7)]) for each in SMALL]
    specs.append(Spec("Acosh", [draw(2, 3, low=1.4, high=3)]))
    for first, second in PAIRS:
        pair = [draw(*first), draw(*second, low=0.5, seed=1)]
        names = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")
        specs += [Spec(each, pair) for each in names]
        # With one operand stored, what moves may be smaller than the result.
        specs += [Spec(each, pair, stored=(0,)) for each in names]
        specs += [Spec(each, pair, stored=(1,)) for each in names]
        if np.broadcast_shapes(first, second) == first:
            # The reference adds to the first operand in place.
            specs += [Spec("Mean", pair), Spec("Mean", pair, stored=(0,))]
        specs.append(Spec("Pow", [draw(*first, low=0.5), pair[1]]))
        specs.append(Spec("Mod", pair, attributes={"fmod": 1}))
        choice = np.asarray(draw(*first, seed=2) > 0)
        specs += [
            Spec("Where", [choice, draw(*second), draw(*first)]),
            Spec("Where", [choice, draw(*first), draw(*second)], stored=(1,)),
            Spec("Where", [choice, draw(*first), draw(*second)], stored=(2,)),
        ]
    specs += [Spec("PRelu", [draw(2, 3, 4), draw(3, 1)]), Spec("Add", PAIR, 9)]
    low, high = np.array(-0.5, np.float32), np.array(0.5, np.float32)
    specs += [
        Spec("Clip", [draw(2, 3), low, high]),
        Spec("Clip", [draw(2, 3), high, low]),
        Spec("Clip", [draw(2, 3), None, high]),
        Spec("Clip", [draw(2, 3)], 9, attributes={"min": -0.5, "max": 0.5}),
    ]
    return specs


PAIR = [draw(3), draw(2, 3)]


def _products() -> list[Spec]:
    shapes: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
        ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
        ((3,), (5, 3, 4)), ((2, 3), (5, 3, 4)), ((5, 1, 2, 3), (2, 3, 4)),
    ]  # fmt: skip
    specs = [Spec("MatMul", [draw(*one), draw(*two)]) for one, two in shapes]
    specs += [Spec("MatMul", [draw(2, 3), draw(3, 4)], stored=(place,)) for place in (0, 1)]
    for turned in ((0, 0), (1, 0), (0, 1), (1, 1)):
        first = draw(3, 2) if turned[0] else draw(2, 3)
        second = draw(4, 3) if turned[1] else draw(3, 4)
        sides = {"transA": turned[0], "transB": turned[1], "alpha": 0.5, "beta": 2.0}
        for bias in ((), (4,), (2, 1)):
            inputs = [first, second, draw(*bias)]
            specs.append(Spec("Gemm", inputs, attributes=sides))
            specs.append(Spec("Gemm", inputs, 9, attributes=sides, stored=(1, 2)))
    image, kernel = draw(2, 4, 5, 6), draw(4, 2, 3, 3)
    options: dict[str, Any] = {
        "group": 2,
        "pads": [1, 0, 1, 2],
        "strides": [2, 1],
        "dilations": [1, 2],
    }
    for stored in ((), (1, 2), (0, 2)):
        specs.append(Spec("Conv", [image, kernel, draw(4)], attributes=options, stored=stored))
        # The reference knows no groups.
        turned_kernel = draw(4, 3, 3, 3)
        spread = {"strides": [2, 1], "pads": [1, 0, 1, 2], "output_padding": [1, 0]}
        specs.append(
            Spec("ConvTranspose", [image, turned_kernel, draw(3)], attributes=spread, stored=stored)
        )
    specs.append(Spec("Conv", [draw(1, 2, 7), draw(3, 2, 3)], stored=(1,)))
    specs.append(Spec("Det", [draw(2, 3, 3)]))
    for equation in ("ij,jk->ik", "bij,bjk->bik", "ij,kj->", "...ij,jk->...ik"):
        first = draw(2, 2, 3) if equation.startswith(("b", ".")) else draw(2, 3)
        second = {"b": draw(2, 3, 4)}.get(equation[0], draw(3, 4))
        second = draw(4, 3) if "kj" in equation else second
        specs.append(Spec("Einsum", [first, second], attributes={"equation": equation}))
    return specs


def _reductions() -> list[Spec]:
    specs = []
    for name in REDUCTIONS:
        x = draw(2, 3, 4, low=0.5)
        for axes in ([1], [0, -1], []):
            for keep in (0, 1):
                options = {"keepdims": keep}
                given = integers(*axes)
                specs.append(Spec(name, [x, given], attributes=options, stored=(1,)))
                if axes:
                    specs.append(Spec(name, [x, given], attributes=options))
                    old = {**options, "axes": axes}
                    opset = 12 if name == "ReduceSum" else 13
                    specs.append(Spec(name, [x], opset, attributes=old))
    zero = draw(2, 3)
    zero[0, 1] = 0
    specs.append(Spec("ReduceProd", [zero], attributes={"keepdims": 0}))
    for name in ("Softmax", "LogSoftmax"):
        whole = [draw(2, 3, 4)]
        specs += [Spec(name, whole, attributes={"axis": axis}) for axis in (0, 1, -1)]
    return specs


def _moves() -> list[Spec]:
    x, places = draw(2, 3, 4), integers([0, 2], [1, 1])
    elements = np.array([[[0, 1, 2, 0]], [[2, 2, 1, 0]]], np.int64)
    specs = [
        Spec("Transpose", [x], attributes={"perm": [2, 0, 1]}),
        Spec("Reshape", [x, integers(0, -1)], stored=(1,)),
        Spec("Reshape", [x, integers(4, 6)]),
        Spec("Flatten", [x], attributes={"axis": 2}),
        Spec("Flatten", [x], attributes={"axis": 0}),
        Spec("Unsqueeze", [x, integers(0, -1)], stored=(1,)),
        Spec("Squeeze", [draw(1, 3, 1), integers(-1)], stored=(1,)),
        Spec("Squeeze", [draw(1, 3, 1)]),
        Spec("Concat", [x, draw(2, 1, 4)], attributes={"axis": -2}),
        Spec("Concat", [draw(2), draw(3)], attributes={"axis": 0}, stored=(1,)),
        Spec("Split", [x, integers(1, 3)], outputs=2, attributes={"axis": -1}, stored=(1,)),
        Spec(
            "Slice", [x, integers(1), integers(4), integers(-1), integers(2)], stored=(1, 2, 3, 4)
        ),
        Spec("Slice", [x, integers(0, 1), integers(1, 3)], stored=(1, 2)),
        Spec("Slice", [x], 9, attributes={"starts": [1], "ends": [3], "axes": [1]}),
        Spec("Gather", [x, places], attributes={"axis": 1}),
        Spec("Gather", [x, np.array(1, np.int64)], attributes={"axis": -1}),
        Spec("GatherElements", [x, elements], attributes={"axis": 1}),
        Spec("GatherND", [x, integers([0, 2], [1, 1])]),
        Spec("GatherND", [x, integers([[2]], [[1]])], attributes={"batch_dims": 1}),
        Spec("Expand", [draw(3, 1), integers(2, 3, 4)], stored=(1,)),
        Spec("Expand", [draw(3, 1), integers(2, 1, 4)]),
        Spec("Tile", [draw(2, 3), integers(2, 1)]),
        Spec("Compress", [x, np.array([True, False, True])], attributes={"axis": 1}),
        Spec("Compress", [x, np.array([True, False, True])]),
        Spec("Trilu", [draw(3, 3)], attributes={"upper": 0}),
        Spec("TopK", [x, integers(2)], outputs=2, attributes={"axis": 1}),
        Spec("Unique", [draw(5)], outputs=2),
        Spec("CumSum", [x, np.array(-1, np.int64)], attributes={"reverse": 1}),
        Spec("CumSum", [x, np.array(1, np.int64)], attributes={"exclusive": 1}),
        Spec("OneHot", [integers(0, 2), np.array(3, np.int64), draw(2)]),
        Spec("Range", [np.array(0.3, np.float32), np.array(2.0, np.float32),
                        np.array(0.4, np.float32)]),
        Spec("DepthToSpace", [draw(2, 4, 2, 3)], attributes={"blocksize": 2}),
        Spec("SpaceToDepth", [draw(2, 1, 4, 2)], attributes={"blocksize": 2}),
        Spec("ReverseSequence", [draw(4, 2), integers(2, 3)]),
    ]  # fmt: skip
    pads = integers(0, 1, 0, 2)
    specs += [
        Spec("Pad", [draw(2, 3), pads], attributes={"mode": mode})
        for mode in ("constant", "edge", "reflect")
    ]
    value = np.array(0.5, np.float32)
    specs += [
        Spec("Pad", [draw(2, 3), pads, value]),
        Spec("Pad", [draw(2, 3), pads, value], stored=(0,)),
        Spec("Pad", [draw(2, 3), integers(1, 2), value, integers(-1)]),
        Spec("Pad", [draw(2, 3)], 9, attributes={"pads": [0, 1, 0, 2]}),
    ]
    update = draw(2, 1, 4, seed=1)
    for reduction in ("none", "add", "mul", "max", "min"):
        options = {"reduction": reduction}
        unique = elements if reduction != "none" else np.zeros_like(elements)
        specs.append(
            Spec("ScatterElements", [x, unique, update], attributes={**options, "axis": -2})
        )
        rows = integers([1], [1]) if reduction != "none" else integers([1], [0])
        specs.append(Spec("ScatterND", [x, rows, draw(2, 3, 4, seed=1)], attributes=options))
    zero = update.copy()
    zero[0, 0, 0] = 0
    specs.append(
        Spec("ScatterElements", [x, elements, zero], attributes={"reduction": "mul", "axis": 1})
    )
    return specs


def _images() -> list[Spec]:
    x = draw(2, 3, 5, 6)
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    scales = np.array([1, 1, 2, 1.5], np.float32)
    specs = [
        Spec("AveragePool", [x], attributes={**window, "count_include_pad": 1}),
        Spec("MaxPool", [x], attributes={**window, "dilations": [1, 2]}),
        Spec("MaxPool", [x], 9, attributes=window),
        Spec("LpPool", [x], attributes={**window, "p": 3}),
        Spec("GlobalAveragePool", [x]),
        Spec("GlobalMaxPool", [x]),
        Spec("Resize", [x, None, scales], attributes={"mode": "linear"}),
        Spec("Resize", [x, None, scales], 13, attributes={"mode": "cubic"}, stored=(2,)),
        Spec("Upsample", [x, np.array([1, 1, 2, 2], np.float32)], 9, stored=(1,)),
        Spec("AffineGrid", [draw(2, 2, 3), integers(2, 1, 3, 4)]),
        Spec("CenterCropPad", [draw(4, 3), integers(2, 5)]),
    ]
    grid = draw(2, 3, 4, 2, low=-0.9, high=0.9)
    for mode in ("linear", "cubic", "nearest"):
        for padding in ("zeros", "border", "reflection"):
            if (mode, padding) == ("cubic", "border"):
                continue
            for aligned in (0, 1):
                options = {"mode": mode, "padding_mode": padding, "align_corners": aligned}
                specs.append(Spec("GridSample", [x, grid], attributes=options))
                specs.append(Spec("GridSample", [x, grid * 2], attributes=options, stored=(0,)))
    specs += [
        Spec("BatchNormalization", [x, *(draw(3, low=0.5, seed=each) for each in range(4))]),
        Spec(
            "BatchNormalization",
            [x, *(draw(3, low=0.5, seed=each) for each in range(4))],
            14,
            stored=(1, 2, 3, 4),
        ),
        Spec("InstanceNormalization", [x, draw(3), draw(3, seed=1)]),
        Spec("LayerNormalization", [x, draw(6), draw(6, seed=1)]),
        Spec("LRN", [x], attributes={"size": 3}),
        Spec("LpNormalization", [x], attributes={"p": 2, "axis": 1}),
        Spec("GroupNormalization", [draw(2, 4, 3), draw(4), draw(4, seed=1)],
              attributes={"num_groups": 2}),
    ]  # fmt: skip
    return specs


def _recurrent() -> list[Spec]:
    specs = []
    for name, gates in (("RNN", 1), ("GRU", 3), ("LSTM", 4)):
        for both in (1, 2):
            inputs: list[Array | None] = [
                draw(3, 2, 4),
                draw(both, gates * 5, 4, low=-0.5, high=0.5),
                draw(both, gates * 5, 5, low=-0.5, high=0.5),
                draw(both, gates * 10, low=-0.5, high=0.5),
            ]
            direction = "forward" if both == 1 else "bidirectional"
            options = {"hidden_size": 5, "direction": direction}
            if name == "GRU":
                options["linear_before_reset"] = both - 1
            if name == "RNN" or both == 1:
                specs.append(Spec(name, inputs, 14, outputs=2, attributes=options))
    return specs


SPECS = [
    *_elementwise(), *_products(), *_reductions(), *_moves(), *_images(), *_recurrent(),
]  # fmt: skip
