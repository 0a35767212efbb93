"""What an analysis says is recoverable, end to end: against posteriors written out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf

from tests.analysis import networks
from tests.analysis.test_conduct import analyse, normal


def test_recoverability_is_told_at_the_worst_sample_and_at_the_median() -> None:
    weight = networks.flat(8, 12, 8)
    gated = networks.model(
        [networks.node("MatMul", ["x", "w"], ["y"]), networks.node("Softplus", ["y"], ["z"])],
        {"x": (networks.FLOAT, ["N", 12])},
        ["z"],
        {"w": weight},
    )
    data = normal(400, 12)
    report = analyse(gated, data, noise=["0.5"], samples=5, data_limit=400)
    tensor = report.tensors[-1]
    assert tensor.activations is not None
    assert tensor.activations.rms is not None
    noise = 0.5 * tensor.activations.rms
    shrunk = ledoit_wolf(data.astype(np.float64))[0]
    covariance = shrunk * len(data) / (len(data) - 1)
    truth = []
    for sample in report.data.jacobian_samples:
        slope = 1 / (1 + np.exp(-(data[sample].astype(np.float64) @ weight)))
        jacobian = slope[:, None] * weight.T
        posterior = np.linalg.inv(jacobian.T @ jacobian / noise**2 + np.linalg.inv(covariance))
        truth.append(1 - np.trace(posterior) / np.trace(covariance))
    (release,) = tensor.release
    assert release.recoverable is not None
    assert release.recoverable_median is not None
    assert max(truth) - np.median(truth) > 0.02
    assert release.recoverable.low == pytest.approx(max(truth), abs=1e-3)
    assert release.recoverable_median.low == pytest.approx(np.median(truth), abs=1e-3)
    assert release.recoverable_median.high == pytest.approx(np.median(truth), abs=1e-3)


def test_enough_noise_is_enough_for_prediction_and_reconstruction() -> None:
    data = normal(120, 12) * np.geomspace(1, 0.1, 12).astype(np.float32)
    targets = [0.3, 0.02]
    made = networks.linear(rank=12)
    found = {each.name: each for each in analyse(made, data, targets=targets).tensors}
    for name in ("y", "z"):
        assert list(found[name].noise_for) == ["0.3", "0.02"]
        for target, enough in found[name].noise_for.items():
            assert enough is not None

            def recovered(s: float, name: str = name) -> float:
                again = {each.name: each for each in analyse(made, data, noise=[s]).tensors}
                (release,) = again[name].release
                assert release.recoverable is not None
                assert release.attained is not None
                return max(release.recoverable.high, release.attained)

            assert recovered(enough) <= float(target) + 1e-6
            assert recovered(enough / 1.02) > float(target)


def test_recoverability_is_that_of_the_linear_gaussian_posterior() -> None:
    data = normal(300, 12)
    (tensor, *_) = analyse(networks.linear(rank=12), data, noise=["0.5"], data_limit=300).tensors
    weight = networks.flat(20, 12, 12).astype(np.float64)
    covariance = np.cov(data.astype(np.float64).T)
    assert tensor.activations is not None
    assert tensor.activations.rms is not None
    noise = 0.5 * tensor.activations.rms
    posterior = np.linalg.inv(weight @ weight.T / noise**2 + np.linalg.inv(covariance))
    truth = 1 - np.trace(posterior) / np.trace(covariance)
    (release,) = tensor.release
    assert release.recoverable is not None
    # The prior is shrunk towards a multiple of the identity, a little with 300 samples of 12.
    assert release.recoverable.low == pytest.approx(truth, abs=0.01)
    # One Jacobian for all samples: the mean differs by the noise floors alone.
    assert release.van_trees_share == pytest.approx(1 - release.recoverable.high, abs=1e-4)
    enough = tensor.noise_for["0.05"]
    assert enough is not None
    again = analyse(networks.linear(rank=12), data, noise=[enough], data_limit=300).tensors[0]
    assert again.release[0].recoverable is not None
    assert again.release[0].attained is not None
    most = max(again.release[0].recoverable.high, again.release[0].attained)
    assert most == pytest.approx(0.05, abs=1e-4)


def test_hardly_any_noise_is_no_fault() -> None:
    report = analyse(networks.linear(rank=12), normal(40, 12), noise=["1e-300"])
    assert report.tensors
    assert all(each.release[0].dfil is None for each in report.tensors)
