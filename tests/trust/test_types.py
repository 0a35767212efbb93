"""Tensors of every type are measured or listed with a reason, and the totals add up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import NodeProto, TensorProto

from tests.graph.models import model, node, stored, value
from tests.trust.inside import run_inside

_CASTS = {
    "float64": TensorProto.DOUBLE, "float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16,
    "float8_e4m3fn": TensorProto.FLOAT8E4M3FN, "float8_e4m3fnuz": TensorProto.FLOAT8E4M3FNUZ,
    "float8_e5m2": TensorProto.FLOAT8E5M2, "float8_e5m2fnuz": TensorProto.FLOAT8E5M2FNUZ,
    "int4": TensorProto.INT4, "uint4": TensorProto.UINT4, "int8": TensorProto.INT8,
    "int64": TensorProto.INT64, "bool": TensorProto.BOOL, "string": TensorProto.STRING,
}  # fmt: skip


def _kinds() -> dict[str, list[NodeProto]]:
    found = {
        name: [node("Cast", "x", "odd", to=kind), node("Cast", "odd", "back", to=1)]
        for name, kind in _CASTS.items()
    }
    found["sequence"] = [
        node("SequenceConstruct", "x x", "odd"),
        node("SequenceAt", "odd zero", "back"),
    ]
    found["optional"] = [node("Optional", "x", "odd"), node("OptionalGetElement", "odd", "back")]
    found["rank 0"] = [node("ReduceSum", "x", "odd", keepdims=0), node("Add", "odd x", "back")]
    found["rank 12"] = [
        node("Reshape", "x deep", "odd"),
        node("Reshape", "odd flat", "back"),
    ]
    found["no elements"] = [
        node("Slice", "x zero1 zero1 one1", "odd"),
        node("Concat", "odd x", "back", axis=1),
    ]
    return found


@pytest.mark.parametrize("kind", _kinds())
def test_a_tensor_of_any_type_is_accounted_for(kind: str, tmp_path: Path) -> None:
    weights = [
        stored("zero", np.array(0)),
        stored("zero1", np.array([0])),
        stored("one1", np.array([1])),
        stored("deep", np.array([-1, *[1] * 10, 4])),
        stored("flat", np.array([-1, 4])),
    ]
    proto = model(
        [*_kinds()[kind], node("Tanh", "back", "y")],
        [value("x", ["N", 4])],
        [value("y", None)],
        weights,
        opset=21,
        ir=10,
    )
    path, report = tmp_path / "m.onnx", tmp_path / "r.json"
    path.write_bytes(proto.SerializeToString())
    code, said = run_inside(["analyze", str(path), "--data-limit", "16", "-o", str(report)])
    assert code in {0, 4}, said
    content = json.loads(report.read_text())
    coverage = content["coverage"]
    omitted = [*coverage["skipped"], *coverage["failed"]]
    assert coverage["analysed"] + len(omitted) == coverage["tensors"]
    names = {each["name"] for each in content["tensors"]}
    reasons = {each["name"]: each["reason"] for each in omitted}
    assert "odd" in names or reasons["odd"]
    assert "y" in names or reasons["y"]
