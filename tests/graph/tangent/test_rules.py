"""Each rule against central differences, at numbers of directions that could pass for an axis."""

from __future__ import annotations

import pytest

from tests.graph.tangent.checker import check_tangents
from tests.graph.tangent.specs import SPECS, Spec, draw


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_derivative_is_exact(spec: Spec) -> None:
    model, feeds = spec.model()
    verdict = check_tangents(model, feeds, directions=spec.directions)
    assert verdict.status == "exact", verdict


def test_what_runtimes_disagree_on_is_left_to_the_runtime() -> None:
    """A place outside the border, read by a cubic: ONNX Runtime and the reference differ."""
    options = {"mode": "cubic", "padding_mode": "border"}
    grid = draw(2, 3, 4, 2, low=-0.5, high=0.5)
    model, feeds = Spec("GridSample", [draw(2, 3, 5, 6), grid], attributes=options).model()
    assert check_tangents(model, feeds).status == "numerical"
