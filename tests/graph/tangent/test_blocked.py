"""Networks that ONNX Runtime's optimiser wrote with channels in blocks, as the ones they were."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto

import onnxprobe
from onnxprobe.record import JacobianRecord
from onnxprobe.types import Array
from tests.graph.models import model, node, stored, value

BLOCKED = "com.microsoft.nchwc"
X = np.random.default_rng(0).normal(size=(2, 3, 12, 12)).astype(np.float32)


def _weight(*shape: int) -> Array:
    return np.random.default_rng([*shape]).normal(size=shape).astype(np.float32) / 5


def _network(activation: str = "Relu") -> ModelProto:
    """Everything that is blocked: convolutions, sums, poolings, scaling up."""
    window: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    kernel: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", "x w1 b1", "c1", **kernel),
        node(activation, "c1", "r1"),
        node("MaxPool", "r1", "p1", **window),
        node("Conv", "p1 w2 b2", "c2", **kernel),
        node("Add", "c2 p1", "sum"),
        node(activation, "sum", "r2"),
        node("AveragePool", "r2", "p2", **window),
        node("Resize", "p2 _ scales", "up", mode="nearest",
             coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
        node("Conv", "up w3", "c3", **kernel),
        node("GlobalMaxPool", "c3", "top"),
        node("GlobalAveragePool", "c3", "mean"),
        node("Add", "top mean", "both"),
        node("Flatten", "both", "y"),
    ]  # fmt: skip
    weights = [
        stored("w1", _weight(16, 3, 3, 3)),
        stored("b1", _weight(16)),
        stored("w2", _weight(16, 16, 3, 3)),
        stored("b2", _weight(16)),
        stored("w3", _weight(32, 16, 3, 3)),
        stored("scales", np.array([1, 1, 2, 2], np.float32)),
    ]
    return model(nodes, [value("x", ["N", 3, 12, 12])], [value("y", None)], weights)


def _optimised(proto: ModelProto, folder: Path) -> Path:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return folder / "optimised.onnx"


def _jacobians(proto: ModelProto | Path) -> dict[str, JacobianRecord]:
    report = onnxprobe.analyze(proto, X, samples=2, jacobian="jvp")
    assert not report.coverage.failed
    return {each.name: each.jacobian for each in report.tensors if each.jacobian is not None}


@pytest.mark.parametrize("activation", ["Relu", "Sigmoid", "Tanh"])
def test_a_network_in_blocks_has_the_jacobians_of_the_plain_one(
    activation: str, tmp_path: Path
) -> None:
    plain = _network(activation)
    path = _optimised(plain, tmp_path)
    kinds = {each.op_type for each in onnx.load(path).graph.node if each.domain == BLOCKED}
    if not kinds:
        pytest.skip("ONNX Runtime makes no blocks of channels on this processor")
    assert kinds >= {"AveragePool", "Conv", "GlobalAveragePool", "MaxPool", "Upsample"}
    expected, found = _jacobians(plain), _jacobians(path)
    assert set(expected) & set(found) >= {"y"}
    for name in set(expected) & set(found):
        assert found[name].numerical_nodes == []
        for left, right in zip(expected[name].samples, found[name].samples, strict=True):
            assert left.spectrum is not None
            assert right.spectrum is not None
            top = left.spectrum.values[0]
            np.testing.assert_allclose(right.spectrum.values, left.spectrum.values, atol=5e-6 * top)
