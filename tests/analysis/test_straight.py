"""Analyses of a quantised model, straight through its rounding and not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import onnxprobe
from onnxprobe.errors import DataError

ROOT = Path(__file__).parents[2]
INT8, FLOAT = (ROOT / "models" / f"digits_cnn_{name}.onnx" for name in ("int8", "torch"))
DATA = ROOT / "models" / "digits.npz"


def _images() -> np.ndarray:
    with np.load(DATA, allow_pickle=False) as archive:
        return np.asarray(archive["images"][:40, None] / 255, np.float32)


def test_a_quantised_network_has_about_the_spectrum_of_the_one_it_was_made_of() -> None:
    report = onnxprobe.analyze(INT8, _images(), straight_through=True, include=["logits"])
    plain = onnxprobe.analyze(FLOAT, _images(), include=["logits"])
    (found,), (wanted,) = report.tensors, plain.tensors
    assert found.jacobian is not None
    assert wanted.jacobian is not None
    assert found.jacobian.straight_through
    assert not wanted.jacobian.straight_through
    assert found.jacobian.method == "forward mode"
    first = found.jacobian.samples[0].spectrum
    second = wanted.jacobian.samples[0].spectrum
    assert first is not None
    assert second is not None
    np.testing.assert_allclose(first.values, second.values, rtol=0.3)
    assert any("pass straight through 8 pairs" in each for each in report.assumptions)


def test_unless_it_is_asked_for_nothing_passes() -> None:
    report = onnxprobe.analyze(INT8, _images(), include=["logits"])
    (found,) = report.tensors
    assert found.status == "piecewise constant"
    assert found.jacobian is not None
    assert found.jacobian.method is None
    assert not any("straight" in each for each in report.assumptions)


def test_differences_cannot_do_it() -> None:
    with pytest.raises(DataError, match=r"^differences do not pass straight through rounding: cho"):
        onnxprobe.analyze(INT8, _images(), straight_through=True, jacobian="fd")


def test_a_derived_model_lists_what_it_passes_straight_through() -> None:
    derived = onnxprobe.derive(INT8, straight_through=True)
    said = {entry.key: json.loads(entry.value) for entry in derived.metadata_props
            if entry.key.startswith("onnxprobe.")}  # fmt: skip
    assert said["onnxprobe.numerical_nodes"] == []
    assert len(said["onnxprobe.straight_through"]) == 8
    keys = [entry.key for entry in onnxprobe.derive(INT8).metadata_props]
    assert "onnxprobe.straight_through" not in keys
