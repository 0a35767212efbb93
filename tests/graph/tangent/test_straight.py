"""Derivatives straight through rounding: only if asked for, only within the range of a type."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto

from onnxprobe.graph import behind_rounding, differentiate, infer_types
from onnxprobe.graph.flow import Reach, trace
from onnxprobe.graph.tangent import Differentiated
from onnxprobe.types import Array
from tests.graph.models import model, node, opened, stored, value

WEIGHT = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
X = np.array([[-3.0, 0.26, 1.1], [0.4, 9.0, -0.7]], np.float32)


SCALE, ZERO = np.float32(0.05), np.uint8(30)


def _rounded(
    scale: Any = SCALE,
    zero: Any = ZERO,
    back: Any = None,
    **attributes: Any,
) -> ModelProto:
    """``x``, rounded to integers and back, times a matrix."""
    weights = [stored("s", scale), stored("z", zero), stored("w", WEIGHT)]
    if back is not None:
        weights.append(stored("b", back))
    nodes = [
        node("QuantizeLinear", "x s z", "q", "down", **attributes),
        node("DequantizeLinear", f"q {'s' if back is None else 'b'} z", "d", "up", **attributes),
        node("MatMul", "d w", "y"),
    ]
    return model(nodes, [value("x", [2, 3])], [value("y", [2, 4])], weights, opset=21, ir=10)


def _derive(proto: ModelProto, target: str = "y", **options: Any) -> Differentiated:
    graph = opened(proto)
    return differentiate(graph, infer_types(graph), ["x"], [target], **options)


def _tangents(derived: Differentiated, vectors: Array) -> Array:
    session = onnxruntime.InferenceSession(
        derived.proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = {"x": X, derived.sources["x"]: vectors}
    found: Array = session.run(list(derived.tangents.values()), feeds)[0]
    return found


VECTORS = np.random.default_rng(1).normal(size=(5, 2, 3)).astype(np.float32)


def _expected(scale: Any, zero: Any, low: int, high: int) -> Array:
    place = X / scale + np.asarray(zero, np.float32)
    inside = (np.rint(place) >= low) & (np.rint(place) <= high)
    assert 0 < inside.sum() < inside.size, "some of the values are cut off, and some are not"
    return np.asarray((VECTORS * inside) @ WEIGHT)


def test_without_being_asked_for_it_rounding_has_derivative_zero() -> None:
    derived = _derive(_rounded())
    assert derived.outcome.straight == []
    assert not _tangents(derived, VECTORS).any()


def test_a_derivative_passes_where_the_value_is_not_cut_off() -> None:
    derived = _derive(_rounded(), straight_through=True)
    assert derived.outcome.straight == ["up"]
    assert derived.outcome.numerical == []
    found = _tangents(derived, VECTORS)
    np.testing.assert_allclose(found, _expected(0.05, 30, 0, 255), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [1, -1])
def test_each_channel_has_its_own_scale(axis: int) -> None:
    scale, zero = np.array([0.05, 0.03, 0.02], np.float32), np.array([0, -3, 5], np.int8)
    derived = _derive(_rounded(scale, zero, axis=axis), straight_through=True)
    found = _tangents(derived, VECTORS)
    np.testing.assert_allclose(found, _expected(scale, zero, -128, 127), rtol=1e-5, atol=1e-6)


def test_another_scale_on_the_way_back_is_a_factor() -> None:
    derived = _derive(_rounded(back=np.float32(0.1)), straight_through=True)
    expected = 2 * _expected(0.05, 30, 0, 255)
    np.testing.assert_allclose(_tangents(derived, VECTORS), expected, rtol=1e-5, atol=1e-6)


def test_scales_of_blocks_are_refused_and_named() -> None:
    scale = np.full((2, 1), 0.05, np.float32)
    zero = np.full((2, 1), 30, np.uint8)
    proto = _rounded(scale, zero, block_size=3, axis=1)
    derived = _derive(proto, straight_through=True)
    assert derived.outcome.failed["y"] == (
        "up (DequantizeLinear): blocks of numbers have scales of their own"
    )


def test_integers_that_something_else_computes_stay_constant() -> None:
    """What is not quantised and dequantised at once is no pair."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("Reshape", "q shape", "r"),
        node("DequantizeLinear", "r s z", "y"),
    ]
    weights = [
        stored("s", np.float32(0.05)),
        stored("z", np.uint8(30)),
        stored("shape", np.array([3, 2])),
    ]
    proto = model(nodes, [value("x", [2, 3])], [value("y", [3, 2])], weights)
    derived = _derive(proto, straight_through=True)
    assert derived.outcome.straight == []
    assert not _tangents(derived, VECTORS).any()


def test_the_reach_of_a_source_follows() -> None:
    graph = opened(_rounded())
    types = infer_types(graph)
    plain, straight = (trace(graph, ["x"], types, straight_through=each) for each in (False, True))
    assert plain["y"] is Reach.PIECEWISE_CONSTANT
    assert straight["q"] is Reach.PIECEWISE_CONSTANT
    assert straight["d"] is straight["y"] is Reach.SMOOTH
    assert behind_rounding(graph, {"x", "d", "y"}) == {"d", "y"}
