"""Ranks that inference does not find: told by bodies, by declarations, by a run, and guarded."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto

from onnxprobe.graph import differentiate, infer_types
from onnxprobe.graph.tangent import Differentiated
from onnxprobe.types import Array, TensorType
from tests.graph.models import body, model, node, opened, stored, value
from tests.graph.tangent.checker import check_tangents

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
WEIGHTS = [stored("turns", np.array(3)), stored("going", np.array(True))]
TURN = [value("i", [], "int64"), value("on", [], "bool")]


def _derive(proto: ModelProto, **options: Any) -> Differentiated:
    graph = opened(proto)
    types = infer_types(graph, follow_shapes=True) | options.pop("types", {})
    return differentiate(graph, types, ["x"], ["y"], **options)


def _run(derived: Differentiated, **feeds: Array) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        derived.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, feeds))


def _reshaped() -> ModelProto:
    """A network whose hidden tensor has as many axes as it is told at the time."""
    nodes = [node("Reshape", "x shape", "h"), node("MatMul", "h w", "m"), node("Tanh", "m", "y")]
    inputs = [value("x", [2, 3]), value("shape", ["axes"], "int64")]
    weight = stored("w", np.arange(12, dtype=np.float32).reshape(3, 4) / 7)
    return model(nodes, inputs, [value("y", None)], [weight])


RANKS = {
    name: TensorType(name, "float32", (None,) * 3) for name in ("h", "m", "y")
}  # fmt: skip
VECTORS = np.random.default_rng(1).normal(size=(4, 2, 3)).astype(np.float32)


def test_without_a_rank_there_is_no_tangent() -> None:
    assert _derive(_reshaped()).outcome.failed["y"] == "m (MatMul): the rank of 'h' is not known"


def test_at_the_assumed_rank_a_model_runs_and_at_others_it_refuses() -> None:
    derived = _derive(_reshaped(), types=RANKS, assumed_ranks=[*RANKS])
    assert derived.outcome.assumed == {"h": 3, "m": 3, "y": 3}
    feeds = {"x": X, "x@tangent": VECTORS}
    y, found = _run(derived, **feeds, shape=np.array([2, 1, 3]))
    expected = (VECTORS @ (np.arange(12).reshape(3, 4) / 7)).reshape(4, 2, 1, 4) * (1 - y**2)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for shape in ([2, 3], [1, 2, 1, 3]):
        with pytest.raises(Exception, match=r"the rank of [hmy] must be 3"):
            _run(derived, **feeds, shape=np.array(shape))


def test_ranks_that_no_derivative_needs_are_not_checked() -> None:
    """Beside the derivative, and where only what carries no derivative has another rank."""
    proto = _reshaped()
    proto.graph.node.append(node("Sin", "x", "s"))
    graph = opened(proto)
    types = infer_types(graph) | RANKS
    derived = differentiate(graph, types, ["x"], ["s"], assumed_ranks=[*RANKS])
    assert set(derived.outcome.assumed) <= set(RANKS)
    # Nodes that no output needs are left out, their checks with them.
    assert not any(each.name.startswith("the rank") for each in derived.proto.graph.node)


def test_a_scalar_is_checked_too() -> None:
    """A Reshape to no axes takes one element of any shape."""
    types = {name: TensorType(name, "float32", ()) for name in ("h", "y")}
    nodes = [node("Reshape", "x shape", "h"), node("Tanh", "h", "y")]
    inputs = [value("x", [1]), value("shape", ["axes"], "int64")]
    derived = _derive(model(nodes, inputs, [value("y", None)]), types=types, assumed_ranks=types)
    feeds = {"x": X[0, :1], "x@tangent": VECTORS[:, 0, :1]}
    assert _run(derived, **feeds, shape=np.zeros(0, np.int64))[1].shape == (4,)
    with pytest.raises(Exception, match="must be 0"):
        _run(derived, **feeds, shape=np.array([1]))


def _within(wrong: bool) -> ModelProto:
    """A body that reshapes by what is fed, and declares the rank of what comes out."""
    inner = body(
        [
            node("Reshape", "a shape", "h"),
            node("MatMul", "h w", "m"),
            node("Tanh", "m", "c"),
            node("Reshape", "c back", "d"),
            node("Identity", "on", "still"),
        ],
        [value("still", [], "bool"), value("d", [2, 3])],
        [*TURN, value("a", [2, 3])],
    )
    inner.value_info.append(value("h", ["p", "q", "r"] if not wrong else ["p", "q"]))
    weights = [*WEIGHTS, stored("back", np.array([2, 3]))]
    weights.append(stored("w", np.arange(9, dtype=np.float32).reshape(3, 3) / 7))
    inputs = [value("x", [2, 3]), value("shape", ["axes"], "int64")]
    loop = node("Loop", "turns going x", "y", body=inner)
    return model([loop], inputs, [value("y", None)], weights)


def test_what_a_body_declares_is_believed_and_checked() -> None:
    feeds = {"x": X, "shape": np.array([2, 1, 3])}
    assert check_tangents(_within(False), feeds, directions=(1, 2, 3)).status == "exact"
    # Runtimes warn of a wrong declaration, no more.
    with pytest.raises(Exception, match=r"the rank of h.* must be 2"):
        _run(_derive(_within(True)), x=X, shape=feeds["shape"], **{"x@tangent": VECTORS})


def test_loops_tell_ranks_to_what_follows() -> None:
    """Onnx infers no rank of what a Loop carries."""
    inner = body(
        [node("Tanh", "a", "c"), node("Identity", "on", "still")],
        [value("still", [], "bool"), value("c", None)],
        [*TURN, value("a", None)],
    )
    outer = body(
        [
            node("Loop", "turns going b", "d", body=inner),
            node("Softmax", "d", "e", axis=0),
            node("Identity", "on", "still2"),
        ],
        [value("still2", [], "bool"), value("e", None)],
        [value("i2", [], "int64"), value("on2", [], "bool"), value("b", None)],
    )
    outer.node[2].input[0] = "on2"
    nodes = [node("Loop", "turns going x", "z", body=outer), node("Softmax", "z", "y", axis=1)]
    proto = model(nodes, [value("x", [2, 3])], [value("y", None)], WEIGHTS)
    verdict = check_tangents(proto, {"x": X}, directions=(1, 2, 3))
    assert verdict.status == "exact", verdict


def test_a_loop_that_turns_not_even_once_gives_tangents_of_its_shape() -> None:
    inner = body(
        [node("Tanh", "a", "c"), node("Sin", "a", "u"), node("Identity", "on", "still")],
        [value("still", [], "bool"), value("c", [2, 3]), value("u", [2, 3])],
        [*TURN, value("a", [2, 3])],
    )
    loop = node("Loop", "turns going x", "z y", body=inner)
    inputs = [value("x", [2, 3]), value("turns", [], "int64")]
    proto = model([loop], inputs, [value("y", None)], WEIGHTS[1:])
    derived = _derive(proto)
    for turns in (0, 2):
        y, found = _run(derived, x=X, turns=np.array(turns, np.int64), **{"x@tangent": VECTORS})
        assert found.shape == (4, *y.shape)


def test_a_state_that_changes_its_rank_is_refused() -> None:
    inner = body(
        [
            node("Unsqueeze", "a axes", "u"),
            node("Tanh", "u", "c"),
            node("Identity", "on", "still"),
        ],
        [value("still", [], "bool"), value("c", None)],
        [*TURN, value("a", None)],
    )
    weights = [*WEIGHTS, stored("axes", np.array([0]))]
    loop = node("Loop", "turns going x", "y", "turn", body=inner)
    derived = _derive(model([loop], [value("x", [2, 3])], [value("y", None)], weights))
    assert derived.outcome.failed["y"] == (
        "turn (Loop): a value that it carries changes its rank from turn to turn"
    )


def test_ranks_within_a_body_are_not_looked_for_by_running_a_loop() -> None:
    """Fed ones, this one would turn for ever."""
    inner = body(
        [node("Add", "a a", "c"), node("Less", "c big", "still")],
        [value("still", [], "bool"), value("c", None)],
        [*TURN, value("a", None)],
        [stored("big", np.array(np.inf, np.float32))],
    )
    loop = node("Loop", "_ going t", "l", body=inner)
    branch = body(
        [node("Mul", "x zero", "t"), loop, node("Reshape", "l shape", "r")], [value("r", None)]
    )
    other = body([node("Reshape", "x shape", "s")], [value("s", None)])
    choice = node("If", "fed", "y", "choice", then_branch=branch, else_branch=other)
    weights = [WEIGHTS[1], stored("zero", np.array([0], np.float32))]
    inputs = [value("x", [1]), value("fed", [], "bool"), value("shape", ["axes"], "int64")]
    derived = _derive(model([choice], inputs, [value("y", None)], weights))
    assert derived.outcome.failed == {}
