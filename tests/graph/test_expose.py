"""Chosen tensors become outputs; nothing else changes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import ModelProto, NodeProto, TensorProto

from onnxprobe.graph import expose_tensors, infer_types, readable_names
from onnxprobe.graph.dtypes import NUMPY_TYPES, READABLE_TYPES, element_type
from onnxprobe.types import Array, TensorType
from tests.graph.checker import check_exposure
from tests.graph.models import (
    branching,
    looping,
    model,
    node,
    opened,
    perceptron,
    run,
    run_file,
    stored,
    value,
    weight,
)


def _parsed(content: bytes) -> ModelProto:
    return ModelProto.FromString(content)


def test_outputs_come_in_the_order_asked_for() -> None:
    """Whatever the order of the graph."""
    graph = opened(perceptron())
    program = expose_tensors(graph, ["y", "h", "r"])
    assert list(run(program, {"x": weight(2, 8)})) == ["y", "h", "r"]


def test_only_what_is_needed_is_kept() -> None:
    """Nodes, inputs and weights of the part that computes the tensors."""
    proto = model(
        [node("Add", "x b", "s"), node("Add", "z w", "t"), node("Mul", "s t", "y")],
        [value("x", [300]), value("z", [300])],
        [value("y", [300])],
        [stored("b", weight(300)), stored("w", weight(300, seed=1))],
    )
    program = expose_tensors(opened(proto), ["s"])
    kept = _parsed(program.proto).graph
    assert [each.name for each in kept.input] == ["x"]
    assert [each.op_type for each in kept.node] == ["Add"]
    assert [each.name for each in kept.initializer] == ["b"]
    assert set(program.weights) == {"b"}


def test_captures_of_bodies_are_kept() -> None:
    """What a branch or a loop reads of the outer graph is needed, too."""
    check_exposure(branching(), {"x": weight(2, 4), "c": np.array(False)})
    kept = _parsed(expose_tensors(opened(branching()), ["y"]).proto).graph
    assert [each.op_type for each in kept.node] == ["MatMul", "If"]
    graph = opened(looping())
    program = expose_tensors(graph, ["all"])
    assert set(program.weights) == {"w"}
    assert run(program, {"x": weight(20)})["all"].shape == (3, 20)


@pytest.mark.parametrize("names", [("y", "y"), ("z", "h2")])
def test_bodies_may_use_outer_names(names: tuple[str, str]) -> None:
    """An If whose branches call their output what the If calls its own, or a later node."""
    feeds = {"x": weight(2, 4), "c": np.array(True)}
    graph = opened(branching(names))
    found = run(expose_tensors(graph, ["h", "y", "z"]), feeds)
    (expected,) = run_file(branching(names).SerializeToString(), feeds)
    assert found["z"].tobytes() == expected.tobytes()
    assert np.array_equal(found["z"], np.maximum(found["y"], 0))


def test_a_tensor_that_is_an_output_already_is_exposed_as_it_is() -> None:
    x = weight(2, 8)
    (expected,) = run_file(perceptron().SerializeToString(), {"x": x})
    found = run(expose_tensors(opened(perceptron()), ["y"]), {"x": x})
    assert found["y"].tobytes() == expected.tobytes()


def test_inputs_and_weights_can_be_exposed() -> None:
    """As outputs of the program they bear their own names."""
    graph = opened(perceptron())
    x = weight(2, 8)
    found = run(expose_tensors(graph, ["x", "w1", "b1"]), {"x": x})
    assert np.array_equal(found["x"], x)
    assert np.array_equal(found["w1"], weight(8, 64))
    assert np.array_equal(found["b1"], weight(64, seed=1))


def test_default_values_of_inputs_are_kept() -> None:
    proto = perceptron()
    proto.graph.input.append(value("w1", [8, 64]))
    program = expose_tensors(opened(proto), ["h"])
    assert np.allclose(run(program, {"x": weight(2, 8)})["h"], weight(2, 8) @ weight(8, 64), 1e-4)


def test_sparse_weights_are_kept() -> None:
    proto = model(
        [node("Identity", "s", "d"), node("Add", "x d", "y")], [value("x", [9])], [value("y", [9])]
    )
    sparse = proto.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(stored("s", np.array([1.5], np.float32)))
    sparse.indices.CopyFrom(stored("s_i", np.array([3])))
    expected = np.zeros(9, np.float32)
    expected[3] = 1.5
    assert np.array_equal(run(expose_tensors(opened(proto), ["d"]), {})["d"], expected)


def test_the_program_says_what_the_model_says_of_versions() -> None:
    proto = perceptron()
    proto.ir_version = 7
    proto.metadata_props.add(key="author", value="x")
    kept = _parsed(expose_tensors(opened(proto), ["h"]).proto)
    assert kept.ir_version == 7
    assert kept.opset_import == proto.opset_import
    assert not kept.metadata_props


def test_declared_types_of_what_is_computed_are_kept() -> None:
    """They help the runtime where it cannot infer."""
    proto = perceptron()
    proto.graph.value_info.extend([value("r", ["n", 64]), value("y2", [1])])
    kept = _parsed(expose_tensors(opened(proto), ["y"]).proto).graph
    assert [each.name for each in kept.value_info] == ["r"]


def test_the_graph_is_left_alone() -> None:
    graph = opened(branching())
    before = graph.proto.SerializeToString(deterministic=True)
    expose_tensors(graph, ["h"], sources=[TensorType("h", "float32", None)], free_axes={"x": 0})
    assert graph.proto.SerializeToString(deterministic=True) == before


def test_the_same_request_gives_the_same_bytes() -> None:
    graph = opened(perceptron())
    first, second = (expose_tensors(graph, ["h", "y"]) for _ in range(2))
    assert first.proto == second.proto


def _type_name(dtype: str) -> np.dtype[np.generic]:
    spelled = {
        "float8e4m3fn": "float8_e4m3fn",
        "float8e4m3fnuz": "float8_e4m3fnuz",
        "float8e5m2": "float8_e5m2",
        "float8e5m2fnuz": "float8_e5m2fnuz",
        "float8e8m0": "float8_e8m0fnu",
    }.get(dtype, dtype)
    return np.dtype(getattr(ml_dtypes, spelled, spelled))


@pytest.mark.parametrize("dtype", sorted(READABLE_TYPES))
def test_tensors_of_every_readable_type_are_read(dtype: str) -> None:
    """Cast to float32 where numpy lacks the type; the truth is ml_dtypes'."""
    numbers = np.array([0.0, 1.0, 1.3, 0.4, 2.0], np.float32)
    signed = not dtype.startswith(("uint", "bool")) and dtype != "float8e8m0"
    x = np.concatenate([numbers, -numbers[:2]]) if signed else numbers
    if dtype.endswith("int2"):
        x = np.clip(x, -1, 1)
    proto = model(
        [node("Cast", "x", "t", to=element_type(dtype)), node("Cast", "t", "y", to=1)],
        [value("x", x.shape)],
        [value("y", x.shape)],
        opset=25,
        ir=12,
    )
    graph = opened(proto)
    types = infer_types(graph)
    assert types["t"].dtype == dtype
    (name,) = readable_names(graph, ["t"], types).values()
    assert name == ("t" if dtype in NUMPY_TYPES else "t@float32")
    found = run(expose_tensors(graph, ["t"], types=types), {"x": x})
    expected = x.astype(_type_name(dtype))
    if dtype in NUMPY_TYPES:
        assert found[name].dtype == expected.dtype
        assert np.array_equal(found[name], expected)
    elif dtype == "float8e8m0":
        # Zero has no place in a scale; rounding of others is the runtime's.
        assert np.array_equal(np.log2(found[name]), np.round(np.log2(found[name])))
    else:
        assert np.array_equal(found[name], expected.astype(np.float32))


def test_a_cast_whose_name_is_taken_gets_another() -> None:
    """`T@float32` is a tensor of the model already, and so is `T@float32@2`."""
    proto = model(
        [
            node("Cast", "x", "T", to=TensorProto.BFLOAT16),
            node("Neg", "x", "T@float32"),
            node("Abs", "x", "T@float32@2"),
            node("Cast", "T", "y", to=TensorProto.FLOAT),
        ],
        [value("x", [3])],
        [value("y", [3])],
    )
    graph = opened(proto)
    types = infer_types(graph)
    names = ["T", "T@float32", "T@float32@2"]
    spelled = readable_names(graph, names, types)
    assert spelled["T"] == "T@float32@3"
    x = np.array([1.0, -2.0, 0.5], np.float32)
    found = run(expose_tensors(graph, names, types=types), {"x": x})
    assert np.array_equal(found["T@float32@3"], x)
    assert np.array_equal(found["T@float32"], -x)
    assert np.array_equal(found["T@float32@2"], np.abs(x))


def test_names_do_not_depend_on_what_else_is_asked_for() -> None:
    """Who exposes some tensors and reads fewer finds them."""
    graph = opened(perceptron())
    types = {name: TensorType(name, "bfloat16", None) for name in ("h", "hb", "r")}
    together = readable_names(graph, ["h", "hb", "r"], types)
    alone = {name: readable_names(graph, [name], types)[name] for name in ("r", "h", "hb")}
    assert together == alone == {name: f"{name}@float32" for name in ("h", "hb", "r")}


def test_half_precision_stays_what_it_is() -> None:
    """Numpy has float16; its values are those of the model."""
    nodes: list[NodeProto] = [
        node("Cast", "x", "h", to=TensorProto.FLOAT16),
        node("Mul", "h h", "q"),
        node("Cast", "q", "y", to=TensorProto.FLOAT),
    ]
    proto = model(nodes, [value("x", [3])], [value("y", [3])])
    x: Array = np.array([1.3, 0.1, 7.0], np.float32)
    graph = opened(proto)
    found = run(expose_tensors(graph, ["h", "q"], types=infer_types(graph)), {"x": x})
    assert found["h"].dtype == np.float16
    assert np.array_equal(found["h"], x.astype(np.float16))
    # The runtime computes in float32 and skips the rounding between two casts.
    assert np.allclose(found["q"], x * x, rtol=1e-3)


def test_strings_and_sequences_can_be_exposed() -> None:
    """Whoever asks for them: an output of the model may be one."""
    proto = model(
        [node("Identity", "s", "t"), node("SequenceConstruct", "x x", "q")],
        [value("s", [2], "string"), value("x", [2])],
        [value("t", [2], "string")],
    )
    graph = opened(proto)
    feeds = {"s": np.array(["a", "b"], object), "x": weight(2)}
    found = run(expose_tensors(graph, ["t", "q"], types=infer_types(graph)), feeds)
    assert found["t"].tolist() == ["a", "b"]
    assert [each.tolist() for each in found["q"]] == [weight(2).tolist()] * 2
