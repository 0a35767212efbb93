"""Exposing changes nothing: onnx's own 1,884 models of single operators.

They run in processes of their own, since native code has died on such models.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.graph.models import ROOT

PROCESSES = 2


def _examine(first: int) -> list[dict[str, Any]]:
    program = [sys.executable, "-m", "tests.graph.node_models", str(first), str(PROCESSES)]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        program, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"{lines[-1:]}: {done.stderr[-3000:]}"
    return lines


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """What came of every model, by name."""
    with ThreadPoolExecutor(PROCESSES) as pool:
        lines = [line for each in pool.map(_examine, range(PROCESSES)) for line in each]
    names = {line["index"]: line["name"] for line in lines if "name" in line}
    return {names[line["index"]]: line for line in lines if "outcome" in line}


def test_every_model_is_examined(found: dict[str, dict[str, Any]]) -> None:
    """None is refused on admission, none ends the process."""
    assert len(found) >= 1884
    assert sum(each["outcome"] == "runs" for each in found.values()) >= 1364


def test_exposed_tensors_agree_with_the_reference(found: dict[str, dict[str, Any]]) -> None:
    """Every model that has something to expose, every tensor of it."""
    said = [each["reference"] for each in found.values() if "reference" in each]
    assert len(said) >= 341
    assert set(said) == {"agrees"}


def test_outputs_are_bit_equal_but_for_float16(found: dict[str, dict[str, Any]]) -> None:
    """The runtime computes float16 in float32, and exposing a tensor rounds it: within 4 ulps."""
    moved = {name: each["moved"] for name, each in found.items() if "moved" in each}
    assert len(moved) <= 5
    for outputs in moved.values():
        for dtype, ulps in outputs.values():
            assert dtype == "float16"
            assert ulps <= 4


def test_every_tensor_is_exposed_or_listed_with_its_reason(
    found: dict[str, dict[str, Any]],
) -> None:
    """The totals add up."""
    running = [each for each in found.values() if each["outcome"] == "runs"]
    assert sum(each["skipped"] for each in running) > 100
    assert all(each["tensors"] + each["skipped"] <= each["listed"] for each in running)


def test_models_that_do_not_run_say_why(found: dict[str, dict[str, Any]]) -> None:
    """In one line, without codes, colours or places in somebody's source."""
    for each in found.values():
        if each["outcome"] == "does not run":
            reason = each["reason"]
            assert reason.startswith("ONNX Runtime ")
            assert "\n" not in reason
            assert "\x1b" not in reason
            assert "[ONNXRuntimeError]" not in reason
            assert "onnxruntime::" not in reason
            assert ".cc:" not in reason
            assert ".h:" not in reason
