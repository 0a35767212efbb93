"""Classical estimators (``ai.onnx.ml``), and experimental operators that ONNX took back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from onnxprobe.graph.tangent.elementwise import weighted
from onnxprobe.graph.tangent.emitter import Operand, Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import Expansions, NoRuleError, Result, Rules
from onnxprobe.graph.tangent.scope import Folded

__all__ = ["register"]

_ML = "ai.onnx.ml"


def _floats(node: Node, name: str) -> Any:  # noqa: ANN401 (an array whose shape the caller knows)
    return np.array(node.attr(name, []), np.float32)


def _scaler(node: Node) -> Sequence[Result]:
    return [node.t().cast("float32") * node.e.constant(_floats(node, "scale"))]


def _features(node: Node) -> int:
    width = node.shape()[-1]
    if width is None:
        raise NoRuleError("the number of features is not known")
    return width


def _scores(node: Node, rows: int) -> Value:
    """Write X·coefficientsᵀ + intercepts, one row of coefficients per score."""
    e = node.e
    matrix = _floats(node, "coefficients").reshape(rows, _features(node)).T
    x = node.x().cast("float32")
    if node.rank() == 1:
        x = e.unsqueeze(x, [0])
    result = e.op("MatMul", x, e.constant(np.ascontiguousarray(matrix)))
    shift = _floats(node, "intercepts")
    return result + e.constant(shift) if shift.size else result


def _transformed(node: Node, scores: Value) -> Value:
    name = node.attr("post_transform", "NONE")
    if name == "NONE":
        return scores
    if name == "LOGISTIC":
        return node.e.op("Sigmoid", scores)
    if name == "SOFTMAX":
        return node.e.op("Softmax", scores, axis=1)
    raise NoRuleError(f"post_transform {name!r}")


def _linear_regressor(node: Node) -> list[Value | None]:
    return [_transformed(node, _scores(node, node.attr("targets", 1)))]


def _linear_classifier(node: Node) -> list[Value | None]:
    labels = node.attr("classlabels_ints") or node.attr("classlabels_strings") or []
    rows = _floats(node, "coefficients").size // _features(node)
    if rows < 2 or rows != len(labels):
        raise NoRuleError("LinearClassifier with one row of coefficients")
    return [None, _transformed(node, _scores(node, rows))]


def _normalizer(node: Node) -> list[Value | None]:
    e, x = node.e, node.x().cast("float32")
    axis, norm = node.rank() - 1, node.attr("norm", "MAX")
    if norm == "L1":
        return [x / e.sum(e.op("Abs", x), [axis])]
    if norm == "L2":
        return [x / e.op("Sqrt", e.sum(x * x, [axis]))]
    raise NoRuleError(f"Normalizer with norm {norm!r}")


def _imputer(node: Node) -> Sequence[Result]:
    """What is replaced does not move."""
    x, replaced = node.x(), node.attr("replaced_value_float", 0.0)
    if np.isnan(replaced):
        (gone,) = node.e.node("IsNaN", [x])
        missing = Value(node.e, gone, "bool")
    else:
        missing = x.equals(replaced)
    return [node.e.where(missing, 0.0, node.t())]


def _feature_extractor(node: Node) -> Sequence[Result]:
    node.only(0)
    picked = node.e.gather(node.t(), node.e.reshape(node.x(1), [-1]), node.rank())
    return [node.as_output(picked)]


def _feature_vectorizer(node: Node) -> Sequence[Result]:
    widths = node.attr("inputdimensions", [])
    shapes = [node.shape(place) for place in range(len(node.proto.input))]
    if [shape[-1] for shape in shapes] != widths or any(len(shape) != 2 for shape in shapes):
        raise NoRuleError("FeatureVectorizer that pads, cuts or reshapes its inputs")
    parts = [node.filled(place).cast("float32") for place in range(len(shapes))]
    return [node.e.concat(parts, 2)]


def _support_vectors(node: Node) -> list[Value | None]:
    """SVMRegressor: a sum of kernels with the support vectors, or a linear function."""
    if node.attr("one_class", 0) or node.attr("post_transform", "NONE") != "NONE":
        raise NoRuleError("SVMRegressor with one class or a transform")
    e, count, width = node.e, node.attr("n_supports", 0), _features(node)
    x = node.x().cast("float32")
    weights = e.constant(_floats(node, "coefficients").reshape(-1, 1))
    kind = node.attr("kernel_type", "LINEAR")
    gamma, shift, degree = (node.attr("kernel_params") or [0.0, 0.0, 3.0])[:3]
    if count:
        vectors = _floats(node, "support_vectors").reshape(count, width)
        if kind == "RBF":
            away = e.unsqueeze(x, [1]) - e.constant(vectors)
            x = e.op("Exp", e.sum(away * away, [2], keep=False) * -gamma)
        else:
            x = e.op("MatMul", x, e.constant(np.ascontiguousarray(vectors.T)))
            if kind == "POLY":
                x = (x * gamma + shift) ** degree
            elif kind == "SIGMOID":
                x = e.op("Tanh", x * gamma + shift)
            elif kind != "LINEAR":
                raise NoRuleError(f"kernel {kind!r}")
    elif kind != "LINEAR":
        raise NoRuleError("SVMRegressor without support vectors")
    return [e.op("MatMul", x, weights) + e.constant(_floats(node, "rho")[:1])]


def _scaled_tanh(node: Node) -> Operand:
    slope = node.attr("beta", 1.0)
    bend = node.e.op("Tanh", node.x() * slope)
    return (1.0 - bend * bend) * float(node.attr("alpha", 1.0) * slope)


def _parametric_softplus(node: Node) -> Operand:
    slope = node.attr("beta", 1.0)
    return node.e.op("Sigmoid", node.x() * slope) * float(node.attr("alpha", 1.0) * slope)


# Experimental operators that treat every element alone, and their derivatives.
_EXPERIMENTAL: dict[str, Callable[[Node], Operand]] = {
    "Affine": lambda n: n.attr("alpha", 1.0),
    "ImageScaler": lambda n: n.attr("scale", 1.0),
    "ParametricSoftplus": _parametric_softplus,
    "Scale": lambda n: n.attr("scale", 1.0),
    "ScaledTanh": _scaled_tanh,
}


def _elementwise(factor: Callable[[Node], Operand]) -> Callable[[Node], Sequence[Result]]:
    return lambda node: [weighted(node, {0: factor(node)})]


def _crop(node: Node) -> Sequence[Result]:
    return [Folded(node.linear(node.fold()))]


def register(rules: Rules, expansions: Expansions) -> None:
    """Add these rules and expansions to tables.

    Args:
        rules: Where rules go.
        expansions: Where expansions go.
    """
    rules.add("ArrayFeatureExtractor", _feature_extractor, domain=_ML)
    rules.add("FeatureVectorizer", _feature_vectorizer, domain=_ML)
    rules.add("Imputer", _imputer, domain=_ML)
    rules.add("Scaler", _scaler, domain=_ML)
    expansions.add("LinearClassifier", _linear_classifier, domain=_ML)
    expansions.add("LinearRegressor", _linear_regressor, domain=_ML)
    expansions.add("Normalizer", _normalizer, domain=_ML)
    expansions.add("SVMRegressor", _support_vectors, domain=_ML)
    for operator, factor in _EXPERIMENTAL.items():
        rules.add(operator, _elementwise(factor), undefined=True)
    rules.add("Crop", _crop, undefined=True)
