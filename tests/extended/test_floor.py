"""The noise floor of exact derivatives, against singular values that PyTorch finds in float64."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

import onnxprobe
from tests.graph.tangent.test_networks import BUILDS

pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(
        importlib.util.find_spec("torch") is None,
        reason="PyTorch is not installed; pip install torch==2.13.0",
    ),
    # PyTorch itself uses what it deprecates.
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]


@BUILDS
def test_the_floor_is_neither_optimistic_nor_over_cautious(build: Any) -> None:
    """Every singular value is right to the floor, of which half are within 50 times what is wrong.

    All of them are below 2e-6 of the largest value.
    """
    from tests.extended.torch_graph import jacobians, run

    proto = build()
    shape = tuple(each.dim_value for each in proto.graph.input[0].type.tensor_type.shape.dim)
    x = np.random.default_rng(3).normal(size=(2, *shape)).astype(np.float32)
    data = x.reshape(2, *shape[1:]) if shape[0] == 1 else x
    report = onnxprobe.analyze(proto, data, samples=1)
    (sample,) = report.data.jacobian_samples
    truth = jacobians(lambda point: run(proto, point), x[sample])
    ratios = []
    for tensor in report.tensors:
        assert tensor.jacobian is not None
        assert tensor.jacobian.method == "forward mode"
        spectrum = tensor.jacobian.samples[0].spectrum
        assert spectrum is not None
        values = np.linalg.svd(truth[tensor.name], compute_uv=False)
        # The Gram matrix may be that of the directions, of which there are more than elements.
        whole = np.zeros(max(values.size, spectrum.size))
        whole[: values.size] = values
        error = np.abs(np.array(spectrum.values) - whole[spectrum.indices]).max()
        assert error <= spectrum.floor, f"{tensor.name}: {error:.1e} above {spectrum.floor:.1e}"
        assert spectrum.floor <= 2e-6 * values[0], tensor.name
        ratios.append(spectrum.floor / max(error, 1e-30))
    assert np.median(ratios) <= 50
