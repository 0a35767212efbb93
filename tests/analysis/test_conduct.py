"""Whole analyses of small models, worker process and all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto

import onnxprobe
from onnxprobe import DataError, ModelError, Report, RunError
from onnxprobe.analysis.api import IncompleteError
from onnxprobe.record import TensorRecord
from tests.analysis import networks

FAST: dict[str, Any] = {
    "device": "cpu",
    "samples": 2,
    "data_limit": 64,
    "isolate": True,
}


def analyse(model: ModelProto | str | Path, data: Any = None, **options: Any) -> Report:
    report = onnxprobe.analyze(model, data, **(FAST | options))
    coverage = report.coverage
    assert len(report.tensors) == coverage.analysed
    assert coverage.tensors == coverage.analysed + len(coverage.skipped) + len(coverage.failed)
    return report


def by_name(report: Report) -> dict[str, TensorRecord]:
    return {tensor.name: tensor for tensor in report.tensors}


def normal(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("batch", ["N", 1])
def test_a_linear_layer_has_the_rank_and_the_degrees_of_freedom_of_its_weight(
    batch: int | str,
) -> None:
    found = by_name(analyse(networks.linear(rank=3, batch=batch), normal(200, 12), data_limit=200))
    for name in ("product", "y", "moved"):
        jacobian, dof = found[name].jacobian, found[name].dof
        assert jacobian is not None
        assert jacobian.rank is not None
        assert dof is not None
        assert (jacobian.rank.min, jacobian.rank.max, jacobian.rank.at_least) == (3, 3, False)
        assert jacobian.rank_at["1e-6"].max == 3
        assert dof.rank == 3
        assert dof.value is not None
        assert 1 < dof.value <= 3
        assert dof.ceiling == 20
    assert found["moved"].shares_with == "y"
    assert found["y"].jacobian == found["product"].jacobian, "a shift shares the Jacobian"
    assert found["y"].activations != found["product"].activations, "and nothing else"


def test_a_jacobian_within_its_stated_error() -> None:
    weight = networks.flat(20, 12, 12).astype(np.float64)
    (first, *_) = analyse(networks.linear(rank=12), normal(40, 12)).tensors
    assert first.jacobian is not None
    for sample in first.jacobian.samples:
        assert sample.spectrum is not None
        truth = np.linalg.svd(weight, compute_uv=False)[sample.spectrum.indices]
        error = np.abs(np.array(sample.spectrum.values) - truth).max()
        assert error <= sample.spectrum.floor <= 1e-4 * truth[0]


def test_a_model_with_its_batch_fixed_to_1_gives_the_same_figures() -> None:
    data = normal(50, 12)
    free = by_name(analyse(networks.linear(batch="N"), data))
    fixed = by_name(analyse(networks.linear(batch=1), data))
    for name, tensor in free.items():
        other = fixed[name].dof
        assert tensor.dof is not None
        assert other is not None
        assert other.value == pytest.approx(tensor.dof.value)


def test_piecewise_constant_tensors_say_so_instead_of_rank_0() -> None:
    found = by_name(analyse(networks.classifier()))
    statuses = {name: tensor.jacobian.status for name, tensor in found.items() if tensor.jacobian}
    assert statuses == {
        "scores": "ok",
        "shares": statuses["shares"],
        "rounded": "piecewise constant",
        "label": "piecewise constant",
    }
    assert statuses["shares"] in {"ok", "at least"}
    assert found["rounded"].jacobian is not None
    assert found["rounded"].jacobian.rank is None
    assert found["label"].dof is not None


def test_constants_are_skipped_with_their_reason() -> None:
    skipped = {each.name: each.reason for each in analyse(networks.classifier()).coverage.skipped}
    assert skipped == {
        "shape": "constant: it depends on the shape of the input alone",
        "constant": "constant: no input reaches it",
    }


def test_a_token_model_is_differentiated_by_the_lookup_in_its_vocabulary() -> None:
    report = analyse(networks.tokens())
    assert report.source is not None
    assert report.source.names == ["embedded"]
    assert report.source.size == 56
    assert report.source.chosen == (
        "the lookup of 'ids' in the table of 30 rows at node 'make_embedded', the largest; "
        "not chosen: segment"
    )
    found = by_name(report)
    ranks = {n: t.jacobian.rank.max for n, t in found.items() if t.jacobian and t.jacobian.rank}
    assert ranks == {"embedded": 56, "sum": 56, "scores": 35, "mean": 5}
    assert found["segment"].jacobian is not None
    assert found["segment"].jacobian.status == "independent"


def test_a_model_without_a_float_source_still_gets_degrees_of_freedom() -> None:
    report = analyse(networks.masks(), np.random.default_rng(0).integers(0, 2, (40, 5)))
    assert report.source is None
    for tensor in report.tensors:
        assert tensor.status == "not differentiable"
        assert tensor.dof is not None
        assert tensor.dof.value is not None
        assert tensor.dof.value > 1


def test_derivatives_by_an_inner_tensor_are_those_of_what_follows() -> None:
    report = analyse(networks.linear(rank=3), wrt="y")
    found = by_name(report)
    assert report.source is not None
    assert report.source.chosen == "chosen by --wrt"
    assert found["y"].jacobian is not None
    assert found["y"].jacobian.rank is not None
    assert found["y"].jacobian.rank.min == 20, "the identity"
    assert found["product"].jacobian is not None
    assert found["product"].jacobian.status == "independent"


def test_rows_that_mix_in_a_batch_are_run_one_by_one() -> None:
    report = analyse(networks.mixing())
    assert report.execution is not None
    assert report.execution.batched_tensors == 1
    assert report.execution.single_tensors == 2
    found = by_name(report)
    assert found["apart"].status == "ok"
    assert found["mixed"].dof is not None
    assert found["mixed"].dof.status == "constant", "alone, a row is its own mean"


def test_infinities_are_a_status_and_not_a_hang() -> None:
    found = by_name(analyse(networks.infinite(), jacobian="fd"))
    wild = found["wild"]
    assert wild.status == "non-finite"
    assert wild.activations is not None
    assert wild.activations.non_finite == 64
    assert wild.dof is not None
    assert wild.dof.value is None
    assert found["tame"].status in {"ok", "at least"}


def test_activations_larger_than_the_memory_are_measured_in_chunks() -> None:
    data = normal(800, 512)
    options: dict[str, Any] = {"data_limit": 800, "directions": 16, "samples": 1}
    wide = networks.deep(layers=8, width=512)
    # 16 tensors of 800 × 512 floats are 26 MB.
    narrow = analyse(wide, data, memory_bytes=2**25, **options)
    roomy = analyse(wide, data, memory_bytes=2**31, **options)
    assert len(narrow.tensors) == 16
    for small, large in zip(narrow.tensors, roomy.tensors, strict=True):
        assert small.dof is not None
        assert large.dof is not None
        assert small.dof.value is not None
        assert small.dof.value == pytest.approx(large.dof.value)


def test_the_same_analysis_gives_the_same_bytes_whatever_the_threads(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(networks.linear(), path)
    elsewhere = tmp_path / "elsewhere" / "model.onnx"
    elsewhere.parent.mkdir()
    onnx.save(networks.linear(), elsewhere)

    def finding(where: Path, threads: int) -> str:
        plain = analyse(where, threads=threads).model_dump(mode="json")
        del plain["run"]
        return json.dumps(plain)

    assert finding(path, 1) == finding(path, 1) == finding(elsewhere, 2)


def test_without_data_the_report_says_that_it_describes_the_model() -> None:
    report = analyse(networks.linear(), data_limit=None)
    assert report.data.synthetic
    assert report.data.samples == 512
    assert any("the figures describe the model and not your data" in a for a in report.assumptions)
    assert report.prior is not None
    assert report.prior.kind == "isotropic"


def test_the_digest_of_the_data_can_be_left_out() -> None:
    assert analyse(networks.linear(), normal(10, 12)).data.digest is not None
    assert analyse(networks.linear(), normal(10, 12), data_digest=False).data.digest is None


def test_include_and_exclude_take_names_and_operators() -> None:
    chosen = analyse(networks.linear(), include=["MatMul", "mo*"])
    assert sorted(by_name(chosen)) == ["moved", "product"]
    rest = analyse(networks.linear(), exclude=["Relu"])
    assert "z" not in by_name(rest)
    assert {each.reason for each in rest.coverage.skipped} == {"left out by --exclude"}


def test_few_directions_give_lower_bounds_that_say_so() -> None:
    (first, *_) = analyse(networks.linear(rank=12), normal(40, 12), directions=5).tensors
    assert first.jacobian is not None
    assert first.jacobian.rank is not None
    assert not first.jacobian.complete
    assert first.jacobian.rank.at_least
    assert first.jacobian.rank.max <= 5
    assert "stable_rank" in first.jacobian.not_comparable
    release = first.release[0].recoverable
    assert release is not None
    assert release.high > release.low


def test_random_directions_resolve_a_rank_below_their_number() -> None:
    report = analyse(networks.linear(rank=3, inputs=80, outputs=90), directions=40)
    (first, *_) = report.tensors
    assert first.jacobian is not None
    assert first.jacobian.rank is not None
    assert first.jacobian.resolved
    assert not first.jacobian.rank_at["1e-6"].at_least


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"wrt": "nothing"}, "--wrt names 'nothing', which is no input and no tensor"),
        ({"wrt": "shape"}, "--wrt names 'shape'"),
        ({"include": ["nothing"]}, "--include 'nothing' matches no tensor name and no operator"),
        ({"sizes": {"M": 3}}, "'M'"),
        ({"noise": ["loud"]}, "release noise 'loud' is neither a number above 0 nor one of"),
        ({"samples": 0}, "option samples is 0"),
        ({"directions": 0.5}, "option directions"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        analyse(networks.linear(), **options)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (np.zeros((5, 13), np.float32), r"\(samples, 12\)"),
        (np.full((5, 12), np.nan, np.float32), "NaN"),
        (np.zeros((0, 12), np.float32), "no sample"),
        (np.array([["a"] * 12]), "text|string|numbers"),
        ({"z": np.zeros((5, 12), np.float32)}, "no input of the model"),
        (np.array([object()]), "no array of numbers"),
        ("missing.npz", "missing.npz"),
    ],
)
def test_data_that_does_not_fit_is_refused(data: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        analyse(networks.linear(), data)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x01garbage")
    with pytest.raises(ModelError, match="is not an ONNX model"):
        analyse(broken)
    with pytest.raises(ModelError, match="does not exist"):
        analyse(tmp_path / "missing.onnx")
    with pytest.raises(ModelError, match="the model is a int; give the path"):
        analyse(3)  # type: ignore[arg-type]


def test_a_model_that_the_runtime_refuses_is_refused() -> None:
    strange = networks.model(
        [networks.node("NoSuchOperator", ["x"], ["y"])], {"x": (networks.FLOAT, ["N", 3])}, ["y"]
    )
    with pytest.raises(ModelError, match="ONNX Runtime refuses the model"):
        analyse(strange)


def test_cuda_that_is_not_there_is_an_error_and_no_downgrade() -> None:
    try:
        report = analyse(networks.linear(), device="cuda")
    except RunError as error:
        assert "use --device cpu" in str(error)  # noqa: PT017 (where CUDA is, there is no error)
    else:
        assert report.execution is not None
        assert report.execution.provider == "CUDAExecutionProvider"


def test_a_random_model_is_not_differentiated() -> None:
    nodes = [
        networks.node("RandomNormalLike", ["x"], ["noise"]),
        networks.node("Add", ["x", "noise"], ["y"]),
    ]
    report = analyse(networks.model(nodes, {"x": (networks.FLOAT, ["N", 8])}, ["y"]))
    assert by_name(report)["y"].status == "not repeatable"
    assert any("random numbers are drawn" in each for each in report.assumptions)


def test_rows_of_a_report_are_flat_and_alike() -> None:
    rows = analyse(networks.linear(), normal(30, 12)).to_rows()
    assert len({tuple(row) for row in rows}) == 1
    assert all(not isinstance(value, list | dict) for row in rows for value in row.values())
    assert rows[0]["rank"] == 3.0
    assert math.isclose(
        float(rows[0]["dof_share"] or 0), float(rows[0]["dof"] or 0) / 12, rel_tol=0.3
    )


def test_progress_rises_to_its_total() -> None:
    told: list[tuple[str, float, float]] = []
    analyse(networks.linear(), progress=lambda *all_of_it: told.append(all_of_it))
    phases = list(dict.fromkeys(phase for phase, _, _ in told))
    assert phases[0] == "opening the model"
    assert phases[-1] == "measuring Jacobians"
    done = [amount for _, amount, _ in told]
    assert done == sorted(done)
    assert 0.7 * told[-1][2] <= told[-1][1] <= told[-1][2] * 1.001


def test_an_analysis_cut_short_hands_over_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxprobe.analysis.conductor.jacobians import Jacobians

    def broken(self: Jacobians, smooth: object) -> float:
        raise RunError("the power went out")

    monkeypatch.setattr(Jacobians, "_choose_steps", broken)
    with pytest.raises(IncompleteError, match="the power went out") as caught:
        analyse(networks.linear(), jacobian="fd")
    report = caught.value.report
    assert report.run.interrupted == "the power went out"
    assert {each.reason for each in report.coverage.failed} == {
        "the analysis ended before it was measured"
    }
