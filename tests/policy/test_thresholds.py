"""The thresholds of shipped policies are those of the evidence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from onnxprobe.policy import read_policy

DOCS = Path(__file__).parents[2] / "docs"
EVIDENCE = (DOCS / "evidence.md").read_text()
#: The R² that no attack of the evidence exceeded on what passes.
TARGETS = {"embedding-release": 0.4, "split-inference": 0.5}
#: Fewer releases support nothing.
LEAST = 5


def _limit(target: float, measure: str) -> float:
    """Below which value of a measure no attack attained more than a target."""
    lines = EVIDENCE.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| no attack above R²"))
    heads = [cell.strip() for cell in lines[start].split("|")]
    row = next(line for line in lines[start:] if line.startswith(f"| {target} |"))
    cell = row.split("|")[heads.index(f"{measure} below")]
    found = re.match(r" ([0-9.]+) \(([0-9]+)\)", cell)
    assert found
    assert int(found[2]) >= LEAST
    return float(found[1])


def _passing(threshold: float) -> tuple[int, float, str]:
    """How many releases pass a threshold, the largest R² of them, and the images found."""
    row = next(line for line in EVIDENCE.splitlines() if line.startswith(f"| {threshold:g} |"))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    return int(cells[1]), float(cells[4]), cells[6].replace("%", " %")


@pytest.mark.parametrize(("name", "target"), TARGETS.items())
def test_no_attack_of_the_evidence_exceeded_what_a_policy_says(name: str, target: float) -> None:
    policy = read_policy(name).policy
    assert "docs/evidence.md" in policy.description
    assert f"{target}" in policy.description
    limits = [
        (measure, bound.value)
        for rule in policy.rules
        for measure, bounds in (rule.max.limits if rule.max else {}).items()
        for bound in bounds
    ]
    assert {measure for measure, _ in limits} == {"recoverable_share"}
    for _, value in limits:
        # What is equal to the limit passes.
        assert value < _limit(target, "max(ρ, floor)")
    (value,) = {value for _, value in limits}
    releases, largest, found = _passing(value)
    assert largest <= target
    assert f"of the {releases} releases there at or below it" in policy.description
    assert f"Up to {found} of the images" in policy.description


def test_no_output_of_the_evidence_passes_what_outputs_are_held_to() -> None:
    """As the policy says: it is strict, and its threshold is that of other releases."""
    rule = read_policy("embedding-release").policy.rules[0]
    assert "no output there is below it" in read_policy("embedding-release").policy.description
    assert rule.max
    (value,) = {bound.value for bound in rule.max.limits["recoverable_share"]}
    summary = json.loads((DOCS / "evidence" / "summary.json").read_text())
    for network in summary["networks"].values():
        output = network["tensors"][-1]
        judged = [output["int8"], *(each for each in output["levels"] if each["s"] == 0.1)]
        assert len(judged) == 2
        assert any(max(each["high"], each["attained"]) > value for each in judged)
