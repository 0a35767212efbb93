"""Tensors that hold the same numbers are measured once; all others are not mistaken for them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import ArrayLike
from onnx import ModelProto, NodeProto, TensorProto

from onnxprobe.graph import Sharing, find_sharing, infer_types, load_model
from onnxprobe.types import TensorType
from tests.graph.models import MODELS, Shape, model, node, opened, run, stored, value, weight


def _sharing(
    *nodes: NodeProto, shape: Shape = ("n", 3, 4), known: bool = True, **constants: ArrayLike
) -> Sharing:
    """Share in a graph that begins with r = Relu(x)."""
    graph = opened(_graph(*nodes, shape=shape, **constants))
    return find_sharing(graph, infer_types(graph) if known else {})


def _graph(*nodes: NodeProto, shape: Shape = ("n", 3, 4), **constants: ArrayLike) -> ModelProto:
    return model(
        [node("Relu", "x", "r"), *nodes],
        [value("x", shape), value("other", shape)],
        [value(nodes[-1].output[0], None)],
        [stored(name, array) for name, array in constants.items()],
    )


@pytest.mark.parametrize(
    "move",
    [
        node("Identity", "r", "y"),
        node("Reshape", "r s", "y"),
        node("Flatten", "r", "y"),
        node("Squeeze", "r", "y"),
        node("Unsqueeze", "r a", "y"),
        node("Transpose", "r", "y", perm=[2, 1, 0]),
        node("Dropout", "r", "y"),
        node("Dropout", "r _ off", "y"),
        node("Identity", "r", "y", domain="ai.onnx"),
    ],
    ids=lambda each: each.op_type,
)
def test_moves_share_everything(move: NodeProto) -> None:
    """Without knowing any type."""
    found = _sharing(move, known=False, s=np.array([-1]), a=np.array([0]), off=np.array(False))
    assert found == Sharing({"y": "r"}, {})
    assert found.origin("y") == "r"
    assert found.origin("r") == "r"


@pytest.mark.parametrize(
    "other",
    [
        node("Relu", "r", "y"),
        node("Expand", "r s", "y"),
        node("Slice", "r a a", "y"),
        node("Gather", "r a", "y"),
        node("Mul", "r per_channel", "y"),
        node("Mul", "r two", "y"),
        node("Cast", "r", "y", to=TensorProto.DOUBLE),
        node("Dropout", "r _ on", "y"),
        node("Dropout", "r _ fed", "y"),
        node("Identity", "r", "y", domain="nobody"),
        node("Add", "r other", "y"),
        node("Sum", "r per_channel", "y"),
        node("Add", "r per_channel", "y", domain="nobody"),
    ],
    ids=lambda each: each.op_type,
)
def test_other_operators_share_nothing(other: NodeProto) -> None:
    """Per-channel factors change numerical rank; dropout that may be on changes everything."""
    proto = _graph(
        other, s=np.array([2, 3, 4]), a=np.array([0]), on=np.array(True), two=np.float32(2),
        per_channel=weight(4),
    )  # fmt: skip
    proto.graph.input.append(value("fed", [], "bool"))
    graph = opened(proto)
    assert find_sharing(graph, infer_types(graph)) == Sharing({}, {})


def test_moves_of_moves_lead_to_the_first() -> None:
    """However the nodes are sorted."""
    nodes = [
        node("Transpose", "b", "c"),
        node("Identity", "a", "b"),
        node("Flatten", "r", "a"),
        node("Relu", "c", "y"),
    ]
    found = _sharing(*nodes)
    assert found.same == {"a": "r", "b": "r", "c": "r"}


def test_graph_inputs_and_weights_are_nobodys_origin() -> None:
    """They are no intermediate tensors."""
    found = _sharing(node("Identity", "x", "i"), node("Identity", "w", "j"), w=weight(3, 4))
    assert found == Sharing({}, {})


def test_only_the_first_output_moves() -> None:
    """Dropout's mask is something else."""
    assert _sharing(node("Dropout", "r", "y mask")).same == {"y": "r"}


def test_nodes_without_names_share_nothing() -> None:
    """An omitted output, or no input at all."""
    nodes = [node("Identity", "r", "_"), node("Identity", "", "e"), node("Dropout", "r", "_ m")]
    assert _sharing(*nodes, known=False) == Sharing({}, {})


@pytest.mark.parametrize(
    "constant",
    [np.float32(1), weight(4), weight(3, 1), weight(1, 3, 4), weight(1, 1, 1), weight(3, 4)],
    ids=lambda each: str(each.shape),
)
@pytest.mark.parametrize("operator", ["Add", "Sub"])
@pytest.mark.parametrize("inputs", ["r c", "c r"])
def test_adding_a_constant_shifts(constant: ArrayLike, operator: str, inputs: str) -> None:
    """In either order; c − r has the same singular values as r − c."""
    assert _sharing(node(operator, inputs, "y"), c=constant) == Sharing({}, {"y": "r"})


@pytest.mark.parametrize(
    ("shape", "constant"),
    [
        (("n", 3, 4), weight(2, 1, 1)),
        (("n", 1, 4), weight(3, 1)),
        (("n", "m", 4), weight(3, 4)),
        ((None, None), weight(2, 2)),
        ((4,), weight(1, 4)),
        ((), weight(1)),
    ],
)
def test_adding_a_constant_that_may_repeat_the_rest_does_not_shift(
    shape: Shape, constant: ArrayLike
) -> None:
    """Broadcast to a larger shape, a tensor's numbers stand several times."""
    assert _sharing(node("Add", "r c", "y"), shape=shape, c=constant) == Sharing({}, {})


def test_without_a_shape_nothing_shifts() -> None:
    assert _sharing(node("Add", "r c", "y"), known=False, c=weight(4)) == Sharing({}, {})


def test_a_graph_input_is_not_shifted() -> None:
    assert _sharing(node("Add", "x c", "y"), c=weight(4)) == Sharing({}, {})


@pytest.mark.parametrize("large", [np.inf, -np.inf, np.nan, -1e4, 65504, -3.4e38])
def test_adding_a_mask_does_not_shift(large: float) -> None:
    """What is masked is lost."""
    mask = np.zeros((3, 4), np.float32)
    mask[1] = large
    assert _sharing(node("Add", "r c", "y"), c=mask) == Sharing({}, {})


def test_constants_are_found_in_nodes() -> None:
    """As PyTorch's exporter writes scalars."""
    found = _sharing(node("Constant", "", "c", value_float=0.5), node("Add", "r c", "y"))
    assert found.shifted == {"y": "r"}


def test_a_shift_of_a_move_is_a_shift() -> None:
    found = _sharing(node("Identity", "r", "i"), node("Add", "i c", "y"), c=weight(4))
    assert found == Sharing({"i": "r"}, {"y": "i"})


def test_declared_types_are_enough() -> None:
    graph = opened(_graph(node("Add", "r c", "y"), c=weight(4)))
    types = {"r": TensorType("r", "float32", ("n", 3, 4))}
    assert find_sharing(graph, types).shifted == {"y": "r"}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_shared_tensors_hold_the_same_numbers(path: object) -> None:
    """In every model here: sorted, they are equal; shifted ones differ by the same everywhere."""
    from onnxprobe.graph import expose_tensors, readable_names

    graph = load_model(path)  # type: ignore[arg-type]
    types = infer_types(graph)
    sharing = find_sharing(graph, types)
    pairs = [*sharing.same.items(), *sharing.shifted.items()]
    names = sorted({name for pair in pairs for name in pair})
    rng = np.random.default_rng(0)
    two = []
    for _ in range(2):
        feeds = {
            kind.name: rng.integers(0, 17, _sizes(kind)).astype(kind.dtype) for kind in graph.inputs
        }
        found = run(expose_tensors(graph, names, types=types), feeds)
        spelled = readable_names(graph, names, types)
        two.append({name: found[spelled[name]].astype(float) for name in names})
    for name, origin in sharing.same.items():
        assert np.array_equal(np.sort(two[0][name], None), np.sort(two[0][origin], None))
    for name, origin in sharing.shifted.items():
        moved = two[1][name] - two[0][name]
        expected = two[1][origin] - two[0][origin]
        assert np.allclose(np.abs(moved), np.abs(expected), atol=1e-4 * np.abs(expected).max())


def _sizes(kind: TensorType) -> list[int]:
    return [size if isinstance(size, int) else 1 for size in kind.shape or ()]
