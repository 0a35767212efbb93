"""Versions of operators that no model for another opset can be respelled to.

Onnx's evaluator knows only some versions of an operator, so each model comes with another one of a
version that it knows, or of simpler operators, that computes the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from onnx import ModelProto, helper

from onnxprobe.types import Array
from tests.graph.models import model, node, stored, value
from tests.graph.tangent.sequence_models import GRAPHS, OPTIONAL, X, sequence_model
from tests.graph.tangent.specs import Spec, draw

__all__ = ["version_cases"]

Case = tuple[str, int, ModelProto, dict[str, Any], ModelProto]

IMAGE = (2, 3, 5, 6)


def _regions() -> Iterator[Case]:
    """Before opset 16, regions were not shifted by half a pixel."""
    rois = np.array([[0.3, 0.7, 3.2, 4.1], [1.3, -2.3, 7.7, 3.4], [2.2, 1.1, 2.5, 1.6]], np.float32)
    inputs = [draw(*IMAGE), rois, np.array([0, 1, 1], np.int64)]
    options: dict[str, Any] = {"output_height": 2, "output_width": 3, "sampling_ratio": 2}
    old, feeds = Spec("RoiAlign", inputs, 10, attributes=options).model()
    options["coordinate_transformation_mode"] = "output_half_pixel"
    yield "RoiAlign", 10, old, feeds, Spec("RoiAlign", inputs, 16, attributes=options).model()[0]


def _resizing() -> Iterator[Case]:
    image, scales = draw(*IMAGE), np.array([1, 1, 2, 1.5], np.float32)
    plain = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    new = Spec("Resize", [image, None, scales], 13, attributes=plain, stored=(2,)).model()[0]
    old = Spec("Resize", [image, scales], 10, attributes={"mode": "linear"}, stored=(1,))
    yield "Resize", 10, *old.model(), new
    region = np.zeros(0, np.float32)
    middle = Spec("Resize", [image, region, scales], 11, attributes=plain, stored=(1, 2))
    proto, feeds = middle.model()
    yield "Resize", 11, proto, feeds, _named_like(new, feeds)


def _named_like(proto: ModelProto, feeds: dict[str, Any]) -> ModelProto:
    assert [each.name for each in proto.graph.input] == list(feeds)
    return proto


def _scales() -> Iterator[Case]:
    """What integers stand for moves with the scale; the zero point does not."""
    codes, zero = np.array([[3, 200, 17], [90, 5, 255]], np.uint8), np.array(7, np.uint8)
    scale = np.array(0.3, np.float32)
    for version in (10, 13):
        old = Spec("DequantizeLinear", [codes, scale, zero], version)
        proto, feeds = old.model()
        nodes = [
            node("Cast", "x0", "codes", to=1),
            node("Cast", "x2", "zero", to=1),
            node("Sub", "codes zero", "whole"),
            node("Mul", "whole x1", "y0"),
        ]
        inputs = [value("x0", [2, 3], "uint8"), value("x1", []), value("x2", [], "uint8")]
        yield "DequantizeLinear", version, proto, feeds, model(nodes, inputs, [value("y0", [2, 3])])


def _standardised() -> Iterator[Case]:
    """The function body adds a number in float32, which float64 does not mix with."""
    nodes = [
        node("ReduceMean", "x0", "mean", axes=[0, 2, 3]),
        node("Sub", "x0 mean", "middle"),
        node("Mul", "middle middle", "square"),
        node("ReduceMean", "square", "variance", axes=[0, 2, 3]),
        node("Sqrt", "variance", "root"),
        node("Add", "root tiny", "deviation"),
        node("Div", "middle deviation", "y0"),
    ]
    tiny = stored("tiny", np.array(1e-9, np.float32))
    reference = model(nodes, [value("x0", IMAGE)], [value("y0", IMAGE)], [tiny])
    for version in (9, 13):
        whole = Spec("MeanVarianceNormalization", [draw(*IMAGE)], version)
        yield "MeanVarianceNormalization", version, *whole.model(), reference


def _scattered() -> Iterator[Case]:
    places = np.array([[[0, 1, 2, 0]], [[2, 2, 1, 0]]], np.int64)
    inputs = [draw(2, 3, 4), places, draw(2, 1, 4, seed=1)]
    old = Spec("Scatter", inputs, 9, attributes={"axis": 1})
    new = Spec("ScatterElements", inputs, 18, attributes={"axis": 1}).model()[0]
    yield "Scatter", 9, *old.model(), new


def _bits() -> Iterator[Case]:
    same = Spec("BitCast", [draw(2, 3)], 26, attributes={"to": 1})
    yield "BitCast", 26, *same.model(), Spec("Identity", [draw(2, 3)], 16).model()[0]


def _codes() -> Iterator[Case]:
    """Codes are integers; their scale moves with the extremes, zero being one of them."""
    x = draw(3, 4)
    nodes = [
        node("ReduceMax", "x0", "top", keepdims=0),
        node("ReduceMin", "x0", "bottom", keepdims=0),
        node("Sub", "top bottom", "range"),
        node("Div", "range most", "scale"),
    ]
    inputs, outputs = [value("x0", x.shape)], [value("scale", [])]
    reference = model(nodes, inputs, outputs, [stored("most", np.float32(255))])
    coded = model([node("DynamicQuantizeLinear", "x0", "codes scale zero")], inputs, outputs)
    yield "DynamicQuantizeLinear", 11, coded, {"x0": x}, reference


def _mapped() -> Iterator[Case]:
    proto = sequence_model(GRAPHS["map"], ["x", "y"])
    yield "SequenceMap", 17, proto, {"x": X, "y": X + np.float32(0.3)}, proto


def _optional() -> Iterator[Case]:
    for wrapped, plain in OPTIONAL.values():
        proto, reference = (sequence_model(nodes, ["x", "y"]) for nodes in (wrapped, plain))
        for operator, version in (("Optional", 15), ("OptionalGetElement", 18)):
            yield operator, version, proto, {"x": X, "y": X + np.float32(0.3)}, reference


def _norms() -> Iterator[Case]:
    reference = Spec("ReduceL2", [draw(*IMAGE)], 13, attributes={"axes": [2, 3]}).model()[0]
    whole = Spec("GlobalLpPool", [draw(*IMAGE)], 9, attributes={"p": 2})
    yield "GlobalLpPool", 2, *whole.model(), reference


def _soft() -> Iterator[Case]:
    """Before opset 13, everything behind the axis was one row."""
    shape = (2, 3, 4)
    for name in ("Softmax", "LogSoftmax"):
        for version, axis in ((1, 0), (1, 1), (1, 2), (11, 0), (11, 1), (11, 2)):
            old = Spec(name, [draw(*shape)], 9 if version == 1 else 12, attributes={"axis": axis})
            nodes = [
                node("Reshape", "x0 rows", "flat"),
                helper.make_node(name, ["flat"], ["soft"], axis=1),
                node("Reshape", "soft shape", "y0"),
            ]
            weights = [
                stored("rows", np.array([math.prod(shape[:axis]), -1])),
                stored("shape", np.array(shape)),
            ]
            inputs, outputs = [value("x0", shape)], [value("y0", shape)]
            yield name, version, *old.model(), model(nodes, inputs, outputs, weights)


def version_cases() -> dict[tuple[str, int], list[tuple[ModelProto, dict[str, Array], ModelProto]]]:
    """By operator and version: models, what they are fed, and models that compute the same."""
    found: dict[tuple[str, int], list[tuple[ModelProto, dict[str, Array], ModelProto]]] = {}
    for make in (
        _regions, _resizing, _scales, _standardised, _scattered, _bits, _norms, _soft, _codes,
        _mapped, _optional,
    ):  # fmt: skip
        for operator, version, proto, feeds, reference in make():
            found.setdefault((operator, version), []).append((proto, feeds, reference))
    return found
