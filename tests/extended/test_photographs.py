"""Two hundred photographs of 224 × 224 pixels: what they cost, and how far they speak of others."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from onnxprobe.record import Report
from onnxprobe.report.console import print_report
from onnxprobe.types import Floats
from tests.extended.photographs import SIDE, photographs, write_crops
from tests.shared import SHARED
from tests.trust.inside import run_inside

COUNT, FOLDS = 200, 4
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

pytestmark = [
    pytest.mark.extended,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        len(photographs()) < 8,
        reason=f"there are no photographs at {SHARED.name}/data beside the checkout",
    ),
]


@dataclass(frozen=True)
class Analysis:
    """An analysis of crops, and what they are.

    Attributes:
        report: What was found.
        said: What was printed.
        points: The crops as points of the space that they span: an orthonormal basis of it changes
            no distance.
        owners: By crop, which photograph it is of.
    """

    report: Report
    said: str
    points: Floats
    owners: NDArray[np.int64]


def _network() -> onnx.ModelProto:
    """Three convolutions and a classifier, of random weights."""
    rng = np.random.default_rng(1)
    weights = {
        "w1": rng.normal(size=(8, 3, 7, 7)) / 12,
        "w2": rng.normal(size=(16, 8, 5, 5)) / 14,
        "w3": rng.normal(size=(16, 16, 3, 3)) / 12,
        "w4": rng.normal(size=(16, 10)),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["c1"], strides=[4, 4], name="c1"),
        helper.make_node("Relu", ["c1"], ["r1"], name="r1"),
        helper.make_node("Conv", ["r1", "w2"], ["c2"], strides=[2, 2], name="c2"),
        helper.make_node("Relu", ["c2"], ["r2"], name="r2"),
        helper.make_node("Conv", ["r2", "w3"], ["c3"], strides=[2, 2], name="c3"),
        helper.make_node("GlobalAveragePool", ["c3"], ["pooled"], name="pool"),
        helper.make_node("Flatten", ["pooled"], ["features"], name="flat"),
        helper.make_node("MatMul", ["features", "w4"], ["logits"], name="logits"),
    ]
    graph = helper.make_graph(
        nodes,
        "photographs",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Analysis:
    if "extended" not in request.config.getoption("markexpr"):
        pytest.skip("it takes a minute; scripts/extended runs it")
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "crops").mkdir()
    owners = write_crops(folder / "crops", COUNT, np.random.default_rng(0))
    onnx.save(_network(), folder / "model.onnx")
    code, said = run_inside([
        "analyze", str(folder / "model.onnx"), "--data", str(folder / "crops"), "--samples", "2",
        "--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD)), "--device", "cpu",
        "-o", str(folder / "report.json"),
    ])  # fmt: skip
    assert code == 0, said
    pixels = np.empty((COUNT, 3 * SIDE * SIDE))
    for index, file in enumerate(sorted((folder / "crops").iterdir())):
        with Image.open(file) as opened:
            scaled = (np.asarray(opened, float) / 255 - np.array(MEAN)) / np.array(STD)
        pixels[index] = scaled.transpose(2, 0, 1).ravel()
    points = np.linalg.qr(pixels.T)[1].T
    return Analysis(Report.read(folder / "report.json"), said, points, np.array(owners))


def _held_out(points: Floats, folds: NDArray[np.int64]) -> float:
    """Project every fourth part onto the principal components of the rest, one after the other."""
    spanned = total = 0.0
    for fold in range(FOLDS):
        rest, held = points[folds != fold], points[folds == fold]
        centre = rest.mean(axis=0)
        _, values, components = np.linalg.svd(rest - centre, full_matrices=False)
        components = components[values > 1e-6 * values[0]]
        spanned += float(np.square((held - centre) @ components.T).sum())
        total += float(np.square(held - centre).sum())
    return spanned / total


def test_a_sample_takes_as_many_tangents_as_there_are_photographs_less_one(
    analysis: Analysis,
) -> None:
    """The mean takes one, as of every covariance; random ones come on top, to bound the rest."""
    prior = analysis.report.prior
    assert prior is not None
    assert (prior.kind, prior.directions) == ("data", COUNT - 1)
    for tensor in analysis.report.tensors:
        assert tensor.jacobian is not None
        assert tensor.jacobian.inputs == 3 * SIDE * SIDE
        assert tensor.jacobian.directions == COUNT - 1
        assert not tensor.jacobian.complete
        assert tensor.dof is not None
        assert tensor.dof.samples == COUNT


def test_the_share_of_held_out_variance_is_that_of_explicit_projections(
    analysis: Analysis,
) -> None:
    prior = analysis.report.prior
    assert prior is not None
    assert prior.held_out_share is not None
    by_index = _held_out(analysis.points, np.arange(COUNT) % FOLDS)
    assert prior.held_out_share == pytest.approx(by_index, abs=1e-6)
    # It is far less than the share of the samples' own shrunk variance.
    assert 0.5 < prior.held_out_share < prior.share - 0.1


def test_crops_of_one_photograph_speak_for_each_other(analysis: Analysis) -> None:
    """Parts are taken by index: with whole photographs held out, a little less is spanned."""
    prior = analysis.report.prior
    assert prior is not None
    assert prior.held_out_share is not None
    photographs_apart = _held_out(analysis.points, analysis.owners % FOLDS)
    assert prior.held_out_share - 0.03 < photographs_apart < prior.held_out_share


def test_it_is_said_where_80_columns_are_all_there_is(analysis: Analysis) -> None:
    prior = analysis.report.prior
    assert prior is not None
    assert prior.held_out_share is not None
    sentence = (
        f"a data prior (199 directions, {100 * prior.share:.0f}% of its variance, "
        f"{100 * prior.held_out_share:.0f}% of that of held-out samples)"
    )
    assert sentence in " ".join(analysis.said.split())
    page = StringIO()
    print_report(analysis.report, Console(file=page, width=80, force_terminal=True, no_color=True))
    lines = [Text.from_ansi(line).plain for line in page.getvalue().splitlines()]
    assert sentence in " ".join(" ".join(lines).split())
    assert max(cell_len(line.rstrip()) for line in lines) <= 80
