"""Every model of this repository, whatever framework made it, through the whole path."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import onnxprobe
from onnxprobe import Report
from onnxprobe.graph import load_model
from onnxprobe.inputs import load_samples
from onnxprobe.record import TensorRecord

MODELS = Path(__file__).resolve().parent.parent / "models"
DIGITS = MODELS / "digits.npz"
NAMES = sorted(path.stem for path in MODELS.glob("*.onnx"))


@cache
def analysed(name: str) -> Report:
    return onnxprobe.analyze(
        MODELS / f"{name}.onnx", DIGITS, samples=2, data_limit=200, device="cpu", threads=2
    )


def tensors(name: str) -> dict[str, TensorRecord]:
    return {tensor.name: tensor for tensor in analysed(name).tensors}


def test_there_is_a_model_of_every_kind() -> None:
    assert {name.removeprefix("digits_") for name in NAMES} == {
        "cnn_torch",
        "cnn_torch_batch1",
        "mlp_sklearn",
        "cnn_keras",
        "net_jax",
        "vit_torch",
        "cnn_int8",
        "cnn_float16",
        "tokens_torch",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_is_analysed_or_skipped_with_a_reason(name: str) -> None:
    report = analysed(name)
    assert report.coverage.failed == []
    assert report.coverage.analysed >= 10
    assert all(each.reason for each in report.coverage.skipped)
    assert report.execution is not None
    for tensor in report.tensors:
        assert tensor.dof is not None
        assert tensor.dof.value is not None, tensor.name


@pytest.mark.parametrize("name", NAMES)
def test_exposing_moves_no_output_by_more_than_rounding(name: str) -> None:
    execution = analysed(name).execution
    assert execution is not None
    limit = 4 * float(np.finfo(np.float16).eps) if "float16" in name else 0.0
    assert execution.output_difference is not None
    assert execution.output_difference <= limit


@pytest.mark.parametrize("name", NAMES)
def test_the_loader_reaches_the_accuracy_that_the_table_states(name: str) -> None:
    graph = load_model(MODELS / f"{name}.onnx")
    signature, samples = load_samples(graph.inputs, DIGITS, rng=np.random.default_rng(0))
    (slot,) = signature.slots
    session = onnxruntime.InferenceSession(
        MODELS / f"{name}.onnx", providers=["CPUExecutionProvider"]
    )
    rows = samples.arrays[slot.name]
    found = [session.run(None, {slot.name: slot.feed(row[None])})[-1].argmax() for row in rows]
    accuracy = 100 * float(np.mean(np.array(found) == samples.labels))
    line = next(
        line
        for line in (MODELS / "README.md").read_text().splitlines()
        if line.startswith(f"| `{name}.onnx`")
    )
    stated = re.search(r"\| (\d+\.\d)% \|", line)
    assert stated is not None
    # A single row may be rounded otherwise than a batch, and tip an image at the border.
    assert accuracy == pytest.approx(float(stated[1]), abs=0.21)
    digest = hashlib.sha256((MODELS / f"{name}.onnx").read_bytes()).hexdigest()
    assert digest in line, "the table is of these files"


@pytest.mark.parametrize("name", ["digits_cnn_torch", "digits_vit_torch", "digits_net_jax"])
def test_the_last_layer_knows_less_than_the_first(name: str) -> None:
    first, *_, last = analysed(name).tensors
    shares = [each.release[0].recoverable for each in (first, last)]
    assert shares[0] is not None
    assert shares[1] is not None
    assert shares[0].low > shares[1].high


def test_a_fixed_batch_changes_no_figure() -> None:
    free, fixed = analysed("digits_cnn_torch").tensors, analysed("digits_cnn_torch_batch1").tensors
    assert [tensor.op_type for tensor in free][:5] == [tensor.op_type for tensor in fixed][:5]
    for one, other in zip(free, fixed, strict=True):
        assert one.dof is not None
        assert other.dof is not None
        assert one.dof.value is not None
        assert one.dof.value == pytest.approx(other.dof.value, rel=1e-4)


def test_half_precision_is_measured_as_it_is_and_differentiated_in_float32() -> None:
    report = analysed("digits_cnn_float16")
    assert {tensor.dtype for tensor in report.tensors} == {"float16"}
    assert report.execution is not None
    assert report.execution.upcast_difference is not None
    assert 0 < report.execution.upcast_difference < 1e-2
    exact, half = tensors("digits_cnn_torch"), tensors("digits_cnn_float16")
    for name, tensor in exact.items():
        ranks = [each.jacobian.effective_rank for each in (tensor, half[name]) if each.jacobian]
        assert ranks[0] is not None
        assert ranks[1] is not None
        assert ranks[0].median == pytest.approx(ranks[1].median, rel=0.05)


def test_a_quantised_network_is_piecewise_constant_with_degrees_of_freedom() -> None:
    assert {tensor.status for tensor in analysed("digits_cnn_int8").tensors} == {
        "piecewise constant"
    }


def test_tokens_are_differentiated_by_their_embedding() -> None:
    report = analysed("digits_tokens_torch")
    assert report.source is not None
    assert report.source.size == 64 * 16
    assert "the table of 17 rows" in report.source.chosen
    (first, *_) = report.tensors
    assert first.jacobian is not None
    assert first.jacobian.rank is not None
    assert first.jacobian.rank.min == 1024, "the source itself"


def test_labels_of_a_classifier_carry_no_derivative() -> None:
    found = tensors("digits_mlp_sklearn")
    assert found["label"].jacobian is not None
    assert found["label"].jacobian.status == "piecewise constant"
    assert found["probabilities"].jacobian is not None
    assert found["probabilities"].jacobian.rank is not None
