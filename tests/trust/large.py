"""Analyses of more than the memory holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto

from tests.graph.models import model, node, stored, value
from tests.trust.command import run

__all__ = ["measure_in_chunks", "open_large"]

SLACK_BYTES = 300 * 2**20
# Elements of a tensor, and tensors.
_SHAPE, _DEPTH = (8, 32, 32), 16


def measure_in_chunks(folder: Path, megabytes: int) -> str:
    """Measure activations of four times the memory, within the memory, as with enough of it."""
    samples = 4 * megabytes * 2**20 // (_DEPTH * 4 * int(np.prod(_SHAPE)))
    weight = np.random.default_rng(0).normal(size=(8, 8, 3, 3)).astype(np.float32) / 8
    nodes = [node("Conv", f"t{at} w", f"t{at + 1}", pads=[1, 1, 1, 1]) for at in range(_DEPTH)]
    outputs = [value(f"t{_DEPTH}", None)]
    proto = model(nodes, [value("t0", ["N", *_SHAPE])], outputs, [stored("w", weight)])
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    found, peak_bytes = [], 0
    for memory in (f"{megabytes}MB", "8GB"):
        report = folder / f"{memory}.json"
        options = ["--samples", "1", "--directions", "8", "--data-limit", str(samples), "-q"]
        ended = run(["analyze", path, "--memory", memory, *options, "-o", report], timeout_s=280)
        assert ended.code == 0, ended
        peak_bytes = peak_bytes or ended.peak_bytes
        content = json.loads(report.read_text())
        found.append([(each["name"], each["dof"]["value"]) for each in content["tensors"]])
    assert peak_bytes <= megabytes * 2**20 + SLACK_BYTES, peak_bytes
    assert len(found[0]) == _DEPTH
    for (name, left), (other, right) in zip(*found, strict=True):
        assert name == other
        assert abs(left - right) <= 1e-9 * right
    return f"{megabytes} MB of memory, {peak_bytes / 2**20:.0f} MB held at most, the same figures"


def open_large(folder: Path, gigabytes: int) -> str:
    """Rewrite a model whose weights are a hole in a file; they are digested and never held."""
    size = gigabytes * 2**30
    with (folder / "w.bin").open("wb") as file:
        file.truncate(size)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[size // 4096, 1024])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    nodes = [node("Gather", "w i", "row"), node("Add", "row x", "y")]
    inputs, outputs = [value("x", ["N", 1024])], [value("y", None)]
    proto = model(nodes, inputs, outputs, [tensor, stored("i", np.array(3))])
    path = folder / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    ended = run(["inspect", path], timeout_s=280)
    assert ended.code == 0, ended
    return f"{gigabytes} GB opened in {ended.seconds:.0f} s, digest and all"
