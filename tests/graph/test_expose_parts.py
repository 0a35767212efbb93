"""Inner tensors as inputs, and batch axes that the model fixes to 1."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from onnxprobe.graph import expose_tensors, infer_types, readable_names
from onnxprobe.graph.expose import ROWS
from onnxprobe.types import TensorType
from tests.graph.models import (
    branching,
    model,
    node,
    opened,
    perceptron,
    run,
    run_file,
    session,
    stored,
    tokens,
    value,
    weight,
)

FLOAT = "float32"


def _source(name: str, dtype: str | None = FLOAT) -> TensorType:
    return TensorType(name, dtype, None)


def test_an_inner_tensor_becomes_an_input() -> None:
    """What computed it is left out, with its inputs and weights."""
    graph = opened(perceptron())
    program = expose_tensors(graph, ["y"], sources=[_source("r")])
    kept = ModelProto.FromString(program.proto).graph
    assert [each.name for each in kept.input] == ["r"]
    assert [each.op_type for each in kept.node] == ["MatMul"]
    assert set(program.weights) == {"w2"}
    r = weight(3, 64)
    assert np.allclose(run(program, {"r": r})["y"], r @ weight(64, 5, seed=2), atol=1e-4)


def test_the_cut_part_computes_what_the_whole_does() -> None:
    """Fed with the tensor that the whole model computes, bit for bit."""
    x = weight(3, 8)
    graph = opened(perceptron())
    whole = run(expose_tensors(graph, ["hb", "y"]), {"x": x})
    part = run(expose_tensors(graph, ["y"], sources=[_source("hb")]), {"hb": whole["hb"]})
    assert part["y"].tobytes() == whole["y"].tobytes()


def test_a_source_that_is_exposed_is_copied() -> None:
    """An input that is also an output is not copied by every runtime."""
    graph = opened(perceptron())
    spelled = readable_names(graph, ["r", "y"], {}, {"r"})
    assert spelled == {"r": "r@read", "y": "y"}
    r = weight(3, 64)
    found = run(expose_tensors(graph, ["r", "y"], sources=[_source("r")]), {"r": r})
    assert np.array_equal(found["r@read"], r)


def test_a_copy_whose_name_is_taken_gets_another() -> None:
    proto = perceptron()
    proto.graph.node.append(node("Neg", "y", "r@read"))
    graph = opened(proto)
    program = expose_tensors(graph, ["r", "r@read"], sources=[_source("r")])
    assert [kind.name for kind in session(program).output_types] == ["r@read@2", "r@read"]


def test_other_consumers_of_the_input_are_unaffected() -> None:
    """Only paths through the source start there."""
    proto = model(
        [node("Neg", "x", "n"), node("Relu", "n", "r"), node("Add", "r x", "y")],
        [value("x", [3])],
        [value("y", [3])],
    )
    x, n = np.array([1.0, 2.0, -3.0], np.float32), np.array([5.0, -5.0, 0.5], np.float32)
    found = run(expose_tensors(opened(proto), ["y"], sources=[_source("n")]), {"x": x, "n": n})
    assert np.array_equal(found["y"], np.maximum(n, 0) + x)


def test_one_output_of_several_can_be_a_source() -> None:
    """The node that makes it still makes the others."""
    proto = model(
        [
            node("Split", "x", "a b", axis=0),
            node("Neg", "a", "na"),
            node("Add", "na b", "y"),
            node("Identity", "a@original", "z"),
        ],
        [value("x", [4]), value("a@original", [1])],
        [value("y", [2])],
    )
    x, a = np.arange(4, dtype=np.float32), np.array([10.0, 20.0], np.float32)
    program = expose_tensors(opened(proto), ["y"], sources=[_source("a")])
    assert np.array_equal(run(program, {"x": x, "a": a})["y"], -a + x[2:])
    kept = ModelProto.FromString(program.proto).graph
    assert list(kept.node[0].output) == ["a@original@2", "b"]


def test_several_tensors_can_be_sources() -> None:
    proto = model(
        [node("Neg", "x", "a"), node("Abs", "x", "b"), node("Mul", "a b", "y")],
        [value("x", [2])],
        [value("y", [2])],
    )
    program = expose_tensors(opened(proto), ["y"], sources=[_source("a"), _source("b")])
    a, b = weight(2), weight(2, seed=1)
    assert np.array_equal(run(program, {"a": a, "b": b})["y"], a * b)
    assert [kind.name for kind in session(program).input_types] == ["a", "b"]


def test_a_source_captured_by_a_body_is_an_input() -> None:
    """A branch reads the outer tensor that is cut."""
    program = expose_tensors(opened(branching()), ["z"], sources=[_source("h")])
    h = weight(2, 4)
    found = run(program, {"h": h, "c": np.array(False)})
    assert np.array_equal(found["z"], np.maximum(-h, 0))


def test_a_source_that_is_an_output_can_be_cut() -> None:
    proto = perceptron()
    proto.graph.output.append(value("r", ["n", 64]))
    program = expose_tensors(opened(proto), ["y"], sources=[_source("r")])
    assert run(program, {"r": weight(1, 64)})["y"].shape == (1, 5)


@pytest.mark.parametrize(("dtype", "expected"), [("float64", "float64"), (None, "float32")])
def test_a_source_has_the_type_it_is_given(dtype: str | None, expected: str) -> None:
    """float32 where none is known."""
    proto = model(
        [node("Neg", "x", "n"), node("Cast", "n", "y", to=TensorProto.FLOAT)],
        [value("x", [2], expected)],
        [value("y", [2])],
    )
    program = expose_tensors(opened(proto), ["y"], sources=[_source("n", dtype)])
    assert session(program).input_types == (TensorType("n", expected, None),)


def test_the_embedding_of_a_token_model_can_be_cut() -> None:
    """Its tokens are needed no more."""
    graph = opened(tokens())
    program = expose_tensors(graph, ["logits"], sources=[_source("embedded")])
    embedded = weight(30, 16)[[3, 1, 4, 1, 5]][None]
    found = run(program, {"embedded": embedded})["logits"]
    (expected,) = run_file(tokens().SerializeToString(), {"ids": np.array([[3, 1, 4, 1, 5]])})
    assert found.tobytes() == expected.tobytes()


def _batch_of_one() -> ModelProto:
    proto = model(
        [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("Softmax", "r", "y")],
        [value("x", [1, 6])],
        [value("y", [1, 5])],
        [stored("w", weight(6, 5))],
    )
    proto.graph.value_info.extend([value("h", [1, 5]), value("r", [1, 5])])
    return proto


def test_a_batch_of_one_takes_several_rows_once_freed() -> None:
    """Each row gives what it gives alone, and nothing is printed about shapes."""
    graph = opened(_batch_of_one())
    program = expose_tensors(graph, ["h", "y"], free_axes={"x": 0})
    x = weight(4, 6)
    together = run(program, {"x": x})
    for row in range(4):
        alone = run(expose_tensors(graph, ["h", "y"]), {"x": x[row : row + 1]})
        for name in ("h", "y"):
            assert np.allclose(together[name][row], alone[name][0], rtol=1e-6)
    kept = ModelProto.FromString(program.proto).graph
    assert kept.input[0].type.tensor_type.shape.dim[0].dim_param == ROWS
    assert not kept.value_info


def test_a_batch_of_one_stays_unless_freed(capfd: pytest.CaptureFixture[str]) -> None:
    """Other inputs keep their axes, too."""
    proto = _batch_of_one()
    proto.graph.input.append(value("z", [1, 5]))
    proto.graph.node.append(node("Add", "y z", "s"))
    program = expose_tensors(opened(proto), ["s"], free_axes={"x": 0})
    sizes = [
        [size.dim_value for size in each.type.tensor_type.shape.dim]
        for each in ModelProto.FromString(program.proto).graph.input
    ]
    assert sizes == [[0, 6], [1, 5]]
    assert capfd.readouterr() == ("", "")


def test_free_axes_of_inputs_that_are_not_needed_are_ignored() -> None:
    program = expose_tensors(
        opened(_batch_of_one()), ["y"], sources=[_source("r")], free_axes={"x": 0}
    )
    assert run(program, {"r": weight(3, 5)})["y"].shape == (3, 5)


def test_casts_of_sources_are_copies() -> None:
    """A source is read as it is fed, whatever type the tensor has in the model."""
    proto = model(
        [node("Cast", "x", "t", to=TensorProto.BFLOAT16), node("Cast", "t", "y", to=1)],
        [value("x", [3])],
        [value("y", [3])],
    )
    graph = opened(proto)
    spelled = readable_names(graph, ["t", "y"], infer_types(graph), {"t"})
    assert spelled == {"t": "t@read", "y": "y"}
