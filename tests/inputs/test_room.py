from __future__ import annotations

import subprocess
import sys

import onnxprobe.inputs

HEAVY = ("scipy", "onnx", "onnxruntime", "onnx_ir")


def _loaded(statement: str) -> set[str]:
    script = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_the_room_stays_light() -> None:
    """The command line imports it before it knows what to do."""
    assert _loaded("import onnxprobe.inputs").isdisjoint(HEAVY)


def test_the_test_of_lightness_can_fail() -> None:
    """It sees a heavy import."""
    assert "scipy" in _loaded("import scipy.fft")


def test_what_the_room_offers_is_there() -> None:
    """Every name once, and importable."""
    names = onnxprobe.inputs.__all__
    assert len(set(names)) == len(names)
    assert all(hasattr(onnxprobe.inputs, name) for name in names)
