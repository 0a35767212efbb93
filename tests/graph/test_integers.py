"""Integer operators that may saturate are counted, and the canary's exact sum is exact."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from onnxprobe.graph import int8_products, integer_canary
from onnxprobe.types import Array
from tests.graph.models import model, node, opened, stored, value


@pytest.mark.parametrize(
    ("weight", "expected"),
    [(np.ones((3, 2), np.int8), 1), (np.ones((3, 2), np.uint8), 0)],
    ids=["int8", "uint8"],
)
def test_only_int8_weights_count(weight: Array, expected: int) -> None:
    graph = opened(
        model(
            [
                node("DynamicQuantizeLinear", "x", "q scale zero"),
                node("MatMulInteger", "q w zero", "y"),
                node("Relu", "x", "z"),
            ],
            [value("x", [1, 3])],
            [value("z", [1, 3])],
            [stored("w", weight)],
        )
    )
    assert int8_products(graph) == expected


def test_a_factor_that_is_computed_does_not_count() -> None:
    graph = opened(
        model(
            [node("DynamicQuantizeLinear", "x", "q s z"), node("MatMulInteger", "q q z z", "y")],
            [value("x", [3, 3])],
            [value("s", [])],
        )
    )
    assert int8_products(graph) == 0


def test_the_reference_agrees_with_the_canary() -> None:
    program, feeds, exact = integer_canary()
    (sums,) = ReferenceEvaluator(program.proto).run(None, dict(feeds))
    np.testing.assert_array_equal(sums, [[exact]])
