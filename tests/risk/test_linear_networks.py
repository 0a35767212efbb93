"""Networks of one matrix product with known singular values, as files, through a whole analysis.

The samples have a known covariance exactly, in the basis of the singular directions. The prior is
that covariance shrunk by a formula that every matrix is formed for, so that every figure of the
report has a closed form: sums of ``a = σ²λ/N²``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnxprobe
from onnxprobe.record import TensorRecord
from onnxprobe.types import Array, Floats
from tests.closed_forms import Truth

INPUTS, OUTPUTS, COUNT, FILES = 24, 32, 400, 6
VALUES = np.geomspace(2, 0.05, INPUTS)
VARIANCES = np.geomspace(3, 0.01, INPUTS)
KINDS = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


def _basis(size: int, rng: np.random.Generator) -> Floats:
    return np.linalg.qr(rng.standard_normal((size, size)))[0]


def save(path: Path, jacobian: Array) -> Path:
    """Write ``y = J·x`` as a file of one MatMul, in the precision of the array."""
    outputs, inputs = jacobian.shape
    kind = KINDS[str(jacobian.dtype)]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="product")],
        "linear",
        [helper.make_tensor_value_info("x", kind, ["N", inputs])],
        [helper.make_tensor_value_info("y", kind, ["N", outputs])],
        [numpy_helper.from_array(np.ascontiguousarray(jacobian.T), "w")],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def shrunk(samples: Floats) -> float:
    """The intensity of Ledoit & Wolf 2004, every matrix formed."""
    centred = samples - samples.mean(axis=0)
    count, n = centred.shape
    covariance = centred.T @ centred / count
    round_one = np.trace(covariance) / n * np.eye(n)
    wrong = sum(np.square(np.outer(row, row) - covariance).sum() for row in centred) / count**2
    return float(min(1.0, wrong / np.square(covariance - round_one).sum()))


def measure(path: Path, samples: Array, noise: Sequence[float]) -> TensorRecord:
    """Analyse the only tensor along all directions, at one sample."""
    options: dict[str, Any] = {"samples": 1, "device": "cpu", "data_limit": 2048, "threads": 1}
    report = onnxprobe.analyze(path, samples, directions="all", noise=noise, **options)
    assert report.prior is not None
    assert report.prior.kind == "data"
    (tensor,) = report.tensors
    assert tensor.jacobian is not None
    assert tensor.jacobian.complete
    return tensor


@pytest.mark.parametrize("kind", KINDS)
def test_every_figure_of_a_report_is_its_closed_form(kind: str, tmp_path: Path) -> None:
    """To 1e-6, in float32 too: shares of the variance are absolute, all others relative.

    Where hardly anything is left unknown, the van Trees bound, ``1 − ρ``, is a small difference:
    its absolute error is the same 1e-6, and always on the side of a bound that is too low.
    """
    rng = np.random.default_rng(0)
    left, right = _basis(OUTPUTS, rng)[:, :INPUTS], _basis(INPUTS, rng)
    drawn = rng.standard_normal((COUNT, INPUTS))
    white = np.linalg.qr(drawn - drawn.mean(axis=0))[0] * math.sqrt(COUNT - 1)
    samples = (white * np.sqrt(VARIANCES) @ right + 1).astype(kind)
    jacobian = (left * VALUES @ right).astype(kind)
    intensity = shrunk(samples.astype(np.float64))
    prior = (1 - intensity) * VARIANCES + intensity * VARIANCES.mean()
    trace = math.fsum(prior)
    gains = [float(g) for g in VALUES**2 * prior]
    truth = Truth(gains, [float(v) / trace for v in prior], trace)
    rms = math.sqrt(np.square(samples.astype(np.float64) @ jacobian.T.astype(np.float64)).mean())
    shares = (0.01, 0.05, 0.2, 0.5, 0.9, 0.99)
    levels = [truth.noise_for(share) / rms for share in shares]
    path = save(tmp_path / "linear.onnx", jacobian)
    tensor = measure(path, samples, [*levels, 1e-3, 0.1, 10.0])
    for release in tensor.release:
        assert release.s is not None
        noise = release.s * rms
        assert release.recoverable is not None
        assert release.recoverable.low == pytest.approx(truth.rho(noise), abs=1e-6)
        assert release.recoverable.high == pytest.approx(truth.rho(noise), abs=1e-6)
        assert release.recoverable.low <= truth.rho(noise) + 1e-9
        assert release.van_trees_share is not None
        assert release.van_trees_share == pytest.approx(1 - truth.rho(noise), abs=1e-6)
        assert release.van_trees_share <= 1 - truth.rho(noise) + 1e-9
        assert release.van_trees_mse == pytest.approx(
            release.van_trees_share * trace / INPUTS, rel=1e-6
        )
        leakage = math.fsum(VALUES**2) / INPUTS / noise**2
        closed = {
            "recoverable_dof": truth.dof(noise),
            "bits": truth.bits(noise),
            "dfil": leakage,
        }
        for name, expected in closed.items():
            found: Any = getattr(release, name)
            assert found.min == found.max == pytest.approx(expected, rel=1e-6), name
        assert release.unbiased_mse == pytest.approx(1 / leakage, rel=1e-6)
    # What the report calls enough is no less than the noise at which just a share is recoverable;
    # the reconstruction, which learns from samples, asks for a little more.
    enough = tensor.noise_for["0.05"]
    assert enough is not None
    assert levels[1] * (1 - 1e-6) <= enough <= levels[1] * 1.1
    for share, release in zip(shares, tensor.release, strict=False):
        assert release.recoverable is not None
        assert release.recoverable.high == pytest.approx(share, abs=1e-6)


def test_a_reconstruction_attains_what_is_predicted_and_no_more(tmp_path: Path) -> None:
    """Gaussian samples of six files: the squared error of ridge regression by the least there is.

    It learns 8 numbers from 384 samples, which costs about 8/384 of the error; five times that is
    allowed for. The means over files fluctuate by their standard error; three are allowed.
    """
    ratios = []
    noises = (0.03, 0.1, 0.3, 1.0)
    for seed in range(FILES):
        rng = np.random.default_rng(seed)
        factor = _basis(8, rng) * np.geomspace(1, 0.3, 8) @ _basis(8, rng)
        samples = (rng.standard_normal((1024, 8)) @ factor.T).astype(np.float32)
        jacobian = (rng.standard_normal((12, 8)) / 3).astype(np.float32)
        tensor = measure(save(tmp_path / f"{seed}.onnx", jacobian), samples, noises)
        for release in tensor.release:
            assert release.attained is not None
            assert release.recoverable is not None
            assert release.van_trees_share is not None
            # Within four deviations of a mean square over 512 samples of a few directions.
            assert release.attained == pytest.approx(release.recoverable.high, abs=0.04)
            ratios.append((1 - release.attained) / release.van_trees_share)
    by_file = np.reshape(ratios, (FILES, len(noises)))
    mean, error = by_file.mean(axis=0), by_file.std(axis=0, ddof=1) / math.sqrt(FILES)
    assert np.all(mean >= 1 - 3 * error)
    assert np.all(mean <= 1 + 5 * 8 / 384 + 3 * error)
