"""Derived graphs at values that are off by a rounding error each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, checker

from onnxprobe.graph import NOISE_LENGTH, differentiate, infer_types, shaken
from onnxprobe.graph.tangent import Differentiated
from onnxprobe.types import Array
from tests.graph.models import body, model, node, opened, stored, value

UNIT = 2.0**-24
WEIGHT = np.random.default_rng(2).normal(size=(6, 6)).astype(np.float32)
X = np.random.default_rng(3).normal(size=(2, 6)).astype(np.float32)
VECTORS = np.random.default_rng(4).normal(size=(3, 2, 6)).astype(np.float32)
QUIET = np.zeros(NOISE_LENGTH, np.float32)
LOUD = np.ones(NOISE_LENGTH, np.float32)


def _noise(seed: int) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, NOISE_LENGTH).astype(np.float32)


def _derive(proto: ModelProto) -> Differentiated:
    graph = opened(proto)
    derived = differentiate(graph, infer_types(graph, follow_shapes=True), ["x"], ["y"])
    assert not derived.outcome.failed
    return derived


def _run(proto: ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(each) for each in session.run(None, dict(feeds))]


def _both(proto: ModelProto, noise: Array, x: Array = X, v: Array = VECTORS) -> list[list[Array]]:
    """What a derived graph gives, and what it gives when shaken."""
    derived = _derive(proto)
    made = shaken(derived.proto, derived.sources.values(), derived.types)
    checker.check_model(made.proto)
    feeds = {"x": x, "x@tangent": v}
    return [_run(derived.proto, feeds), _run(made.proto, {**feeds, made.noise: noise})]


def _network(opset: int = 17) -> ModelProto:
    nodes = [
        node("MatMul", "x w", "a"),
        node("Tanh", "a", "b"),
        node("MatMul", "b w", "c"),
        node("Relu", "c", "d"),
        node("Exp", "d", "y"),
    ]
    outputs = [value("y", [2, 6])]
    proto = model(nodes, [value("x", [2, 6])], outputs, [stored("w", WEIGHT)])
    proto.opset_import[0].version = opset
    return proto


def _looping() -> ModelProto:
    inner = body(
        [
            node("Identity", "on", "still"),
            node("MatMul", "h w", "m"),
            node("Tanh", "m", "next"),
        ],
        [value("still", [], "bool"), value("next", [2, 6])],
        [value("i", [], "int64"), value("on", [], "bool"), value("h", [2, 6])],
    )
    nodes = [node("Loop", "turns going x", "y", body=inner)]
    weights = [
        stored("w", WEIGHT),
        stored("turns", np.array(4)),
        stored("going", np.array(True)),
    ]
    return model(nodes, [value("x", [2, 6])], [value("y", [2, 6])], weights)


def _choosing() -> ModelProto:
    """The larger of two equal values: any change decides otherwise."""
    nodes = [
        node("Sub", "x x", "zero"),
        node("ReduceSum", "zero", "sum", keepdims=0),
        node("Greater", "sum least", "larger"),
        node("Tanh", "x", "curved"),
        node("Mul", "curved ten", "other"),
        node("Where", "larger other curved", "y"),
    ]
    weights = [stored("least", np.float32(0)), stored("ten", np.float32(10))]
    return model(nodes, [value("x", [2, 6])], [value("y", [2, 6])], weights)


NETWORKS = pytest.mark.parametrize(
    "build",
    [_network, lambda: _network(9), _looping, _choosing],
    ids=["plain", "old", "loop", "choice"],
)


@NETWORKS
def test_without_noise_nothing_changes(build: type[ModelProto]) -> None:
    plain, quiet = _both(build(), QUIET)
    for left, right in zip(plain, quiet, strict=True):
        np.testing.assert_array_equal(left, right)


@NETWORKS
def test_noise_moves_tangents_by_some_rounding_errors(build: type[ModelProto]) -> None:
    """Outputs stay as they are: only what is differentiated at is changed."""
    (output, tangent), (same, moved) = _both(build(), _noise(0))
    np.testing.assert_array_equal(output, same)
    size = np.linalg.norm(moved - tangent) / np.linalg.norm(tangent)
    assert UNIT / 4 < size < 200 * UNIT
    (_, other) = _both(build(), _noise(1))[1]
    assert not np.array_equal(moved, other)


def test_the_change_is_that_of_the_values() -> None:
    """Noise of 1 everywhere makes x² into x²(1 + 2u), twice: once for x and once for its square."""
    nodes = [node("Mul", "x x", "square"), node("Mul", "square x", "y")]
    proto = model(nodes, [value("x", [4])], [value("y", [4])])
    proto.graph.input[0].type.tensor_type.elem_type = 11
    proto.graph.output[0].type.tensor_type.elem_type = 11
    x, v = np.array([0.5, 1.0, 2.0, -3.0]), np.ones((1, 4))
    (_, tangent), (_, moved) = _both(proto, LOUD, x, v)
    u = 2 * 2.0**-53
    # x is off by 1 + u, its square by (1 + u)³: the tangent 2x·x + x² by 2(1 + u)² + (1 + u)³.
    want = (2 * (2 * u) + 3 * u) / 3
    np.testing.assert_allclose((moved - tangent) / tangent, want, atol=2.5 * 2.0**-53)


def test_every_value_has_noise_of_its_own() -> None:
    """Also each element, and the same value in another turn of a loop."""
    derived = _derive(_looping())
    made = shaken(derived.proto, derived.sources.values(), derived.types)
    seen = set()
    for place in range(0, NOISE_LENGTH, 6):
        noise = QUIET.copy()
        noise[place : place + 6] = 1
        feeds = {"x": X, "x@tangent": VECTORS, made.noise: noise}
        found = _run(made.proto, feeds)[1]
        seen.add(found.tobytes())
        if len(seen) > 4:
            break
    assert len(seen) > 4


def test_long_values_read_the_noise_in_turns() -> None:
    long = NOISE_LENGTH + 10
    nodes = [node("Mul", "x x", "square"), node("Mul", "square x", "y")]
    proto = model(nodes, [value("x", [long])], [value("y", [long])])
    (_, tangent), (_, moved) = _both(
        proto, LOUD, np.ones(long, np.float32), np.ones((1, long), np.float32)
    )
    assert (moved != tangent).all()


def test_empty_values_and_numbers_are_shaken_too() -> None:
    for shape in ((), (0, 3), (3, 0)):
        nodes = [node("Tanh", "x", "t"), node("Mul", "t t", "y")]
        proto = model(nodes, [value("x", shape)], [value("y", shape)])
        ones = np.ones(shape, np.float32)
        _both(proto, LOUD, ones, ones[None])


def test_names_do_not_meet() -> None:
    nodes = [node("Tanh", "x", "noise@shaken"), node("Mul", "noise@shaken x", "y")]
    proto = model(nodes, [value("x", [2, 6])], [value("y", [2, 6])])
    plain, quiet = _both(proto, QUIET)
    for left, right in itertools.zip_longest(plain, quiet):
        np.testing.assert_array_equal(left, right)


def _resizing() -> ModelProto:
    """Scales follow from an input, and sizes from them; weights stand among the inputs."""
    nodes = [
        node("Mul", "x w", "m"),
        node("Resize", "m _ scales", "r", mode="linear"),
        node("Tanh", "r", "y"),
    ]
    inputs = [value("x", [1, 1, 2, 6]), value("w", [6])]
    weights = [stored("w", WEIGHT[0]), stored("scales", np.array([1, 1, 2, 2], np.float32))]
    proto = model(nodes, inputs, [value("y", [1, 1, 4, 12])], weights)
    proto.graph.input.append(value("scales", [4]))
    return proto


def test_what_sizes_follow_from_is_left_alone() -> None:
    x, v = X.reshape(1, 1, 2, 6), VECTORS.reshape(3, 1, 1, 2, 6)
    (_, tangent), (_, moved) = _both(_resizing(), _noise(0), x, v)
    size = np.linalg.norm(moved - tangent) / np.linalg.norm(tangent)
    assert UNIT / 4 < size < 20 * UNIT
