"""The checker rejects rules that are nearly right, and does not decide what it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import Result
from onnxprobe.graph.tangent.rules import RULES
from onnxprobe.graph.tangent.scope import Folded
from tests.graph.tangent.checker import check_tangents
from tests.graph.tangent.specs import Spec, draw, integers


def _spoiled(monkeypatch: pytest.MonkeyPatch, key: tuple[str, str, int], factor: float) -> None:
    right = RULES._rules[key]

    def wrong(node: Node) -> list[Result]:
        results: list[Result] = []
        for each in right(node):
            if isinstance(each, Folded):
                results.append(Folded(each.value * factor))
            else:
                results.append(None if each is None else each * factor)
        return results

    monkeypatch.setitem(RULES._rules, key, wrong)


SPOILED = [
    (Spec("Tanh", [draw(2, 3)]), ("", "Tanh", 13)),
    (Spec("MatMul", [draw(2, 3), draw(3, 4)]), ("", "MatMul", 13)),
    (Spec("Conv", [draw(2, 4, 5, 6), draw(4, 4, 3, 3)], stored=(1,)), ("", "Conv", 22)),
    (Spec("Softmax", [draw(2, 3)]), ("", "Softmax", 13)),
    (Spec("Gather", [draw(2, 3), integers(0, 1)]), ("", "Gather", 13)),
]


@pytest.mark.parametrize(("spec", "key"), SPOILED, ids=str)
def test_a_rule_wrong_by_a_thousandth_is_rejected(
    spec: Spec, key: tuple[str, str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, feeds = spec.model()
    _spoiled(monkeypatch, key, 1.0)
    assert check_tangents(model, feeds).status == "exact"
    _spoiled(monkeypatch, key, 1.001)
    assert check_tangents(model, feeds).status == "wrong"


def test_a_point_on_a_kink_is_drawn_again() -> None:
    """Central differences of Relu at 0 agree at every step size, and are wrong."""
    model, _ = Spec("Relu", [draw(2, 3)]).model()
    zeros = np.zeros((2, 3), np.float32)
    assert check_tangents(model, {"x0": zeros}).status == "exact"


def test_what_cannot_be_decided_is_not_called_right() -> None:
    """Nothing is known at a point where the output is not a number."""
    model, _ = Spec("Log", [draw(2, 3)]).model()
    negative = np.full((2, 3), -1, np.float32)
    assert check_tangents(model, {"x0": negative}).status == "undecidable"
