"""Analyses with exact derivatives: what is exact, what is not, and what is said of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.messages import Part
from onnxprobe.analysis.worker import derivation, opening
from onnxprobe.analysis.worker.sensitivity import JacobianRequest, measure_jacobians
from onnxprobe.analysis.worker.source import measure_source
from onnxprobe.analysis.worker.survey import survey
from onnxprobe.errors import RunError
from onnxprobe.record import JacobianRecord
from onnxprobe.types import Array
from tests.analysis import networks
from tests.analysis.test_conduct import analyse, by_name, normal


def _jacobian(report_tensor: object) -> JacobianRecord:
    record = getattr(report_tensor, "jacobian", None)
    assert isinstance(record, JacobianRecord)
    return record


def test_auto_is_exact_where_every_node_has_a_rule() -> None:
    found = by_name(analyse(networks.linear(), normal(40, 12)))
    for name in ("product", "y", "z"):
        record = _jacobian(found[name])
        assert record.method == "forward mode"
        assert record.step is None
        assert record.rank is not None
        assert record.rank.max <= 3
    product = _jacobian(found["product"])
    assert product.rank is not None
    assert (product.rank.min, product.rank.max) == (3, 3)


def test_ranks_that_only_a_run_shows_are_known_of_tensors_that_nobody_asked_for() -> None:
    """Exporters write shapes with computed slices, through which inference sees no rank."""
    nodes = [
        networks.node("MatMul", ["x", "w"], ["product"]),
        networks.node("Shape", ["product"], ["whole"]),
        networks.node("Shape", ["whole"], ["rank"]),
        networks.node("Sub", ["rank", "one"], ["last"]),
        networks.node("Slice", ["whole", "zero", "last"], ["front"]),
        networks.node("Concat", ["front", "tail"], ["shape"], axis=0),
        networks.node("Reshape", ["product", "shape"], ["parts"]),
        networks.node("Transpose", ["parts"], ["swapped"]),
        networks.node("Tanh", ["swapped"], ["y"]),
    ]
    constants = {
        "w": np.eye(12, dtype=np.float32),
        "one": np.array([1], np.int64),
        "zero": np.array([0], np.int64),
        "tail": np.array([3, 4], np.int64),
    }
    proto = networks.model(nodes, {"x": (networks.FLOAT, ["N", 12])}, ["y"], constants)
    found = analyse(proto, normal(20, 12), include=("y",))
    (tensor,) = found.tensors
    assert (tensor.name, _jacobian(tensor).method) == ("y", "forward mode")


def test_a_spectrum_is_known_down_to_rounding() -> None:
    """Ranks at 1e-6 mean something: the singular values reach to 1e-7."""
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((32, 32)))[0]
    right = np.linalg.qr(rng.standard_normal((32, 32)))[0]
    # None of them is near to a power of ten.
    values = np.append(1.0, 10.0 ** -(np.arange(0, 7.75, 0.25) + 0.125))
    weight = ((left * values) @ right).astype(np.float32)
    nodes = [
        networks.node("MatMul", ["x", "w"], ["y"]),
        networks.node("Tanh", ["y"], ["z"]),
    ]
    proto = networks.model(nodes, {"x": (networks.FLOAT, ["N", 32])}, ["z"], {"w": weight})
    record = _jacobian(by_name(analyse(proto, normal(60, 32)))["y"])
    truth = np.linalg.svd(weight.astype(np.float64), compute_uv=False)
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6):
        found = record.rank_at[f"{tolerance:.0e}".replace("e-0", "e-")]
        assert found.median == int((truth > tolerance * truth[0]).sum())
        assert not found.at_least
    assert record.noise_floor is not None
    assert 1e-9 < record.noise_floor.max < 1e-6


@pytest.mark.parametrize("mode", ["auto", "jvp"])
def test_a_node_without_a_rule_is_named(mode: str) -> None:
    """Det of a matrix larger than its rule covers is differenced alone."""
    nodes = [
        networks.node("Reshape", ["x", "s"], ["square"]),
        networks.node("Det", ["square"], ["det"]),
        networks.node("Relu", ["x"], ["other"]),
    ]
    proto = networks.model(
        nodes,
        {"x": (networks.FLOAT, ["N", 4225])},
        ["det", "other"],
        {"s": np.array([-1, 65, 65])},
    )
    data = (np.eye(65, dtype=np.float32).ravel() + normal(10, 4225) * 0.01).astype(np.float32)
    report = analyse(proto, data, jacobian=mode, directions=8, samples=1)
    found = by_name(report)
    det, other = _jacobian(found["det"]), _jacobian(found["other"])
    assert other.method == "forward mode"
    assert other.numerical_nodes == []
    assert any("no exact rule for make_det (Det)" in each for each in report.assumptions)
    assert det.method == "forward mode"
    assert any("make_det" in each for each in det.numerical_nodes)


def test_what_differencing_one_node_leaves_uncertain_is_in_the_floor() -> None:
    """Norms over windows, of which the last ones are cut off: no rule covers those."""
    node = networks.node("LpPool", ["x"], ["y"])
    for key, each in {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1, "p": 2}.items():
        node.attribute.append(helper.make_attribute(key, each))
    proto = networks.model([node], {"x": (networks.FLOAT, ["N", 1, 5, 5])}, ["y"], {}, opset=18)
    data = normal(10, 25).reshape(-1, 1, 5, 5)
    report = analyse(proto, data, samples=1)
    record = _jacobian(by_name(report)["y"])
    assert record.method == "forward mode"
    assert record.numerical_nodes
    (sample,) = record.samples
    assert sample.spectrum is not None
    x = data[sample.sample, 0].astype(np.float64)
    truth = np.zeros((9, 5, 5))
    for place, (row, column) in enumerate(np.ndindex(3, 3)):
        window = np.s_[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        truth[place][window] = x[window] / np.linalg.norm(x[window])
    values = np.linalg.svd(truth.reshape(9, 25), compute_uv=False)
    found = np.array(sample.spectrum.values[:9])
    assert 0 < sample.spectrum.floor < 1e-2
    np.testing.assert_allclose(found, values, atol=sample.spectrum.floor)


def test_exact_derivatives_or_none() -> None:
    """Asked for exact derivatives, nothing is measured in another way."""
    nodes = [
        networks.node("Dropout", ["x", "", "on"], ["dropped"]),
        networks.node("Relu", ["x"], ["other"]),
    ]
    inputs: dict[str, tuple[int, networks.Shape]] = {
        "x": (networks.FLOAT, ["N", 12]),
        "on": (TensorProto.BOOL, []),
    }
    proto = networks.model(nodes, inputs, ["dropped", "other"], {})
    data = {"x": normal(20, 12), "on": np.zeros(20, bool)}
    report = analyse(proto, data, jacobian="jvp")
    assert [each.name for each in report.tensors] == ["other"]
    (failure,) = report.coverage.failed
    assert failure.reason.startswith("it has no exact derivative: make_dropped (Dropout): this")


def test_both_methods_agree() -> None:
    data = normal(40, 12)
    exact = _jacobian(by_name(analyse(networks.linear(), data))["y"])
    differences = _jacobian(by_name(analyse(networks.linear(), data, jacobian="fd"))["y"])
    assert differences.method == "finite differences"
    assert exact.samples[0].spectrum is not None
    assert differences.samples[0].spectrum is not None
    np.testing.assert_allclose(
        exact.samples[0].spectrum.values[:3],
        differences.samples[0].spectrum.values[:3],
        rtol=1e-3,
    )


def _badly_conditioned(kind: str) -> tuple[ModelProto, Array, Array]:
    """A network that magnifies rounding errors, its data, and its Jacobian in float64."""
    rng = np.random.default_rng(3)
    first, second = (np.linalg.qr(rng.standard_normal((24, 24)))[0] for _ in range(2))
    data = normal(8, 24)
    weights: dict[str, Any]
    if kind == "values":
        # What tanh is differentiated at has lost four digits.
        weights = {"w": first.astype(np.float32), "c": np.float32(1e4)}
        nodes = [
            networks.node("MatMul", ["x", "w"], ["a"]),
            networks.node("Add", ["a", "c"], ["b"]),
            networks.node("Sub", ["b", "c"], ["d"]),
            networks.node("Tanh", ["d"], ["y"]),
        ]
        exact = weights["w"].astype(np.float64)
        jacobian = (exact * (1 - np.tanh(data[0].astype(np.float64) @ exact)[None] ** 2)).T
    elif kind == "tangents":
        # The second layer cancels what the first one magnifies.
        gains = np.ones(24)
        gains[:4] = 1e3
        kept = np.eye(24) - second[:4].T @ second[:4]
        weights = {
            "w": (first * gains @ second).astype(np.float32),
            "v": (kept @ first).astype(np.float32),
        }
        nodes = [
            networks.node("MatMul", ["x", "w"], ["a"]),
            networks.node("MatMul", ["a", "v"], ["y"]),
        ]
        jacobian = (weights["w"].astype(np.float64) @ weights["v"].astype(np.float64)).T
    else:
        # A recurrence that forgets no rounding error.
        weights = {"w": (1.6 * first).astype(np.float32)}
        exact, state, jacobian, last = weights["w"].astype(np.float64), data[0], np.eye(24), "x"
        nodes = []
        for turn in range(30):
            names = f"a{turn}", f"y{turn}" if turn < 29 else "y"
            nodes.append(networks.node("MatMul", [last, "w"], [names[0]]))
            nodes.append(networks.node("Tanh", [names[0]], [names[1]]))
            state, last = np.tanh(state @ exact), names[1]
            jacobian = (exact * (1 - state[None] ** 2)).T @ jacobian
    proto = networks.model(nodes, {"x": (networks.FLOAT, ["N", 24])}, ["y"], weights)
    return proto, data, jacobian


@pytest.mark.parametrize("kind", ["values", "tangents", "recurrence"])
def test_the_floor_covers_what_a_network_makes_of_rounding_errors(kind: str) -> None:
    """An estimate by the number of operators would be below the error by a factor of up to 300."""
    proto, data, jacobian = _badly_conditioned(kind)
    repeated = np.repeat(data[:1], 8, axis=0)
    record = _jacobian(by_name(analyse(proto, repeated, samples=1))["y"])
    assert record.noise_model == "shaken values"
    truth = np.linalg.svd(jacobian, compute_uv=False)
    spectrum = record.samples[0].spectrum
    assert spectrum is not None
    error = np.abs(np.array(spectrum.values) - truth[spectrum.indices]).max()
    assert 2e-6 * truth[0] < error < spectrum.floor < 100 * error
    for tolerance, found in record.rank_at.items():
        assert found.min <= int((truth > float(tolerance) * truth[0]).sum())


def test_where_the_changed_graph_does_not_run_the_floor_is_an_estimate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two graphs take more memory than one; the figures are those of the one."""
    monkeypatch.setattr(opening, "limit_memory", lambda _: None)
    content = networks.linear().SerializeToString()
    study, _ = opening.open_study(
        opening.ModelFile(None, content, "linear"),
        Configuration(device="cpu"),
        opening.GivenSamples({None: normal(40, 12)}),
    )
    (layout,) = survey(study, ["y"]).layouts
    measure_source(study, None, 64, 12, lambda _: None)
    request = JacobianRequest.model_validate({
        "layouts": [layout],
        "passes": [[Part(name="y", start=0, stop=layout.size)]],
        "rows": 8,
        "samples": [0, 1],
        "directions": 12,
        "forward": True,
        "steps": [],
        "relative": False,
        "optimise": True,
        "noise": {},
        "scales": {},
    })
    (usual,) = measure_jacobians(study, request, lambda _: None).answers
    assert usual.jacobian.noise_model == "shaken values"

    def fail(self: object, tangents: object) -> None:
        raise RunError("memory ran out")

    monkeypatch.setattr(derivation._ShakenRunner, "run", fail)
    (found,) = measure_jacobians(study, request, lambda _: None).answers
    assert found.jacobian.noise_model == "path length"
    assert found.jacobian.rank == usual.jacobian.rank
