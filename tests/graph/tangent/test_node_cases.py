"""Derivatives of onnx's own test cases, of which there are some hundreds."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from tests.graph.tangent.checker import EXACT, Verdict, check_tangents
from tests.graph.tangent.node_cases import node_cases

# Said to be without derivative, with the reason: a Squeeze of all axes of size 1, where a size is
# fed; a Dropout that may be switched on and does not give its mask.
UNSUPPORTED = {
    "test_affine_grid_2d_align_corners_expanded": "the rank of",
    "test_affine_grid_2d_expanded": "the rank of",
    "test_training_dropout_zero_ratio": "what it draws is not known",
}
# By the weights, the derivative of a weighted mean over six thousand places is a small difference
# of two sums, each rounded to about 1e-5 of itself.
ROUNDED = {
    f"test_sce_NCd1d2d3d4d5_mean_weight{ending}": 2e-2
    for ending in ("", "_expanded", "_log_prob", "_log_prob_expanded")
}
# Sizes that a number of directions is chosen to equal, of those that a case has.
MAX_SIZES = 3


def _directions(feeds: dict[str, Any]) -> list[int]:
    """Numbers of directions that could pass for an axis, and two that may not."""
    sizes = {size for fed in feeds.values() for size in np.shape(fed) if 1 < size < 20}
    return sorted({1, 7, *sorted(sizes)[:MAX_SIZES]})


@pytest.fixture(scope="module")
def verdicts() -> dict[str, dict[str, Verdict]]:
    """By status, the verdict of each case."""
    found: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for name, model, feeds in node_cases():
        try:
            verdict = check_tangents(
                model, feeds, directions=_directions(feeds), exact=ROUNDED.get(name, EXACT)
            )
        except Exception as error:  # noqa: BLE001 (one broken case must not hide the others)
            verdict = Verdict("wrong", f"{type(error).__name__}: {error}")
        found[verdict.status][name] = verdict
    return found


def test_no_derivative_is_wrong(verdicts: dict[str, dict[str, Verdict]]) -> None:
    assert {name: each.detail for name, each in verdicts["wrong"].items()} == {}


def test_what_has_no_derivative_says_why(verdicts: dict[str, dict[str, Verdict]]) -> None:
    for name, verdict in verdicts["unsupported"].items():
        assert name in UNSUPPORTED, f"{name}: {verdict.detail}"
        assert UNSUPPORTED[name] in verdict.detail


def test_nearly_all_that_the_runtime_runs_is_right_and_exact(
    verdicts: dict[str, dict[str, Verdict]],
) -> None:
    tally = {status: len(found) for status, found in verdicts.items()}
    exact, numerical = tally.get("exact", 0), tally.get("numerical", 0)
    decided = exact + numerical + tally.get("unsupported", 0) + tally.get("wrong", 0)
    # The oldest runtime that is supported runs this many; a checker that decides nothing finds
    # nothing wrong.
    assert decided >= 790, tally
    assert exact + numerical >= 0.97 * decided, tally
    assert exact >= 0.92 * decided, tally
    # The evaluator does not compute some of the latest operators in float64.
    assert tally.get("undecidable", 0) <= 0.05 * decided, tally
