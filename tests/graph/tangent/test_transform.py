"""The derived graph as a whole: opsets, names, what is left out, how its cost grows."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from onnx import GraphProto, NodeProto

from onnxprobe.errors import ModelError
from onnxprobe.graph import differentiate, infer_types, parse_model
from tests.graph.models import body, model, node, opened, stored, value


def test_what_nothing_reads_is_left_out() -> None:
    graph = opened(
        model(
            [node("Mul", "x a", "y"), node("MatMul", "y w", "z")],
            [value("x", [1, 300])],
            [value("z", [1, 300])],
            [stored("a", np.ones(300, np.float32)), stored("w", np.eye(300, dtype=np.float32))],
        )
    )
    derived = differentiate(graph, infer_types(graph), ["x"], ["y"], keep_outputs=False)
    assert set(derived.weights) == {"a"}
    assert "w" not in {each.name for each in derived.proto.graph.initializer}
    assert [each.name for each in derived.proto.graph.output] == ["y@tangent"]


def test_an_opset_that_is_too_old_is_named() -> None:
    proto = model([node("Relu", "x", "y")], [value("x", [2])], [value("y", [2])])
    proto.opset_import[0].version = 6
    graph = parse_model(proto.SerializeToString())
    with pytest.raises(ModelError, match=r"^exact derivatives need opset 9, and the model has"):
        differentiate(graph, infer_types(graph), ["x"])


def test_an_old_opset_is_raised_where_no_operator_changed() -> None:
    proto = model([node("Relu", "x", "y")], [value("x", [2])], [value("y", [2])])
    proto.opset_import[0].version = 7
    graph = parse_model(proto.SerializeToString())
    derived = differentiate(graph, infer_types(graph), ["x"])
    assert derived.proto.opset_import[0].version == 9
    assert graph.proto.opset_import[0].version == 7, "the audited model stays as it is"


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    graph = opened(
        model(
            [node("Relu", "x", "x@tangent"), node("Relu", "x@tangent", "y")],
            [value("x", [2])],
            [value("y", [2])],
        )
    )
    derived = differentiate(graph, infer_types(graph), ["x"])
    names = [name for each in derived.proto.graph.node for name in each.output]
    assert len(set(names)) == len(names)
    assert derived.sources["x"] != "x@tangent"


def _normalising(read: str, written: str) -> NodeProto:
    """Every other node stands for ten others."""
    if int(written[1:]) % 2:
        return node("Tanh", read, written)
    return node("LayerNormalization", f"{read} scale", written)


def _branching(read: str, written: str) -> NodeProto:
    def branch(operator: str) -> GraphProto:
        inner = f"{written}_{operator}"
        return body([node(operator, read, inner)], [value(inner, [1, 4])])

    return node("If", "condition", written, then_branch=branch("Tanh"), else_branch=branch("Sin"))


@pytest.mark.parametrize(
    "link",
    [
        lambda read, written: node("Tanh", read, written),
        _normalising,
        _branching,
    ],
    ids=["rule", "expansion", "bodies"],
)
def test_the_cost_is_linear_in_the_nodes(link: Callable[[str, str], NodeProto]) -> None:
    """Four times the nodes may take eight times as long, not sixteen; a thousand, two seconds."""
    weights = [stored("scale", np.ones(4, np.float32)), stored("condition", np.array(True))]

    def seconds(count: int) -> float:
        chain = [link(f"t{index}", f"t{index + 1}") for index in range(count)]
        outputs = [value(f"t{count}", [1, 4])]
        graph = opened(model(chain, [value("t0", [1, 4])], outputs, weights))
        types = infer_types(graph)
        start = time.process_time()
        differentiate(graph, types, ["t0"], [f"t{index}" for index in range(1, count + 1)])
        return time.process_time() - start

    seconds(50)
    small, large = min(seconds(250) for _ in range(3)), min(seconds(1000) for _ in range(3))
    assert large < 8 * small
    assert large < 2.0
