"""Models beyond protobuf's 2 GB: rewritten and written without one blob of that size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto

from tests.graph.models import ROOT, model, node, value

# 2.16 GB in three weights that take no room on disk.
COUNT, ROWS, COLUMNS = 3, 18_000, 10_000
WEIGHT_BYTES = 4 * ROWS * COLUMNS

SCRIPT = """
import json, resource, sys
from pathlib import Path
from onnxprobe.graph import catalogue, expose_all, expose_tensors, infer_types, load_model, save
from onnxprobe.graph import write_model

path = Path(sys.argv[1])
graph = load_model(path)
types = infer_types(graph)
names = [info.name for info in catalogue(graph, types)]
program = expose_tensors(graph, names, types=types)
proto = expose_all(graph, types)
# The data file is not written again: /dev/null takes it.
written = write_model(proto, graph.weights, path.with_name("out.onnx"), "w.bin", Path("/dev/null"))
print(json.dumps({
    "names": names,
    "proto": len(program.proto),
    "original": len(graph.original.proto),
    "weights": sum(array.nbytes for array in program.weights.values()),
    "written": written,
    "out": path.with_name("out.onnx").stat().st_size,
    "anonymous_kb": int(next(
        line.split()[1] for line in open("/proc/self/status") if line.startswith("RssAnon")
    )),
}))
"""


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Chain three products with weights in a file of holes."""
    tensors = []
    for index in range(COUNT):
        tensor = TensorProto(name=f"w{index}", data_type=TensorProto.FLOAT)
        tensor.dims.extend([ROWS, COLUMNS] if index % 2 == 0 else [COLUMNS, ROWS])
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="w.bin")
        tensor.external_data.add(key="offset", value=str(index * WEIGHT_BYTES))
        tensor.external_data.add(key="length", value=str(WEIGHT_BYTES))
        tensors.append(tensor)
    nodes = [node("MatMul", f"t{index} w{index}", f"t{index + 1}") for index in range(COUNT)]
    proto = model(nodes, [value("t0", [1, ROWS])], [value("t3", [1, COLUMNS])], tensors)
    (tmp_path / "w.bin").touch()
    os.truncate(tmp_path / "w.bin", COUNT * WEIGHT_BYTES)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def test_a_large_model_is_rewritten_without_being_copied(large: Path) -> None:
    """2.16 GB of weights pass through 150 MB of memory that is the program's own."""
    assert COUNT * WEIGHT_BYTES > 2**31
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(large)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["names"] == ["t1", "t2", "t3"]
    assert found["proto"] < 2000
    assert found["original"] < 2000
    assert found["out"] < 2000
    assert found["weights"] == COUNT * WEIGHT_BYTES
    assert found["written"] >= COUNT * WEIGHT_BYTES
    assert found["anonymous_kb"] < 150_000
