"""What ONNX Runtime's optimiser fuses."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from onnxprobe.types import Array
from tests.graph.models import node
from tests.graph.tangent.contrib_case import ML, Case, case, draw, reference


def _activation(name: str, *parameters: float) -> Callable[[Array], Array]:
    low, high = (*parameters, 0.0, 0.0)[:2]
    functions: dict[str, Callable[[Array], Array]] = {
        "Relu": lambda x: np.maximum(x, 0),
        "LeakyRelu": lambda x: np.where(x > 0, x, low * x),
        "Tanh": np.tanh,
        "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "Clip": lambda x: np.clip(x, low, high),
        "HardSigmoid": lambda x: np.clip(low * x + high, 0, 1),
    }
    return functions[name]


_ACTIVATIONS: list[tuple[str, list[float]]] = [
    ("Relu", []),
    ("LeakyRelu", [0.3]),
    ("Tanh", []),
    ("Sigmoid", []),
    ("Clip", [-0.5, 0.75]),
    ("HardSigmoid", [0.3, 0.4]),
]


def _convolutions() -> list[Case]:
    x, w, b, z = draw(2, 4, 6, 6), draw(4, 2, 3, 3) / 3, draw(4), draw(2, 4, 3, 3)
    shared: dict[str, Any] = {"pads": [1, 1, 1, 1], "strides": [2, 2], "group": 2}
    cases = []
    for name, parameters in _ACTIVATIONS:
        bend = _activation(name, *parameters)

        def formula(
            feeds: Mapping[str, Array], bend: Callable[[Array], Array] = bend
        ) -> list[Array]:
            names = " ".join(each for each in feeds if each != "z")
            kept = {key: each for key, each in feeds.items() if key != "z"}
            (whole,) = reference(node("Conv", names, "y", **shared))(kept)
            return [bend(whole + feeds["z"] if "z" in feeds else whole)]

        own: dict[str, Any] = {"activation": name, **shared}
        if parameters:
            own["activation_params"] = parameters
        inputs = {"x": x, "w": w, "b": b, "z": z}
        for count in (2, 3, 4):
            some = dict(list(inputs.items())[:count])
            label = f"FusedConv {name} {count}"
            cases.append(case(label, some, formula=formula, **own))
    return cases


def _gemms() -> list[Case]:
    cases = []
    for place, (name, parameters) in enumerate(_ACTIVATIONS):
        if name == "Clip":
            continue
        bend = _activation(name, *parameters)
        turned: dict[str, Any] = {"transA": place % 2, "transB": place // 2 % 2}
        gains: dict[str, Any] = {"alpha": 0.7, "beta": 0.6}

        def formula(
            feeds: Mapping[str, Array],
            bend: Callable[[Array], Array] = bend,
            own: Mapping[str, Any] = {**turned, **gains},
        ) -> list[Array]:
            (whole,) = reference(node("Gemm", " ".join(feeds), "y", **own))(feeds)
            return [bend(whole)]

        named = dict(zip(("activation_alpha", "activation_beta"), parameters, strict=False))
        a = draw(4, 3) if place % 2 else draw(3, 4)
        b = draw(5, 4, seed=1) if place // 2 % 2 else draw(4, 5, seed=1)
        for inputs in ({"a": a, "b": b, "c": draw(5)}, {"a": a, "b": b}):
            label = f"FusedGemm {name} {len(inputs)}"
            own = {"activation": name, **turned, **gains, **named}
            cases.append(case(label, inputs, formula=formula, **own))
    return cases


def _products() -> list[Case]:
    a, b = draw(2, 3, 4), draw(2, 4, 5, seed=1)
    return [
        case("FusedMatMul plain", {"a": a, "b": b}, alpha=0.5),
        case("FusedMatMul turned", {"a": draw(2, 4, 3), "b": draw(2, 5, 4)}, transA=1, transB=1),
        case("FusedMatMul unequal", {"a": draw(2, 3, 4, 5), "b": draw(5, 3)}, alpha=2.0),
        case("FusedMatMul unequal left", {"a": draw(3, 5), "b": draw(4, 5, 3)}),
        case("FusedMatMul vector", {"a": draw(4), "b": b}, alpha=2.0),
        case("FusedMatMul batch", {"a": draw(3, 2, 4), "b": b}, transBatchA=1),
        case(
            "FusedMatMul batch of both",
            {"a": draw(3, 2, 6, 4), "b": draw(5, 2, 6, 4)},
            transBatchA=1,
            transBatchB=1,
            transB=1,
        ),
        case("TransposeMatMul", {"a": draw(2, 4, 3), "b": b}, transA=1, alpha=0.3),
    ]


def _gelus() -> list[Case]:
    x, b = 2 * draw(2, 3, 4), draw(4)
    return [
        case("Gelu", {"x": x}),
        case("QuickGelu", {"x": x}),
        case("QuickGelu steep", {"x": x}, alpha=0.7),
        case("BiasGelu", {"x": x, "b": b}),
        case("FastGelu", {"x": x}),
        case("FastGelu with a bias", {"x": x, "b": b}),
        # The kernel, which only CUDA has, takes few sizes.
        case(
            "BiasSplitGelu",
            {"x": draw(1, 2, 2560), "b": draw(2560)},
            formula=_split_gelu,
            has_kernel=False,
        ),
        case(
            "BiasAdd",
            {"x": x, "b": b, "skip": draw(2, 3, 4, seed=1)},
            formula=lambda f: [f["x"] + f["b"] + f["skip"]],
            has_kernel=False,
        ),
    ]


def _split_gelu(feeds: Mapping[str, Array]) -> list[Array]:
    left, right = np.split(feeds["x"] + feeds["b"], 2, -1)
    erf = np.vectorize(math.erf)
    return [left * right * (1 + erf(right / np.sqrt(2))) / 2]


def _norms() -> list[Case]:
    x, skip, g, b = draw(2, 3, 8), draw(2, 3, 8, seed=1), draw(8), draw(8, seed=1)
    bias = draw(8, seed=2)
    return [
        case("SimplifiedLayerNormalization", {"x": x, "g": g}, domain="", epsilon=1e-3),
        case(
            "SimplifiedLayerNormalization of the other domain",
            {"x": x, "g": g},
            formula=lambda f: [f["x"] / np.sqrt((f["x"] ** 2).mean(-1, keepdims=True)) * f["g"]],
            has_kernel=False,
            epsilon=0.0,
        ),
        case("SimplifiedLayerNormalization 1", {"x": x, "g": draw(3, 8)}, "y i", "", axis=1),
        case("LayerNormalization", {"x": x, "g": g, "b": b}, "y m i", "", epsilon=1e-3),
        case("SkipLayerNormalization", {"x": x, "s": skip, "g": g, "b": b}, epsilon=1e-3),
        case("SkipLayerNormalization 3", {"x": x, "s": skip, "g": g}),
        case(
            "SkipLayerNormalization 5",
            {"x": x, "s": skip, "g": g, "b": b, "bias": bias},
            "y _ _ s4",
        ),
        case("SkipLayerNormalization broadcast", {"x": x, "s": draw(3, 8), "g": g, "b": b}),
        case("SkipSimplifiedLayerNormalization", {"x": x, "s": skip, "g": g}, epsilon=1e-3),
        case(
            "SkipSimplifiedLayerNormalization 4",
            {"x": x, "s": skip, "g": g, "bias": bias},
            "y _ _ s4",
        ),
    ]


def _groups(
    activation: int, *, last: bool, epsilon: float = 1e-5, groups: int = 2
) -> Callable[[Mapping[str, Array]], list[Array]]:
    def formula(feeds: Mapping[str, Array]) -> list[Array]:
        x = feeds["x"]
        sums = []
        if "s" in feeds:
            skip = feeds["s"][:, None, None] if feeds["s"].ndim == 2 else feeds["s"]
            x = x + skip + feeds.get("bias", np.float32(0))
            sums = [x]
        channels_last = x if last else np.moveaxis(x, 1, -1)
        n, h, w, c = channels_last.shape
        parts = channels_last.reshape(n, h * w, groups, c // groups)
        middle = parts - parts.mean((1, 3), keepdims=True)
        scaled = middle / np.sqrt((middle**2).mean((1, 3), keepdims=True) + epsilon)
        y = scaled.reshape(n, h, w, c) * feeds["g"] + feeds["b"]
        y = y / (1 + np.exp(-y)) if activation else y
        return [y if last else np.moveaxis(y, -1, 1), *sums]

    return formula


def _group_norms() -> list[Case]:
    x, g, b = draw(2, 3, 3, 4), draw(4), draw(4, seed=1)
    first = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    cases = [
        case(
            f"GroupNorm {activation} {last}",
            {"x": x if last else first, "g": g, "b": b},
            formula=_groups(activation, last=last),
            has_kernel=False,
            activation=activation,
            channels_last=int(last),
            groups=2,
        )
        for activation in (0, 1)
        for last in (True, False)
    ]
    cases.extend(
        case(
            f"SkipGroupNorm {skip.ndim} {skip.size}",
            {"x": x, "g": g, "b": b, "s": skip, "bias": draw(4, seed=2)},
            "y z",
            formula=_groups(1, last=True),
            has_kernel=False,
            activation=1,
            groups=2,
        )
        for skip in (draw(2, 3, 3, 4, seed=1), draw(2, 1, 1, 4), draw(2, 4))
    )
    return cases


def _linear() -> list[Case]:
    rng = np.random.default_rng(0)
    packed = rng.integers(0, 256, (4, 2, 8)).astype(np.uint8)
    scales = draw(8)
    bits: dict[str, Any] = {"K": 32, "N": 4, "bits": 4, "block_size": 16}
    grid = rng.uniform(-1, 1, (2, 3, 4, 2)).astype(np.float32)
    x = draw(2, 3, 32)
    missing = np.where(draw(3, 4) > 0.5, np.float32(np.nan), draw(3, 4))
    return [
        case("MatMulNBits", {"x": x, "w": packed, "s": scales}, still="s", **bits),
        case(
            "MatMulNBits bias",
            {"x": x, "w": packed, "s": scales, "z": None, "i": None, "b": draw(4)},
            still="s b",
            **bits,
        ),
        case(
            "MatMulBnb4",
            {"x": x, "w": rng.integers(0, 256, 64).astype(np.uint8), "s": scales},
            still="s",
            K=32,
            N=4,
            block_size=16,
            quant_type=1,
        ),
        case("GatherND", {"x": draw(3, 4), "i": np.array([[0, 1], [2, 3]], np.int64)}),
        case("Trilu", {"x": draw(2, 4, 4), "k": np.array(1, np.int64)}, upper=0),
        case("GridSample", {"x": draw(2, 3, 5, 5), "g": grid}, still="g"),
        case("UnfoldTensor", {"x": draw(2, 3, 8)}, dim=-1, size=4, step=2),
        case(
            "Imputer nan",
            {"x": missing},
            domain=ML,
            imputed_value_floats=[0.5],
            replaced_value_float=float("nan"),
        ),
    ]


CONTRIB = [
    *_convolutions(),
    *_gemms(),
    *_products(),
    *_gelus(),
    *_norms(),
    *_group_norms(),
    *_linear(),
]
