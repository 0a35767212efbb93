"""ONNX Runtime tells nobody what it runs, and no model tells it how."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import onnx

from tests.graph.models import relu

SCRIPT = """
import sys
from onnxprobe.graph import load_model
from onnxprobe.runtime import Session, Settings
from pathlib import Path
Session(load_model(Path(sys.argv[1])).original, Settings(), optimise=True)
"""
CONFIG = '{"session_options": {"enable_profiling": 1, "intra_op_num_threads": 5}}'


def test_a_session_leaves_no_file_anywhere(tmp_path: Path) -> None:
    """No number of the machine, no events waiting to be sent, no profile that a model asks for."""
    proto = relu()
    proto.metadata_props.add(key="ort_config", value=CONFIG)
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    home = tmp_path / "home"
    home.mkdir()
    env = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home), "TMPDIR": str(home)}
    # Where these are set, the library sends nothing anyway.
    for name in ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "ORT_DISABLE_TELEMETRY"):
        env.pop(name, None)
    env["ORT_LOAD_CONFIG_FROM_MODEL"] = "1"
    env["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    subprocess.run([sys.executable, "-c", SCRIPT, path], check=True, env=env, cwd=home)
    assert [*home.rglob("*")] == []
