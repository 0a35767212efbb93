"""Members against others, end to end: known energies, failures, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto
from sklearn.metrics import roc_auc_score

from onnxprobe import analyze
from onnxprobe.analysis.conductor import membership as conducting
from onnxprobe.errors import DataError
from onnxprobe.record import Report, SeparationRecord
from tests.analysis.networks import FLOAT, INT64, flat, model, node

N = 12


def _gated() -> tuple[ModelProto, Any]:
    """``z = softplus(x W)``: flat on one side, steep on the other; its Jacobian is known."""
    weights = flat(8, N, 8)
    nodes = [
        node("MatMul", ["x", "w"], ["y"]),
        node("Softplus", ["y"], ["z"]),
        node("Floor", ["z"], ["steps"]),
    ]
    return model(nodes, {"x": (FLOAT, ["B", N])}, ["steps"], {"w": weights}), weights


def _samples(count: int, shift: float, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, N)) + shift).astype(np.float32)


def _measured(members: Any, others: Any, **options: Any) -> Report:
    made, _ = _gated()
    return analyze(
        made, _samples(40, 0, 9), members=members, non_members=others, device="cpu", **options
    )


def _statistics(report: Report, name: str) -> dict[str, SeparationRecord]:
    (found,) = (each for each in report.tensors if each.name == name)
    return {each.statistic: each for each in found.membership}


@pytest.mark.parametrize("jacobian", ["jvp", "fd"])
def test_energies_are_those_of_the_jacobian(jacobian: str) -> None:
    members, others = _samples(30, 0.0, 1), _samples(45, 0.3, 2)
    report = _measured(members, others, jacobian=jacobian, exclude=["steps"])
    _, weights = _gated()
    energies = []
    for x in (members, others):
        slope = 1 / (1 + np.exp(-(x.astype(float) @ weights)))
        energies.append(np.sum((slope[:, None, :] * weights) ** 2, axis=(1, 2)))
    truth = roc_auc_score([1] * 30 + [0] * 45, -np.concatenate(energies))
    found = _statistics(report, "z")
    assert found["Jacobian energy"].auc == pytest.approx(truth, abs=2e-3)
    # A linear tensor has one Jacobian, and what rounding makes of it tells nothing.
    linear = _statistics(report, "y")["Jacobian energy"]
    assert (linear.auc, linear.low, linear.high) == (0.5, 0.5, 0.5)
    assert report.membership is not None
    assert (report.membership.members, report.membership.non_members) == (30, 45)
    assert report.membership.directions == N
    assert report.membership.members_digest != report.membership.non_members_digest


def test_samples_like_each_other_tell_nothing() -> None:
    same = _samples(120, 0, 5)
    # So near that no statistic tells them apart, and yet no copies.
    turned = np.nextafter(same[::-1], np.float32(9))
    for name in ("y", "z"):
        for each in _statistics(_measured(same, turned), name).values():
            assert each.auc == pytest.approx(0.5, abs=2e-3)
            assert each.tpr_at_1_percent_fpr is not None
            # One sample more than of equal sets.
            assert each.tpr_at_1_percent_fpr <= 0.02


def test_outliers_are_told_by_their_activations() -> None:
    found = _statistics(_measured(_samples(40, 0, 1), 6 * _samples(40, 0, 2)), "y")
    assert found["activation typicality"].auc > 0.95
    assert found["activation typicality"].tpr_at_1_percent_fpr is None  # 40 are too few


def test_a_tensor_without_derivative_is_told_by_its_values_alone() -> None:
    report = _measured(_samples(20, 0, 1), _samples(20, 1, 2))
    assert set(_statistics(report, "steps")) == {"activation typicality"}
    assert set(_statistics(report, "z")) == {
        "activation typicality", "Jacobian energy", "Jacobian effective rank",
    }  # fmt: skip


def test_other_figures_do_not_change() -> None:
    made, _ = _gated()
    plain = analyze(made, _samples(40, 0, 9), device="cpu")
    beside = _measured(_samples(20, 0, 1), _samples(20, 1, 2))
    for one, other in zip(plain.tensors, beside.tensors, strict=True):
        assert one == other.model_copy(update={"membership": []})
    assert plain.membership is None
    assert all(not each.membership for each in plain.tensors)


def test_tokens_have_members_too() -> None:
    """The source is an inner tensor: it is computed for the cohorts as well."""
    nodes = [
        node("Gather", ["table", "ids"], ["embedded"]),
        node("Flatten", ["embedded"], ["flat"]),
        node("MatMul", ["flat", "w"], ["y"]),
        node("Tanh", ["y"], ["z"]),
    ]
    rng = np.random.default_rng(0)
    table = np.concatenate([0.1 * rng.normal(size=(8, 6)), 3 * rng.normal(size=(8, 6))])
    weights = {"table": table.astype(np.float32), "w": flat(9, 30, 9)}
    made = model(nodes, {"ids": (INT64, ["B", 5])}, ["z"], weights)
    low, high = rng.integers(0, 8, (30, 5)), rng.integers(8, 16, (30, 5))
    data = rng.integers(0, 16, (400, 5))
    report = analyze(made, data, members=high, non_members=low, noise=[1e-3])
    # Large embeddings saturate the tanh.
    assert _statistics(report, "z")["Jacobian energy"].auc > 0.99
    assert report.source is not None
    assert (report.source.tokens, report.source.vocabulary) == (256, 16)
    shares = {each.name: each.release[0].tokens_reidentified for each in report.tensors}
    assert shares["embedded"] == 1.0
    assert report.source.tokens_guessed is not None
    assert shares["z"] is not None
    assert report.source.tokens_guessed - 0.1 < shares["z"] < 1.0


def test_a_failure_costs_the_statistic_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxprobe.analysis.worker import handlers, membership
    from onnxprobe.errors import RunError

    whole = membership.separate_by_typicality

    def fail(study: Any, request: Any, progress: Any) -> Any:
        if any(layout.name == "z" for layout in request.layouts):
            raise RunError("no luck")
        return whole(study, request, progress)

    monkeypatch.setattr(handlers, "separate_by_typicality", fail)
    report = _measured(_samples(20, 0, 1), _samples(20, 1, 2))
    assert report.coverage.failed == []
    assert "activation typicality" in _statistics(report, "y")
    assert set(_statistics(report, "z")) == {"Jacobian energy", "Jacobian effective rank"}
    assert (
        "membership by activation typicality was not measured for 'z': no luck"
        in report.assumptions
    )


def test_many_inputs_are_seen_through_random_directions() -> None:
    nodes = [node("MatMul", ["x", "w"], ["y"]), node("Softplus", ["y"], ["z"])]
    made = model(nodes, {"x": (FLOAT, ["B", 300])}, ["z"], {"w": flat(40, 300, 40) / 10})
    rng = np.random.default_rng(0)
    few = rng.normal(size=(30, 300)).astype(np.float32)
    report = analyze(made, few, members=few, non_members=few + np.float32(0.3), device="cpu")
    assert report.membership is not None
    assert report.membership.directions == 64
    assert "Jacobian energy" in _statistics(report, "z")


@pytest.mark.parametrize(
    ("members", "others", "said"),
    [
        (_samples(20, 0, 1), None, "membership needs both"),
        (_samples(9, 0, 1), _samples(20, 0, 1), "--members holds 9 samples; membership needs"),
        (_samples(20, 0, 1), _samples(2, 0, 1), "--non-members holds 2 samples"),
        (_samples(20, 0, 1), _samples(20, 0, 1), "20 samples stand in both"),
        (_samples(20, 0, 1), _samples(21, 0, 1)[::-1].copy(), "samples stand in both"),
        (np.zeros((20, 5), np.float32), _samples(20, 0, 1), "--members: "),
        (Path("nowhere.npz"), _samples(20, 0, 1), "--members: .*nowhere.npz does not exist"),
    ],
)
def test_what_cannot_be_compared_is_refused(members: Any, others: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        _measured(members, others)


def test_a_statistic_that_was_not_asked_for_is_nonsense() -> None:
    record = SeparationRecord(
        statistic="Jacobian energy", auc=0.5, low=0.4, high=0.6, tpr_at_1_percent_fpr=None
    )
    expected = frozenset({"activation typicality"})
    with pytest.raises(Exception, match="makes no sense"):
        conducting._check([record], expected)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="makes no sense"):
        conducting._check([record, record], frozenset({"Jacobian energy"}))
    wrong = record.model_copy(update={"auc": 0.9})
    with pytest.raises(Exception, match="makes no sense"):
        conducting._check([wrong], frozenset({"Jacobian energy"}))


# Labels


def test_labels_may_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    made, _ = _gated()
    data = _samples(40, 0, 9)
    labels = np.arange(40) % 4
    np.save(tmp_path / "classes.npy", labels)
    np.savez(tmp_path / "classes.npz", y=labels)
    reports = [
        analyze(made, data, labels=given, device="cpu", samples=1)
        for given in (labels, tmp_path / "classes.npy", str(tmp_path / "classes.npz"))
    ]
    for report in reports:
        found = next(each.classes for each in report.tensors if each.name == "y")
        assert found is not None
        assert found.classes == 4
        assert found == next(e.classes for e in reports[0].tensors if e.name == "y")
    assert analyze(made, data, device="cpu", samples=1).tensors[0].classes is None


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.arange(39), "39 labels for 40 samples"),
        (np.linspace(0, 1, 40), "holds no labels; give whole numbers"),
        (np.zeros((40, 2), int), "holds no labels"),
        ("nowhere.npy", "nowhere.npy"),
    ],
)
def test_labels_that_fit_nothing_are_refused(labels: Any, said: str) -> None:
    made, _ = _gated()
    with pytest.raises(DataError, match=said):
        analyze(made, _samples(40, 0, 9), labels=labels, device="cpu")


def test_labels_need_samples() -> None:
    made, _ = _gated()
    with pytest.raises(DataError, match="--labels are those of samples"):
        analyze(made, labels=np.arange(5), device="cpu")


def test_what_a_tensor_holds_at_a_position_is_told_from_it() -> None:
    """One map serves all positions, so that few samples of a long text teach much."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(50, 12)).astype(np.float32)
    nodes = [
        node("Gather", ["table", "ids"], ["embedded"]),
        node("MatMul", ["embedded", "w"], ["mixed"]),
        node("Transpose", ["mixed"], ["turned"], perm=[0, 2, 1]),
        node("ReduceMean", ["turned"], ["pooled"], axes=[2], keepdims=0),
    ]
    turn = np.linalg.qr(rng.normal(size=(12, 12)))[0].astype(np.float32)
    weights = {"table": table, "w": turn}
    made = model(nodes, {"ids": (INT64, ["B", 40])}, ["pooled"], weights)
    report = analyze(made, rng.integers(0, 50, (60, 40)), device="cpu", noise=[0.01])
    found = {each.name: each.release[0] for each in report.tensors}
    for name in ("embedded", "mixed", "turned"):
        assert found[name].tokens_reidentified == 1.0
        assert (found[name].attained or 0) > 0.99
    assert report.source is not None
    told, share = found["pooled"].tokens_reidentified, found["pooled"].attained
    guessed = report.source.tokens_guessed
    assert told is not None
    assert guessed is not None
    assert told < guessed + 0.1
    assert share is not None
    assert share < 0.2
