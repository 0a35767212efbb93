"""Analyses with exact derivatives: what is exact, what is not, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.record import JacobianRecord
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


def test_a_spectrum_is_known_down_to_rounding() -> None:
    """Ranks at 1e-6 mean something: the singular values reach to 1e-7."""
    rng = np.random.default_rng(0)
    left = np.linalg.qr(rng.standard_normal((32, 32)))[0]
    right = np.linalg.qr(rng.standard_normal((32, 32)))[0]
    values = 10.0 ** -np.arange(0, 8, 0.25)
    weight = ((left * values) @ right).astype(np.float32)
    nodes = [
        networks.node("MatMul", ["x", "w"], ["y"]),
        networks.node("Tanh", ["y"], ["z"]),
    ]
    proto = networks.model(nodes, {"x": (networks.FLOAT, ["N", 32])}, ["z"], {"w": weight})
    record = _jacobian(by_name(analyse(proto, normal(60, 32)))["y"])
    truth = np.linalg.svd(weight.astype(np.float64), compute_uv=False)
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5):
        found = record.rank_at[f"{tolerance:.0e}".replace("e-0", "e-")]
        assert found.median == int((truth > tolerance * truth[0]).sum())
        assert not found.at_least
    assert record.noise_floor is not None
    assert 1e-9 < record.noise_floor.max < 1e-6


@pytest.mark.parametrize("mode", ["auto", "jvp"])
def test_a_node_without_a_rule_is_named(mode: str) -> None:
    """Det of a matrix larger than its rule covers: jvp differences it alone, auto all to it."""
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
    if mode == "jvp":
        assert det.method == "forward mode"
        assert any("make_det" in each for each in det.numerical_nodes)
    else:
        assert det.method == "finite differences"


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
