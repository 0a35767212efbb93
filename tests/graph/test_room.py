from __future__ import annotations

import subprocess
import sys

import numpy as np

import onnxprobe.graph
from onnxprobe.graph import canary_program, canary_weight
from tests.graph.models import ROOT, run


def _loaded(statement: str) -> set[str]:
    script = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


def test_what_the_room_offers_is_there() -> None:
    """Every name once, sorted, and importable."""
    names = onnxprobe.graph.__all__
    assert sorted(set(names)) == sorted(names)
    assert all(hasattr(onnxprobe.graph, name) for name in names)


def test_the_room_runs_nothing() -> None:
    """Neither ONNX Runtime nor the maths is loaded; onnx-ir, which takes long, is not either."""
    assert _loaded("import onnxprobe.graph").isdisjoint({"onnxruntime", "scipy", "onnx_ir"})


def test_the_test_of_what_is_loaded_can_fail() -> None:
    assert "onnxruntime" in _loaded("import onnxprobe.runtime")


def test_the_canary_is_known_by_heart() -> None:
    """Its weight needs all 24 bits of a float32: half of them are lost in 12."""
    weight = canary_weight()
    assert weight.shape == (64, 64)
    assert np.array_equal(weight, weight.astype(np.float32))
    coarse = weight.astype(np.float16)
    assert np.mean(coarse == weight) < 0.01
    assert np.linalg.matrix_rank(weight[:, :2]) == 2


def test_the_canary_computes_its_product() -> None:
    x = np.eye(64, dtype=np.float32)
    assert np.array_equal(run(canary_program(), {"x": x})["y"], canary_weight().astype(np.float32))
