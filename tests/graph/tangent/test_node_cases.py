"""Derivatives of onnx's own test cases, of which there are some hundreds."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto
from onnx.backend.test.case.node import collect_testcases

from tests.graph.tangent.checker import Verdict, check_tangents, default_sources

# The reference evaluator takes half a minute for each of these; smaller ones of the kind are there.
SLOW = {"test_averagepool_3d_default", "test_lppool_3d_default", "test_maxpool_3d_default"}
# Said to be without derivative, with the reason: the branch of an If that is never taken fits no
# tensor of this rank; a Dropout that may be switched on draws random numbers.
UNSUPPORTED = {
    "test_affine_grid_2d_align_corners_expanded": "the rank of",
    "test_affine_grid_2d_expanded": "the rank of",
    "test_affine_grid_3d_align_corners_expanded": "the rank of",
    "test_affine_grid_3d_expanded": "the rank of",
    "test_training_dropout_zero_ratio": "it draws random numbers",
    "test_training_dropout_zero_ratio_mask": "it draws random numbers",
}

_Case = tuple[str, ModelProto, dict[str, Any]]


def _cases() -> Iterator[_Case]:
    """Cases with a float input that is data and a float output."""
    with warnings.catch_warnings():
        # Some cases overflow on purpose.
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    for case in found:
        if case.model is None or not case.data_sets or case.name in SLOW:
            continue
        inputs, outputs = case.data_sets[0]
        names = [value.name for value in case.model.graph.input]
        if len(names) != len(inputs):
            continue
        feeds = dict(zip(names, inputs, strict=True))
        real = any(
            isinstance(each, np.ndarray) and each.dtype in (np.float32, np.float64) and each.size
            for each in outputs
        )
        if real and default_sources(case.model, feeds):
            yield case.name, case.model, feeds


@pytest.fixture(scope="module")
def verdicts() -> dict[str, dict[str, Verdict]]:
    """By status, the verdict of each case."""
    found: dict[str, dict[str, Verdict]] = defaultdict(dict)
    for name, model, feeds in _cases():
        try:
            verdict = check_tangents(model, feeds, directions=(7,))
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
    assert tally.get("undecidable", 0) <= 10, tally
