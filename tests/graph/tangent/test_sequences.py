"""Tangents of sequences and optional values."""

from __future__ import annotations

import numpy as np
import pytest

from tests.graph.tangent.checker import check_tangents
from tests.graph.tangent.sequence_models import GRAPHS, OPTIONAL, X, sequence_model


@pytest.mark.parametrize("name", GRAPHS)
def test_a_sequence_carries_the_tangents_of_its_tensors(name: str) -> None:
    feeds = {"x": X, "y": X + np.float32(0.3)}
    verdict = check_tangents(
        sequence_model(GRAPHS[name], ["x", "y"]), feeds, directions=(1, 2, 3, 7)
    )
    assert verdict.status == "exact", verdict


@pytest.mark.parametrize("name", OPTIONAL)
def test_an_optional_value_carries_the_tangent_of_what_it_holds(name: str) -> None:
    feeds = {"x": X, "y": X + np.float32(0.3)}
    wrapped, plain = (sequence_model(nodes, ["x", "y"]) for nodes in OPTIONAL[name])
    verdict = check_tangents(wrapped, feeds, reference=plain, directions=(1, 2, 3, 7))
    assert verdict.status == "exact", verdict
