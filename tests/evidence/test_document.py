"""The document follows from the figures of a run, and from nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.evidence.document import render
from scripts.evidence.findings import findings
from scripts.evidence.sections import (
    bounds_section,
    differences_section,
    membership_section,
    runs_section,
    samples_section,
    variation,
)
from scripts.evidence.tables import (
    calibration_errors,
    orders,
    shuffled,
    target_table,
    threshold_table,
)

HERE = Path(__file__).parent


@pytest.fixture
def summary() -> dict[str, Any]:
    """What `--quick` found."""
    found: dict[str, Any] = json.loads((HERE / "quick.json").read_text())
    return found


def test_the_quick_document_is_made_of_the_quick_figures(summary: dict[str, Any]) -> None:
    assert render(summary) == (HERE / "quick.md").read_text()


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
                level["high"] = max(level["ridge"]["r2"], level["decoder"]["r2"]) + error
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
                level["ridge"], level["decoder"] = middle["ridge"], middle["decoder"]
            tensor["size"] = 1e6 * max(middle["ridge"]["r2"], middle["decoder"]["r2"])
    said = _unwrapped(findings({"networks": networks}))
    assert "As good at ordering, or better, and cheaper:** " in said
    assert "tensor size (" in said.split("cheaper:**")[1].split("\n", maxsplit=1)[0]


def test_thresholds_say_the_worst_of_what_passes(summary: dict[str, Any]) -> None:
    networks = _three(summary, 0.0)
    for network in networks.values():
        for tensor in network["tensors"]:
            for level in tensor["levels"]:
                level["high"], level["attained"] = 0.05, 0.0
                level["ridge"]["r2"] = level["decoder"]["r2"] = 0.25
    assert "| 0.1 | 90 | 0.25 | 0.25 | 90 of 90 |" in threshold_table(networks)
    # Nothing may pass for 0.2, and all for 0.3.
    assert "| 0.2 | 0.05 (0) |" in target_table(networks)
    assert "| 0.3 | 1.00 (90) |" in target_table(networks)


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


def test_cv_and_mcr_are_those_of_the_documentation() -> None:
    cv, mcr = variation(np.array([2.0, 4.0, 3.0]))
    assert cv == pytest.approx(np.std([2, 4, 3]) / 3)
    assert mcr == pytest.approx(1.0)


def test_differences_say_on_which_side_they_err() -> None:
    row = {
        "step": 0.01,
        "tensors": 9,
        "wrong_ranks": 2,
        "rank_error": 3.5,
        "effective_rank_error": 0.125,
        "share_above": 0.25,
        "share_below": -0.5,
    }
    found = differences_section([{"name": "n", "rows": [row]}])
    assert "| n | 0.01 | 2 of 9 | 3.5 | 12.5% | 0.2500 | 0.0000 |" in found


def test_samples_are_listed_by_tensor() -> None:
    said = {"dof": 3.0, "high": 0.5, "attained": None}
    rows = [{"samples": size, "tensors": {"a": said, "b": said}} for size in (50, 100)]
    lines = samples_section([{"name": "n", "rows": rows}]).splitlines()
    assert lines[2:4] == [
        "| n | a | 50 | 3.0 | 0.500 | none |",
        "| n | a | 100 | 3.0 | 0.500 | none |",
    ]


def test_the_spread_of_runs_is_their_range() -> None:
    def run(value: float) -> dict[str, float]:
        return dict.fromkeys(("high", "attained", "attack", "dof", "rank"), value)

    rows = {"a": [run(0.1), run(0.3)], "b": [run(0.5), run(0.5)]}
    found = runs_section([{"name": "n", "rows": rows}])
    assert "| n | 2 | best attack R² | 0.350 | 0.100 | 0.200 |" in found


def test_a_measure_that_falls_and_rises_with_training_is_said_to() -> None:
    checkpoints = [
        {
            "epoch": epoch,
            "accuracy_members": 1.0,
            "accuracy_others": 0.5,
            "auc": value / 10,
            "tensors": {"a": {"dof": value, "rank": 4, "effective_rank": float(-epoch + 9)}},
        }
        for epoch, value in enumerate((6.0, 2.0, 8.0))
    ]
    found = membership_section([{"name": "n", "checkpoints": checkpoints}])
    # Deviation of 6, 2 and 8 by their mean; changes of 2/3 and of 3.
    assert "| a | 0.468 | 3.000 | falls, then rises | +1.00 |" in found
    assert "| 0.000 | 0.000 | flat | +0.00 |" in found
    assert " | falls | " in found
