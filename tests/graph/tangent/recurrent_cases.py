"""Recurrent operators with attributes that onnx's own evaluator does not know."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxprobe.types import Array
from tests.graph.tangent.contrib_case import Case, case, draw

__all__ = ["RECURRENT"]

LENGTH, BATCH, WIDTH, HIDDEN = 4, 2, 3, 2
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


def _inputs(name: str, ways: int, **more: Array | None) -> dict[str, Array | None]:
    gates = GATES[name] * HIDDEN
    return {
        "x": draw(LENGTH, BATCH, WIDTH),
        "w": draw(ways, gates, WIDTH),
        "r": draw(ways, gates, HIDDEN, seed=1) / 2,
        "b": draw(ways, 2 * gates, seed=2) / 2,
        "l": None,
        "h": draw(ways, BATCH, HIDDEN, seed=3) / 2,
        **more,
    }


def _case(label: str, both: bool = False, more: Any = None, **attributes: Any) -> Case:
    name = label.split()[0]
    if both:
        attributes["direction"] = "bidirectional"
    outputs = "y h1 c1" if name == "LSTM" else "y h1"
    inputs = _inputs(name, 1 + both, **(more or {}))
    return case(label, inputs, outputs, "", hidden_size=HIDDEN, **attributes)


def _recurrent() -> list[Case]:
    c, p = draw(2, BATCH, HIDDEN, seed=4), draw(2, 3 * HIDDEN, seed=5) / 2
    short = {"l": np.array([3, 2], np.int32)}
    return [
        _case("RNN leaky", activations=["LeakyRelu"], activation_alpha=[0.3]),
        _case("RNN leaky plain", activations=["LeakyRelu"]),
        # Parameters belong to the functions that have some, in order.
        _case(
            "RNN mixed", both=True, activations=["Tanh", "Elu"], activation_alpha=[0.7]
        ),
        _case("RNN scaled", activations=["ScaledTanh"], activation_alpha=[0.5],
              activation_beta=[1.5]),
        _case("RNN affine", activations=["Affine"], activation_alpha=[0.4], activation_beta=[0.1]),
        _case("RNN hard", activations=["HardSigmoid"], activation_alpha=[0.3],
              activation_beta=[0.4]),
        _case("RNN soft", both=True, activations=["Softsign", "Softplus"]),
        _case("RNN short", both=True, more=short),
        _case("RNN clipped", both=True, clip=1.1, near_kinks=True),
        _case("RNN reversed", direction="reverse"),
        _case("GRU plain", both=True),
        _case("GRU reset", linear_before_reset=1),
        _case("GRU short", both=True, more=short),
        _case("GRU clipped", clip=0.6, near_kinks=True),
        _case("GRU mixed", activations=["HardSigmoid", "ScaledTanh"],
              activation_alpha=[0.3, 0.5], activation_beta=[0.4, 1.5], near_kinks=True),
        _case("LSTM plain", both=True),
        _case("LSTM peepholes", both=True, more={"c": c, "p": p}),
        _case("LSTM peepholes short", both=True, more={"c": c, "p": p, **short}),
        _case("LSTM forget", more={"c": c[:1]}, input_forget=1),
        _case("LSTM clipped", clip=0.6, near_kinks=True),
        _case("LSTM mixed", activations=["HardSigmoid", "LeakyRelu", "Tanh"],
              activation_alpha=[0.3, 0.2], activation_beta=[0.4]),
    ]  # fmt: skip


RECURRENT = _recurrent()
