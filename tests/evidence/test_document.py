"""The document follows from the figures of a run, and from nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from scripts.evidence.agreement import disagreements
from scripts.evidence.document import earlier_runs, render, render_tensors
from scripts.evidence.findings import findings
from scripts.evidence.releases import attacks, best, unrated
from scripts.evidence.scores import calibration_errors, orders, shuffled
from scripts.evidence.sections import (
    bounds_section,
    differences_section,
    directions_section,
    runs_section,
    samples_section,
    unbiased_section,
)
from scripts.evidence.study_findings import study_findings
from scripts.evidence.tables import target_table, threshold_table
from scripts.evidence.training_section import membership_section, relations

HERE = Path(__file__).parent


@pytest.fixture
def summary() -> dict[str, Any]:
    """What `--quick` found."""
    found: dict[str, Any] = json.loads((HERE / "quick.json").read_text())
    return found


def test_the_quick_document_is_made_of_the_quick_figures(summary: dict[str, Any]) -> None:
    assert render(summary) == (HERE / "quick.md").read_text()


def test_the_published_document_is_made_of_the_published_figures() -> None:
    published = HERE.parents[1] / "docs" / "evidence"
    found = json.loads((published / "summary.json").read_text())
    document = published.with_suffix(".md").read_text()
    assert render(found, folder="evidence", earlier=earlier_runs(published)) == document
    assert render_tensors(found) == (published / "tensors.md").read_text()


def _unwrapped(text: str) -> str:
    return text.replace("\n  ", " ")


def _three(summary: dict[str, Any], error: float) -> dict[str, Any]:
    """Three held-out networks on which ρ is off by ``error`` everywhere."""
    base = next(iter(summary["networks"].values()))
    networks = {}
    for i in range(3):
        network = copy.deepcopy(base) | {"role": "held out"}
        for tensor in network["tensors"]:
            for level in tensor["levels"]:
                level["high"] = best({}, level) + error
        networks[f"n{i}"] = network
    return networks


@pytest.mark.parametrize(("error", "judged"), [(0.01, ": met."), (0.2, ": **not met**.")])
def test_known_errors_are_found_and_judged(
    summary: dict[str, Any], error: float, judged: str
) -> None:
    networks = _three(summary, error)
    found = calibration_errors(networks)["ρ, worst sample"]
    assert (found.value, found.low, found.high) == pytest.approx((error,) * 3)
    assert f"at most 0.08{judged}" in _unwrapped(findings({"networks": networks}))


def test_a_perfect_order_is_1_and_a_shuffled_one_is_nothing(summary: dict[str, Any]) -> None:
    networks = _three(summary, 0.0)
    assert orders(networks)["ρ, worst sample"].value == pytest.approx(1)
    found = shuffled(networks)
    # Of 30 tensors, Spearman of chance has deviation 1/√29; the mean of 300 is far nearer to 0.
    assert abs(found.value) < 0.05
    assert found.low < 0 < found.high


def test_development_networks_do_not_count(summary: dict[str, Any]) -> None:
    networks = _three(summary, 0.0)
    networks["n0"] = _three(summary, 0.5)["n0"] | {"role": "development"}
    assert calibration_errors(networks)["ρ, worst sample"].value == pytest.approx(0)


def test_a_naive_baseline_that_is_as_good_is_named(summary: dict[str, Any]) -> None:
    networks = _three(summary, 0.0)
    for network in networks.values():
        for tensor in network["tensors"]:
            middle = tensor["levels"][1]
            for level in tensor["levels"]:
                for kind in attacks(level):
                    level[kind] = middle[kind]
                level["high"] = best({}, middle)
            tensor["size"] = 1e6 * best({}, middle)
    said = _unwrapped(findings({"networks": networks}))
    assert "**Not told apart from ρ at ordering** by a bootstrap" in said
    assert "tensor size (" in said.split("**Not told apart")[1].split("\n", maxsplit=1)[0]


def test_thresholds_say_the_worst_of_what_passes(summary: dict[str, Any]) -> None:
    networks = _three(summary, 0.0)
    for network in networks.values():
        for tensor in network["tensors"]:
            # One level more, of two tensors each.
            for level in [*tensor["levels"], *([tensor["int8"]] if "int8" in tensor else [])]:
                level["high"], level["attained"] = 0.05, 0.0
                for kind in attacks(level):
                    level[kind]["r2"] = 0.25
    assert "| 0.2 | 96 | 3 | 0.25 | 0.25 | 96 of 96 |" in threshold_table(networks)
    # Nothing may pass for 0.2, and all for 0.3.
    assert "| 0.2 | 0.05 (0) |" in target_table(networks)
    assert "| 0.3 | 1.00 (96) |" in target_table(networks)


def test_an_error_below_a_bound_is_a_violation_only_beyond_its_standard_error() -> None:
    rows = [
        {
            "tensor": name,
            "s": 0.1,
            "bound": 1.0,
            "known": 0.5,
            "attacks": {"ridge": {"mse": error, "mse_error": 0.01}},
        }
        for name, error in (("a", 0.99), ("b", 0.90), ("c", 1.20))
    ]
    found = bounds_section([{"name": "n", "rows": rows}])
    assert "| n | ridge | estimated | 3 | 2 | 1 | 0.900 (b, s = 0.1) | 0.99 |" in found
    assert "| n | ridge | known | 3 | 0 | 0 | 1.800 (b, s = 0.1) | 1.98 |" in found


def test_differences_say_on_which_side_they_err() -> None:
    row = {
        "step": 0.01,
        "tensors": 9,
        "wrong_ranks": 2,
        "rank_error": 3.5,
        "effective_rank_error": 0.125,
        "share_above": 0.25,
        "share_below": -0.5,
        "recoverable_dof": 0.02,
        "bits": None,
        "dfil": 0.0,
        "van_trees_mse": 0.5,
    }
    found = differences_section([{"name": "n", "rows": [row]}])
    assert (
        "| n | 0.01 | 2 of 9 | 3.5 | 12.5% | 0.2500 | 0.0000 | 2.00% | none | 0.00% | 50.00% |"
        in found
    )


def test_errors_of_few_samples_are_told_with_and_without_what_is_saturated() -> None:
    def said(dof: float, status: str) -> dict[str, Any]:
        others = dict.fromkeys(("participation_ratio", "energy_95", "two_nn"), dof / 2)
        return {"dof": dof, "dof_status": status, "high": 0.5, "attained": dof / 100, **others}

    rows = [
        {"samples": 50, "tensors": {"a": said(5.0, "saturated"), "b": said(9.0, "ok")}},
        {"samples": 100, "tensors": {"a": said(10.0, "ok"), "b": said(10.0, "ok")}},
    ]
    lines = samples_section([{"name": "n", "rows": rows}]).splitlines()
    assert lines[2:] == [
        "| n | 50 | 1 of 2 | 30% | 50% | 10% | 30% | 30% | 30% | +0.000 | -0.030 |",
        "| n | 100 | 0 of 2 | 0% | 0% | 0% | 0% | 0% | 0% | +0.000 | +0.000 |",
    ]


def test_the_spread_of_runs_is_their_range() -> None:
    def run(value: float) -> dict[str, float]:
        return dict.fromkeys(("high", "attained", "attack", "dof", "rank"), value)

    rows = {"a": [run(0.1), run(0.3)], "b": [run(0.5), run(0.5)]}
    found = runs_section([{"name": "n", "rows": rows}])
    assert "| n | 2 | best attack R² | 0.350 | 0.100 | 0.200 |" in found


def _training(risks: list[float]) -> dict[str, Any]:
    """Three checkpoints of some tensors, of which the first is most at risk."""
    names = [f"t{i}" for i in range(len(risks))]
    return {
        "name": "n",
        "seed": 0,
        "checkpoints": [
            {
                "epoch": epoch,
                "accuracy_members": 1.0,
                "accuracy_others": 0.5,
                "auc": 0.6,
                "tensors": {
                    name: {
                        "dof": dof,
                        "rank": 4,
                        "auc": 0.52,
                        "probe": risk,
                        "told": {"Jacobian energy": 0.55, "activation typicality": 0.3},
                    }
                    for name, risk in zip(names, risks, strict=True)
                },
            }
            for epoch, dof in enumerate((6.0, 2.0, 8.0))
        ],
        "tracked": {
            name: {"dof": {"cv": risk, "mcr": 1 - risk}, "rank": {"cv": 0.0, "mcr": None}}
            for name, risk in zip(names, risks, strict=True)
        },
    }


def test_a_measure_that_falls_and_rises_with_training_is_said_to() -> None:
    found = membership_section([_training([0.9, 0.8, 0.7])])
    row = "| t0 | falls, then rises | 0.90 | 0.10 | flat | 0.00 | none | 0.52 | 0.90 |"
    # Folded: 0.3 tells as much as 0.7.
    assert f"{row} 0.70 (activation typicality) |" in found


def test_what_goes_with_risk_is_told_from_what_goes_with_it_by_chance() -> None:
    found = relations([_training([0.9, 0.8, 0.7, 0.6, 0.55, 0.5])] * 2)
    assert found["CV of DoF"].value == pytest.approx(1)
    assert found["MCR of DoF"].value == pytest.approx(-1)
    # One of 720 orders, and its reverse; six are related.
    assert found["CV of DoF"].chance < 0.04
    # What never varies, or is not known, goes with nothing.
    for name in ("CV of rank", "MCR of rank"):
        assert (found[name].value, found[name].chance) == (0, 1)


def test_what_is_related_to_nothing_known_is_told_without_a_sign() -> None:
    """The largest change of ranks is not known of any tensor here."""
    training = _training([0.9, 0.8, 0.7])
    said = " ".join(study_findings({"networks": {}, "membership": [training]}))
    assert "MCR of rank is not known" in said
    assert "CV of DoF +1.00 (n +1.00;" in said


def test_an_aim_that_the_interval_does_not_bear_is_said_to_be(summary: dict[str, Any]) -> None:
    networks = _three(summary, 0.0)
    for tensor in networks["n0"]["tensors"]:
        for level in tensor["levels"]:
            level["high"] = 1 - best({}, level)
    order = _unwrapped(findings({"networks": networks})).split("**Order.**")[1]
    judged = "at least 0.9: **not met**, though not by the whole interval"
    assert judged in order.split("- ")[0]


def test_trainings_of_one_network_are_no_two_witnesses() -> None:
    """Of five tensors, two of 120 orders go with a risk as well as this or its reverse."""
    training = _training([0.9, 0.8, 0.7, 0.6, 0.5])
    alone, twice = relations([training]), relations([training] * 2)
    assert twice["CV of DoF"].chance == pytest.approx(alone["CV of DoF"].chance)
    # Six are related, and the least of their chances counts six times.
    assert alone["CV of DoF"].chance == pytest.approx(6 * 2 / 120, abs=0.03)


def test_a_run_that_finished_nothing_says_so(summary: dict[str, Any]) -> None:
    nothing = {
        "networks": {},
        "missed": ["digits-cnn: the time given was over"],
        "provenance": summary["provenance"],
    }
    document = render(nothing)
    assert "No network was finished." in document
    assert "- digits-cnn: the time given was over" in document


def test_a_tensor_without_a_figure_is_left_out_with_a_reason(summary: dict[str, Any]) -> None:
    tensor = summary["networks"]["digits-cnn"]["tensors"][0]
    assert unrated(tensor) is None
    assert unrated(None) == "onnxprobe did not measure it"
    tensor["levels"][1]["high"] = None
    assert unrated(tensor) == "onnxprobe gives not every figure: ok"


def test_an_unbiased_attacker_below_the_bound_is_a_violation() -> None:
    rows = [
        {"s": s, "error": error, "standard_error": 0.01, "bound": 1.0}
        for s, error in ((0.03, 0.97), (0.1, 0.99), (0.3, 1.2))
    ]
    lines = unbiased_section([
        {"name": "n", "tensor": "a", "rows": rows},
        {"name": "m", "tensor": "b", "rows": []},
    ]).splitlines()
    assert [line.split("|")[-2].strip() for line in lines[2:]] == [
        "violated", "holds", "holds", "loses part of the image",
    ]  # fmt: skip


def test_intervals_of_few_directions_that_miss_the_truth_are_counted() -> None:
    row = {
        "prior": "data", "directions": 8, "rank": 0.5, "recoverable_dof": 0.25, "bits": 0.2,
        "dfil": 1.1, "low": 0.3, "high": 0.9, "truth": 0.95, "outside": 1, "tensors": 10,
    }  # fmt: skip
    found = directions_section([{"name": "n", "rows": [row]}])
    assert (
        "| n | data | 8 | 0.50 | 0.25 | 0.20 | 1.10 | 0.300 to 0.900 | 0.950 | 1 of 10 |" in found
    )


def test_what_is_known_without_data_is_judged_on_photographs(summary: dict[str, Any]) -> None:
    networks = _three(summary, 0.0)
    for number, network in enumerate(networks.values()):
        network["data"] = "cifar" if number else "digits"
        for tensor in network["tensors"]:
            for level in tensor["levels"]:
                level["blind"] = best({}, level) + (0.05 if number else 0.5)
    said = _unwrapped(findings({"networks": networks}))
    assert "0.050 on networks of photographs, 0.500 on networks of single things on black" in said
    assert "For photographs: The aim was at most 0.1: met." in said


def test_a_run_disagrees_where_figures_differ(summary: dict[str, Any]) -> None:
    assert disagreements(summary, summary) == []
    other = copy.deepcopy(summary)
    (network,) = other["networks"].values()
    network["tensors"][0]["levels"][1]["high"] -= 0.2
    network["tensors"][1]["levels"][0]["refined"]["r2"] -= 0.2
    assert len(disagreements(summary, other)) == 2
    network["tensors"].pop()
    (sentence,) = disagreements(summary, other)
    assert "tensors are" in sentence


def test_a_run_disagrees_where_controls_differ(summary: dict[str, Any]) -> None:
    other = copy.deepcopy(summary)
    rows = {row["name"]: row for row in other["controls"]}
    rows["drowned"]["attack"], rows["noise"]["high"] = 0.5, 0.0
    told = disagreements(summary, other)
    assert [sentence.split(":")[0] for sentence in told] == [
        "the control drowned",
        "the control noise",
    ]
