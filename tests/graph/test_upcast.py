"""Half precision to float32, everywhere a type stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxprobe.errors import RunError
from onnxprobe.graph import (
    Graph,
    has_half_precision,
    infer_types,
    load_model,
    upcast_graph,
    walk,
)
from onnxprobe.graph.dtypes import element_type
from onnxprobe.types import Array, Program
from tests.graph.messages import beginning
from tests.graph.models import (
    CORPUS,
    MODELS,
    ROOT,
    body,
    model,
    node,
    opened,
    perceptron,
    run,
    stored,
    value,
    weight,
)

HALF = {TensorProto.FLOAT16, TensorProto.BFLOAT16}


def _stored(name: str, array: Array, dtype: str) -> TensorProto:
    kind = helper.tensor_dtype_to_np_dtype(element_type(dtype))
    return numpy_helper.from_array(array.astype(kind), name)


def _half_network(dtype: str) -> ModelProto:
    """A weight to be lifted, a constant, casts, an If, a sequence: all in half precision."""
    constant = node("Constant", "", "k", value=_stored("k", weight(4, seed=3), dtype))
    then = body(
        [constant, node("Add", "h k", "up")],
        [value("up", ["n", 4], dtype)],
    )
    other = body(
        [node("Mul", "h two", "down")],
        [value("down", ["n", 4], dtype)],
        initializers=[_stored("two", np.array([2.0]), dtype)],
    )
    other.value_info.append(value("unused", [1], dtype))
    return model(
        [
            node("Cast", "x", "half", to=element_type(dtype)),
            node("MatMul", "half w", "h0"),
            node("Add", "h0 bias", "h"),
            node("If", "c", "chosen", then_branch=then, else_branch=other),
            node("SequenceConstruct", "chosen h", "both"),
            node("SequenceAt", "both zero", "first"),
            node("ConstantOfShape", "four", "ones", value=_stored("one", np.ones(1), dtype)),
            node("Add", "first ones", "y"),
        ],
        [value("x", ["n", 300]), value("c", [], "bool")],
        [value("y", ["n", 4], dtype)],
        [
            _stored("w", weight(300, 4) / 20, dtype), _stored("bias", weight(4, seed=1), dtype),
            stored("zero", np.array(0)), stored("four", np.array([4])),
        ],
        opset=18,
    )  # fmt: skip


def _feeds() -> dict[str, Array]:
    return {"x": weight(3, 300, seed=7), "c": np.array(True)}


def _program(graph: Graph) -> Program:
    return Program(graph.proto.SerializeToString(), graph.weights)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_no_half_precision_is_left(dtype: str) -> None:
    """Weights, constants, declared types, casts, bodies, sequences."""
    graph = opened(_half_network(dtype))
    assert has_half_precision(graph)
    found = upcast_graph(graph)
    assert not has_half_precision(found)
    assert not HALF & {tensor.data_type for tensor, _ in walk.tensors(found.proto)}
    assert not HALF & {kind.elem_type for kind in walk.tensor_types(found.proto)}
    assert {str(array.dtype) for array in found.weights.values()} <= {"float32"}
    types = infer_types(found)
    assert {types[name].dtype for name in ("half", "h", "chosen", "first", "ones", "y")} == {
        "float32"
    }


@pytest.mark.parametrize("condition", [True, False])
def test_the_upcast_model_computes_nearly_the_same(condition: bool) -> None:
    """Within float16's rounding, which is 2⁻¹¹, and more exactly."""
    graph = opened(_half_network("float16"))
    feeds = {**_feeds(), "c": np.array(condition)}
    half = run(_program(graph), feeds)["y"]
    single = run(_program(upcast_graph(graph)), feeds)["y"]
    assert half.dtype == np.float16
    assert single.dtype == np.float32
    assert 0 < np.abs(single - half).max() < 4e-3 * np.abs(single).max()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_original_is_left_alone(dtype: str) -> None:
    graph = opened(_half_network(dtype))
    before = graph.proto.SerializeToString(deterministic=True)
    weights = {name: array.copy() for name, array in graph.weights.items()}
    assert set(weights) == {"w"}
    found = upcast_graph(graph)
    assert graph.proto.SerializeToString(deterministic=True) == before
    assert all(np.array_equal(graph.weights[name], array) for name, array in weights.items())
    assert found.original is graph.original
    assert found.files == graph.files
    assert found.outputs == graph.outputs


def test_a_bfloat16_model_that_the_cpu_refuses_runs_upcast() -> None:
    """ONNX Runtime has no kernels for it there."""
    graph = opened(_half_network("bfloat16"))
    with pytest.raises(RunError, match=beginning("ONNX Runtime refuses the model: ")):
        run(graph.original, _feeds())
    single = run(_program(upcast_graph(graph)), _feeds())["y"]
    exact = run(_program(upcast_graph(opened(_half_network("float16")))), _feeds())["y"]
    # Two roundings of the weights: 2⁻⁸ and 2⁻¹¹ each.
    assert np.allclose(single, exact, atol=2e-2 * np.abs(exact).max())


def test_large_half_weights_stay_apart_from_the_protobuf() -> None:
    """Upcast they would be twice as large, and a protobuf ends at 2 GB."""
    nodes = [node("Identity", "w", "y")]
    tensor = _stored("w", np.arange(3000), "bfloat16")
    found = upcast_graph(opened(model(nodes, [], [value("y", None, "bfloat16")], [tensor])))
    assert len(found.proto.SerializeToString()) < 300
    assert np.array_equal(run(_program(found), {})["y"], np.array(tensor_values(tensor)))
    assert not found.weights["w"].flags.writeable


def tensor_values(tensor: TensorProto) -> Array:
    return numpy_helper.to_array(tensor).astype(np.float32)


def test_a_model_without_half_precision_has_none() -> None:
    """Its twin is equal."""
    graph = opened(perceptron())
    assert not has_half_precision(graph)
    found = upcast_graph(graph)
    assert found.proto == graph.proto
    assert found.weights == graph.weights


@pytest.mark.parametrize(
    "proto",
    [
        model([node("Relu", "x", "y")], [value("x", [2], "float16")], [value("y", None)]),
        model(
            [node("Relu", "x", "y")], [value("x", [2])], [value("y", None)],
            [_stored("w", np.ones(2), "bfloat16")],
        ),
        model([node("EyeLike", "x", "y", dtype=10)], [value("x", [2, 2])], [value("y", None)]),
        model([node("Softmax", "x", "y", stash_type=16)], [value("x", [2])], [value("y", None)]),
        model(
            [node("Optional", "", "y", type=helper.make_tensor_type_proto(10, None))],
            [],
            [value("y", None)],
        ),
    ],
    ids=["declared", "stored", "asked for", "used inside", "typed"],
)  # fmt: skip
def test_half_precision_is_seen_wherever_it_stands(proto: ModelProto) -> None:
    graph = opened(proto)
    assert has_half_precision(graph)
    assert not has_half_precision(upcast_graph(graph))


@pytest.mark.parametrize(
    "proto",
    [
        model([node("Pad", "x", "y", mode="to")], [value("x", [2])], [value("y", None)]),
        model([node("Custom", "x", "y", count=10)], [value("x", [2])], [value("y", None)]),
        model([node("Cast", "x", "y", to=TensorProto.INT8)], [value("x", [2])], [value("y", None)]),
        model([node("Custom", "x", "y", to=[10, 16])], [value("x", [2])], [value("y", None)]),
    ],
)
def test_other_attributes_are_left_alone(proto: ModelProto) -> None:
    """Numbers that are no types, types that are not half."""
    graph = opened(proto)
    assert not has_half_precision(graph)
    assert upcast_graph(graph).proto == graph.proto


def test_the_float16_model_here_keeps_its_predictions() -> None:
    """99.6 % of the digits are classified as before."""
    graph = load_model(ROOT / "models" / "digits_cnn_float16.onnx")
    images = np.load(ROOT / "models" / "digits.npz")["images"][:, None] / 255
    half = run(graph.original, {"image": images.astype(np.float16)})
    single = run(_program(upcast_graph(graph)), {"image": images.astype(np.float32)})
    (name,) = graph.outputs
    assert half[name].dtype == np.float16
    assert single[name].dtype == np.float32
    assert np.mean(half[name].argmax(-1) == single[name].argmax(-1)) > 0.99


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_the_other_models_here_have_no_half_precision(path: Path) -> None:
    assert has_half_precision(load_model(path)) == ("float16" in path.stem)


@pytest.mark.corpus
@pytest.mark.skipif(not CORPUS.exists(), reason=f"no third-party models at {CORPUS}")
def test_a_third_party_bfloat16_model_runs_upcast() -> None:
    graph = load_model(CORPUS / "models" / "polygraphy__matmul_bf16.onnx")
    found = upcast_graph(graph)
    feeds = {
        kind.name: np.ones(
            [size if isinstance(size, int) else 2 for size in kind.shape or ()], "f4"
        )
        for kind in found.inputs
    }
    assert all(array.dtype == np.float32 for array in run(_program(found), feeds).values())
