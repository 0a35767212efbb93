"""Small models with If, Loop and Scan through which tensors pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto

from onnxprobe.types import Array
from tests.graph.models import body, model, node, stored, value

__all__ = ["control_models"]

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)


def _choice() -> ModelProto:
    whole = node(
        "If",
        "fed",
        "y",
        then_branch=body([node("Tanh", "x", "t")], [value("t", [2, 3])]),
        else_branch=body([node("Mul", "x x", "m")], [value("m", [2, 3])]),
    )
    return model([whole], [value("x", [2, 3]), value("fed", [], "bool")], [value("y", [2, 3])])


def _turns() -> ModelProto:
    inner = body(
        [
            node("Cast", "i", "f", to=1),
            node("Add", "f one", "g"),
            node("Mul", "a g", "b"),
            node("Tanh", "b", "c"),
            node("Identity", "on", "still"),
        ],
        [value("still", [], "bool"), value("c", [2, 3])],
        [value("i", [], "int64"), value("on", [], "bool"), value("a", [2, 3])],
        [stored("one", np.array(1, np.float32))],
    )
    whole = node("Loop", "turns going x", "y", body=inner)
    weights = [stored("turns", np.array(3)), stored("going", np.array(True))]
    return model([whole], [value("x", [2, 3])], [value("y", [2, 3])], weights)


def _scan() -> ModelProto:
    inner = body(
        [node("Mul", "s r", "p"), node("Tanh", "p", "t"), node("Sin", "r", "u")],
        [value("t", [2]), value("u", [2])],
        [value("s", [2]), value("r", [2])],
    )
    whole = node(
        "Scan", "start x", "y z", body=inner, num_scan_inputs=1, scan_input_axes=[1],
        scan_input_directions=[1],
    )  # fmt: skip
    outputs = [value("y", [2]), value("z", [3, 2])]
    return model([whole], [value("start", [2]), value("x", [2, 3])], outputs)


def control_models() -> list[tuple[str, ModelProto, dict[str, Array]]]:
    """Name models, with what they are fed."""
    start = np.array([0.4, -0.7], np.float32)
    feeds: list[dict[str, Any]] = [
        {"x": X, "fed": np.array(True)},
        {"x": X, "fed": np.array(False)},
        {"x": X},
        {"start": start, "x": X},
    ]
    models = [_choice(), _choice(), _turns(), _scan()]
    names = ["If taken", "If not taken", "Loop", "Scan"]
    return list(zip(names, models, feeds, strict=True))
