"""What ``onnxprobe derive`` says beside writing a file, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto

import onnxprobe
from onnxprobe.cli.main import run
from onnxprobe.errors import DataError
from tests.analysis import networks

FLOAT = networks.FLOAT


def _said(
    proto: ModelProto, folder: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> tuple[int, list[str], ModelProto | None]:
    path, out = folder / "model.onnx", folder / "derived.onnx"
    onnx.save(proto, path)
    code = run(["derive", str(path), "-o", str(out), *options])
    found = capsys.readouterr()
    lines = [*found.out.splitlines()[1:], *found.err.splitlines()]
    return code, lines, onnx.load(out) if out.exists() else None


def _rounding() -> ModelProto:
    nodes = [
        networks.node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        networks.node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        networks.node("Shape", ["x"], ["n"]),
        networks.node("Cast", ["n"], ["c"], to=FLOAT),
    ]
    weights = {"s": np.float32(0.1), "z": np.uint8(3)}
    return networks.model(nodes, {"x": (FLOAT, [2, 3])}, ["y", "c"], weights)


def test_why_a_derivative_is_zero_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines, proto = _said(_rounding(), tmp_path, capsys)
    assert code == 0
    assert lines == [
        "  zero: 'y': it moves in steps, so its derivative is zero wherever there is one",
        "  zero: 'c': only the shape of a source reaches it",
        "  rounding: what passes make_q (QuantizeLinear) moves in steps, whose derivative tells "
        "nothing of it; --straight-through differentiates pairs of quantisation and "
        "dequantisation as if they did not round",
    ]
    assert proto is not None
    _, lines, _ = _said(_rounding(), tmp_path, capsys, "--straight-through", "--tensors", "y")
    assert lines == []


def test_the_metadata_map_tensors_to_their_tangents() -> None:
    """A tensor that is named twice has one tangent; what a file says of itself is replaced."""
    proto = networks.linear()
    proto.metadata_props.add(key="onnxprobe.assumed_ranks", value="lies")
    derived = onnxprobe.derive(proto, tensors=["y", "z", "y"])
    said = {each.key: json.loads(each.value) for each in derived.metadata_props}
    assert said == {
        "onnxprobe.sources": {"x": "x@tangent"},
        "onnxprobe.tangents": {"y": "y@tangent", "z": "z@tangent"},
        "onnxprobe.numerical_nodes": [],
    }
    assert [each.name for each in derived.graph.output] == ["z", "y@tangent", "z@tangent"]


def test_what_the_runtime_does_not_know_is_derived_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside an operator of a domain that ONNX Runtime lacks; the file is for others."""
    nodes = [
        networks.node("Warp", ["x"], ["w"], domain="acme.vision"),
        networks.node("Tanh", ["x"], ["y"]),
    ]
    proto = networks.model(nodes, {"x": (FLOAT, [2, 3])}, ["w", "y"])
    proto.opset_import.add(domain="acme.vision", version=1)
    code, lines, derived = _said(proto, tmp_path, capsys, "--tensors", "y")
    assert code == 0
    assert lines[-1].startswith("  not opened, and neither was the model itself: ONNX Runtime ref")
    assert derived is not None
    code, lines, _ = _said(proto, tmp_path, capsys, "--tensors", "w")
    assert code == 3
    assert "nothing is known of operators of the domain 'acme.vision'" in lines[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"wrt": "x"}, "option wrt is 'x'; expected a list, such as ['x']"),
        ({"tensors": 3}, "option tensors is 3; expected a list, such as [3]"),
        ({"tensors": ["y", 3]}, "option tensors holds 3; expected text"),
        ({"sizes": ["N"]}, "option sizes is ['N']; expected names and sizes, such as {'n': 1}"),
        ({"sizes": {"N": 0}}, "option sizes has 'N': 0; expected a size of at least 1"),
        ({"sizes": {"N": True}}, "option sizes has 'N': True; expected a size of at least 1"),
        (
            {"wrt": ["w"]},
            "--wrt names 'w', which is a weight stored in the model; choose an input or a tensor "
            "that is computed (onnxprobe inspect lists them)",
        ),
        (
            {"tensors": ["w"]},
            "--tensors names 'w', which is a weight stored in the model: nothing moves it; name "
            "tensors that are computed (onnxprobe inspect lists them)",
        ),
    ],
)
def test_an_argument_that_means_nothing_is_named(options: Any, sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        onnxprobe.derive(networks.linear(), **options)
    assert str(caught.value) == sentence


def test_a_declared_rank_that_is_wrong_stops_the_derived_model() -> None:
    """Runtimes warn of it and go on."""
    nodes = [
        networks.node("Reshape", ["x", "shape"], ["h"]),
        networks.node("Softmax", ["h"], ["y"], axis=-1),
    ]
    inputs: dict[str, tuple[int, networks.Shape]] = {
        "x": (FLOAT, [2, 3]),
        "shape": (TensorProto.INT64, ["axes"]),
    }
    proto = networks.model(nodes, inputs, ["y"])
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info("h", FLOAT, ["a", "b"]))
    derived = onnxprobe.derive(proto)
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        derived.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    feeds = {"x": np.ones((2, 3), "f"), "x@tangent": np.ones((4, 2, 3), "f")}
    assert session.run(None, {**feeds, "shape": np.array([3, 2])})[1].shape == (4, 3, 2)
    for shape in ([6], [2, 1, 3]):
        # Whichever node notices first.
        with pytest.raises(Exception, match=r"must be 2|valid range|Shape mismatch"):
            session.run(None, {**feeds, "shape": np.array(shape)})
