"""Several tensors as one release, against the stacked Jacobian worked out by hand."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

import onnxprobe
from onnxprobe import DataError
from onnxprobe.risk import recoverability
from onnxprobe.spectrum import Spectrum
from onnxprobe.types import Array
from tests.analysis import networks
from tests.analysis.networks import FLOAT, model


def _two(a: Array, b: Array, batch: int | str = "N") -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["left"]),
        helper.make_node("MatMul", ["x", "b"], ["right"]),
        helper.make_node("Concat", ["left", "right"], ["y"], axis=1),
    ]
    return model(nodes, {"x": (FLOAT, [batch, a.shape[0]])}, ["y"], {"a": a, "b": b})


@pytest.mark.parametrize("isolate", [False, True])
@pytest.mark.parametrize("batch", ["N", 1])
def test_the_stacked_jacobian_is_measured(batch: int | str, isolate: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(6, m)).astype(np.float32) * s for m, s in ((3, 100), (2, 0.01)))
    x = rng.normal(size=(64, 6)).astype(np.float32)
    report = onnxprobe.analyze(
        _two(a, b, batch), x, together=[["left", "right"]], prior="isotropic", noise=["0.3"],
        samples=2, device="cpu", isolate=isolate,
    )  # fmt: skip
    (joint,) = report.together
    assert joint.tensors == ["left", "right"]
    stacked = np.concatenate(
        [a / np.sqrt(np.mean((x @ a) ** 2)), b / np.sqrt(np.mean((x @ b) ** 2))], 1
    )
    _, values, right = np.linalg.svd(stacked.T.astype(float))
    deviation = np.sqrt(np.mean(x.astype(float) ** 2))
    assert right.shape == (6, 6)
    expected = recoverability(
        Spectrum.of([*(values * deviation), 0.0], weights=np.full(6, 1 / 6)), 0.3
    )
    (release,) = joint.record.release
    assert release.recoverable is not None
    assert release.recoverable.high == pytest.approx(expected.high, abs=1e-4)
    jacobian = joint.record.jacobian
    assert jacobian is not None
    assert jacobian.method == "forward mode"
    assert jacobian.rank is not None
    assert jacobian.rank.max == 5
    # It shows more than either part.
    for tensor in report.tensors[:2]:
        part = tensor.release[0].recoverable
        assert part is not None
        assert part.high < release.recoverable.low


def test_the_model_itself_is_what_it_was() -> None:
    plain = onnxprobe.analyze(networks.linear(), samples=1, device="cpu")
    joined = onnxprobe.analyze(
        networks.linear(), samples=1, device="cpu", together=[["product", "y"]]
    )
    assert joined.model == plain.model
    assert joined.coverage == plain.coverage
    assert joined.graph == plain.graph
    names = [tensor.name for tensor in joined.tensors]
    assert names == [tensor.name for tensor in plain.tensors]
    assert not any("onnxprobe" in name for name in names)
    assert [each.tensors for each in joined.together] == [["product", "y"]]


def test_tensors_of_any_shape_and_type_are_put_side_by_side() -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        helper.make_node("ArgMax", ["x"], ["place"], axis=1),
        helper.make_node("Cast", ["place"], ["real"], to=FLOAT),
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
    ]
    proto = model(nodes, {"x": (FLOAT, ["N", 4])}, ["turned", "real", "sum"], {})
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    report = onnxprobe.analyze(
        proto, x, together=[["turned", "place", "sum"], ["place"]], samples=1, device="cpu"
    )
    first, _ = report.together
    assert first.record.jacobian is not None
    assert first.record.jacobian.outputs == 6
    assert first.record.dof is not None


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([["prodcut"]], "'prodcut', to be released with others, is no tensor .did you mean"),
        ([["y", "y"]], "a tensor stands twice among those released together"),
    ],
)
def test_groups_that_cannot_be_are_refused(groups: list[list[str]], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        onnxprobe.analyze(networks.linear(), together=groups, device="cpu")
