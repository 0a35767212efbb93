"""What models declare, what users give, and what is tried where neither says it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from onnxprobe import DataError, RunError
from onnxprobe.analysis.arguments import configure
from tests.analysis import networks
from tests.analysis.test_conduct import analyse, by_name, normal


def test_a_model_in_bfloat16_is_measured_in_float32_and_says_so() -> None:
    report = analyse(networks.halves(), normal(40, 6))
    assert report.coverage.failed == []
    found = by_name(report)
    assert found["y"].jacobian is not None
    assert found["y"].jacobian.rank is not None
    assert found["y"].jacobian.rank.min == 5
    assert any("no half-precision kernels" in each for each in report.assumptions)


def test_a_model_in_float16_is_measured_as_it_is_and_differentiated_in_float32() -> None:
    report = analyse(networks.halves(TensorProto.FLOAT16), normal(40, 6))
    found = by_name(report)
    assert found["y"].dtype == "float16"
    assert found["y"].jacobian is not None
    assert found["y"].jacobian.rank is not None
    assert found["y"].jacobian.rank.min == 5
    assert not found["y"].jacobian.rank_at["1e-4"].at_least, "float16 could not tell"
    assert report.execution is not None
    assert report.execution.upcast_difference is not None


def test_open_dimensions_are_tried_until_one_fits_and_the_choice_is_said() -> None:
    report = analyse(networks.picky(32))
    assert "dimension 'length' of input 'x' is taken as 32; choose it with --set length=SIZE" in (
        report.assumptions
    )
    assert report.source is not None
    assert report.source.size == 32


def test_a_size_that_is_set_is_not_guessed() -> None:
    report = analyse(networks.picky(33), sizes={"length": 33})
    assert not any("is taken as" in each for each in report.assumptions)


def test_a_model_that_takes_one_batch_size_is_given_it() -> None:
    report = analyse(networks.crowd(4))
    assert report.coverage.failed == []
    assert report.source is not None
    assert report.source.size == 24, "four rows are one sample"


def test_a_model_that_takes_nothing_is_an_error_with_the_way_out() -> None:
    with pytest.raises(
        RunError, match=r"ran on none of .* give real samples with --data, or sizes"
    ):
        analyse(networks.picky(33))


def test_data_that_the_model_cannot_take_is_an_error_of_the_data() -> None:
    with pytest.raises(DataError, match="the model does not run on the data"):
        analyse(networks.picky(33), normal(10, 20))


def test_tensors_that_cannot_be_measured_are_listed_with_their_reason() -> None:
    report = analyse(networks.varying())
    assert {each.name: each.reason for each in report.coverage.skipped} == {
        "places": "its shape changes with the input",
        "nothing": "empty: a dimension is 0",
        "text": "not numeric: strings",
        "list": "not numeric: a sequence",
        "if/negated": "not exposed: control flow",
        "if/negated#2": "not exposed: control flow",
    }
    assert sorted(by_name(report)) == ["chosen", "positive"]
    assert report.coverage.failed == []


def test_several_inputs_are_fed_by_name_and_differentiated_together() -> None:
    data = {"a": normal(30, 6), "b": normal(30, 3), "gain": np.array([2.0], np.float32)}
    report = analyse(networks.two_inputs(), data)
    assert report.source is not None
    assert report.source.names == ["a", "b", "gain"]
    assert report.source.size == 10
    found = by_name(report)
    assert found["left"].jacobian is not None
    assert found["left"].jacobian.rank is not None
    assert found["left"].jacobian.rank.min == 4


def test_inputs_without_data_are_drawn_and_said() -> None:
    report = analyse(networks.two_inputs(), {"a": normal(30, 6)})
    assert not report.data.synthetic
    assert any("drawn for input" in each and "'b'" in each for each in report.assumptions)


def test_external_data_is_read_and_digested(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(
        networks.deep(2, 64),
        path,
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    report = analyse(path)
    assert [each.name for each in report.model.files] == ["model.onnx", "weights.bin"]
    assert report.model.files[1].size_bytes == 64 * 64 * 4
    assert report.coverage.failed == []


def test_pictures_without_data_are_drawn_like_photographs_with_a_prior_to_match() -> None:
    report = analyse(networks.pictures(), data_limit=256)
    assert report.prior is not None
    assert report.prior.kind == "image"
    assert report.prior.share == pytest.approx(1.0)
    assert report.prior.variance == pytest.approx(0.25**2)
    assert report.source is not None
    assert report.source.dof is not None
    assert report.source.dof.value is not None
    assert report.source.dof.value < 100, "white noise of 192 values would have far more"


def test_a_few_samples_are_no_prior() -> None:
    report = analyse(networks.linear(), normal(4, 12))
    assert report.prior is not None
    assert report.prior.kind == "isotropic"
    assert report.prior.variance == pytest.approx(float(np.mean(normal(4, 12) ** 2)), rel=1e-5)


def test_constant_data_leaves_nothing_to_recover() -> None:
    report = analyse(networks.linear(), np.ones((20, 12), np.float32))
    assert report.prior is None
    assert all(tensor.release[0].recoverable is None for tensor in report.tensors)
    assert {tensor.dof.status for tensor in report.tensors if tensor.dof} == {"constant"}


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "int8"])
def test_a_format_is_an_equivalent_noise(name: str) -> None:
    (tensor, *_) = analyse(networks.linear(), normal(50, 12), noise=[name]).tensors
    (release,) = tensor.release
    # A float's rounding error is about 0.3 units in the last place, which is 2^-p to 2^-p-1.
    expected = {"float32": 2.0**-25, "float16": 2.0**-12, "bfloat16": 2.0**-9, "int8": 0.01}
    assert release.s is not None
    assert expected[name] / 4 < release.s < expected[name] * 4


def test_a_step_that_is_given_is_taken() -> None:
    (tensor, *_) = analyse(networks.linear(), normal(50, 12), step=0.25, jacobian="fd").tensors
    assert tensor.jacobian is not None
    assert tensor.jacobian.step == 0.25


def test_a_tensor_larger_than_the_memory_is_added_up_in_parts() -> None:
    nodes = [networks.node("MatMul", ["x", "w"], ["wide"])]
    weights = {"w": networks.flat(16_384, 8, 5)}
    made = networks.model(nodes, {"x": (networks.FLOAT, ["N", 8])}, ["wide"], weights)
    options: dict[str, Any] = {"data_limit": 700, "samples": 1, "threads": 1}
    narrow = analyse(made, normal(700, 8), memory_bytes=2**25, **options).tensors[0]
    roomy = analyse(made, normal(700, 8), memory_bytes=2**31, **options).tensors[0]
    for tensor in (narrow, roomy):
        assert tensor.jacobian is not None
        assert tensor.jacobian.rank is not None
        assert tensor.jacobian.rank.min == 5
    assert narrow.dof is not None
    assert roomy.dof is not None
    assert narrow.dof.rank == roomy.dof.rank == 5
    assert narrow.dof.value == pytest.approx(roomy.dof.value or 0.0)


def test_more_samples_than_fit_the_memory_are_not_loaded() -> None:
    made = networks.model(
        [networks.node("ReduceMean", ["x"], ["y"], axes=[1])],
        {"x": (networks.FLOAT, ["N", 100_000])},
        ["y"],
    )
    report = analyse(made, memory_bytes=2**25, data_limit=None, directions=4)
    assert report.data.samples == 2**25 // 4 // 400_000
    assert any("more inputs do not fit the memory" in each for each in report.assumptions)


def test_directions_that_do_not_fit_the_memory_are_left_out_and_said() -> None:
    made = networks.model(
        [networks.node("ReduceMean", ["x"], ["y"], axes=[1])],
        {"x": (networks.FLOAT, ["N", 4000])},
        ["y"],
    )
    report = analyse(made, memory_bytes=2**25, data_limit=16)
    assert any("through 87 of 4000 directions" in each for each in report.assumptions)
    (tensor,) = report.tensors
    assert tensor.jacobian is not None
    assert not tensor.jacobian.complete


def test_there_are_no_more_threads_than_processors() -> None:
    """A million of them would bring the machine down."""
    assert configure(threads=1_000_000).threads == os.cpu_count()
    assert configure(threads=1).threads == 1
