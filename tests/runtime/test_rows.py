"""Rows run together are the rows run one at a time, in buffers that are reused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto

from onnxprobe.errors import RunError
from onnxprobe.graph import expose_tensors, load_model
from onnxprobe.runtime import RowLayout, RowRunner, Session, find_axis
from onnxprobe.types import Array, Program
from tests.graph.messages import beginning, exactly
from tests.graph.models import model, node, perceptron, session, stored, value, weight
from tests.shared import ROOT

# Kernels round differently for other numbers of rows; float32 holds 24 bits.
ROUNDING = 1e-6

VECTOR = RowLayout((1, 4), 0)


def _session(proto: ModelProto) -> Session:
    return session(Program(proto.SerializeToString(), {}))


def _perceptron(*, batched: bool = True) -> RowRunner:
    inputs, outputs = {"x": RowLayout((1, 8), 0)}, {"y": RowLayout((1, 5), 0)}
    return RowRunner(_session(perceptron()), inputs, outputs, batched=batched)


def _rows(count: int, *shape: int, seed: int = 0) -> Array:
    return weight(count, *shape, seed=seed)


def _is_close(found: Array, expected: Array) -> bool:
    """Compare in the norm of the whole."""
    error = np.linalg.norm(found.astype(np.float64) - expected.astype(np.float64))
    return bool(error <= ROUNDING * np.linalg.norm(expected.astype(np.float64)))


def _relu(*, outputs: Mapping[str, RowLayout] | None = None) -> RowRunner:
    proto = model([node("Relu", "x", "y")], [value("x", ["n", 4])], [value("y", ["n", 4])])
    return RowRunner(_session(proto), {"x": VECTOR}, outputs or {"y": VECTOR}, batched=True)


def _network() -> tuple[Session, Array, list[str]]:
    """A convolutional network that PyTorch made, with every tensor exposed, and its images."""
    graph = load_model(ROOT / "models" / "digits_cnn_torch.onnx")
    names = [name for each in graph.proto.graph.node for name in each.output]
    with np.load(ROOT / "models" / "digits.npz") as archive:
        images = archive["images"][:8].reshape(8, 1, 1, 8, 8).astype(np.float32) / 255
    return session(expose_tensors(graph, names)), images, names


def test_rows_of_a_real_model_run_together_as_they_run_alone() -> None:
    """Each of its tensors, where the axis of the rows is found from the first three images."""
    made, images, names = _network()
    (kind,) = made.input_types
    alone = [made.run({kind.name: image}) for image in images]
    together = made.run({kind.name: images[:3].reshape(3, 1, 8, 8)})
    layouts = {
        name: find_axis(tuple(run[index] for run in alone[:3]), together[index])
        for index, name in enumerate(names)
    }
    found = {name: layout for name, layout in layouts.items() if layout is not None}
    assert len(found) >= 10
    inputs = {kind.name: RowLayout((1, 1, 8, 8), 0)}
    for batched in (True, False):
        results = RowRunner(made, inputs, found, batched=batched).run({kind.name: images})
        assert list(results) == list(found)
        for index, name in enumerate(names):
            if name in found:
                expected = np.array([run[index].ravel() for run in alone])
                assert results[name].shape == expected.shape
                assert _is_close(results[name], expected), name


def test_one_at_a_time_is_bit_equal_to_the_session() -> None:
    x = _rows(5, 1, 8)
    found = _perceptron(batched=False).run({"x": x})["y"]
    made = _session(perceptron())
    assert np.array_equal(found, np.array([made.run({"x": row})[0][0] for row in x]))


def test_rows_share_a_run_only_where_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    plain = Session.run_bound

    def run_bound(self: Session, binding: Any, feeds: Mapping[str, Array]) -> None:
        counts.append(len(feeds["x"]))
        plain(self, binding, feeds)

    monkeypatch.setattr(Session, "run_bound", run_bound)
    _perceptron(batched=True).run({"x": _rows(3, 1, 8)})
    _perceptron(batched=False).run({"x": _rows(3, 1, 8)})
    assert counts == [3, 1, 1, 1]


@pytest.mark.parametrize("batched", [True, False])
def test_the_number_of_rows_may_vary(batched: bool) -> None:
    """Up, down, none, and back."""
    runner = _perceptron(batched=batched)
    expected = _session(perceptron()).run({"x": _rows(9, 8)})[0]
    for count in (2, 7, 1, 9, 9, 0, 3, 9):
        found = runner.run({"x": _rows(9, 1, 8)[:count]})["y"]
        assert found.shape == (count, 5)
        assert _is_close(found, expected[:count])


@pytest.mark.parametrize("batched", [True, False])
def test_types_are_kept(batched: bool) -> None:
    """Of outputs and of inputs; with one row and with several."""
    types = {
        "float16": TensorProto.FLOAT16,
        "int64": TensorProto.INT64,
        "bool": TensorProto.BOOL,
        "float64": TensorProto.DOUBLE,
        "uint8": TensorProto.UINT8,
    }
    proto = model(
        [node("Cast", "x", name, to=kind) for name, kind in types.items()]
        + [node("Not", "b", "not_b"), node("Add", "d d", "twice_d")],
        [value("x", ["n", 4]), value("b", ["n", 4], "bool"), value("d", ["n", 4], "float64")],
        [value(name, ["n", 4], name) for name in types]
        + [value("not_b", ["n", 4], "bool"), value("twice_d", ["n", 4], "float64")],
    )
    names = [*types, "not_b", "twice_d"]
    inputs = dict.fromkeys(("x", "b", "d"), VECTOR)
    runner = RowRunner(_session(proto), inputs, dict.fromkeys(names, VECTOR), batched=batched)
    for count in (3, 1):
        x = np.arange(4 * count, dtype=np.float32).reshape(count, 1, 4) / 4
        # The last bit of a double is lost in any narrower type.
        d = x.astype(np.float64) + 2.0**-40
        found = runner.run({"x": x, "b": x > 1, "d": d})
        for name in types:
            assert found[name].dtype == np.dtype(name)
            assert np.array_equal(found[name], x.astype(name).reshape(count, 4))
        assert found["not_b"].dtype == np.bool_
        assert np.array_equal(found["not_b"], (x <= 1).reshape(count, 4))
        assert found["twice_d"].dtype == np.float64
        assert np.array_equal(found["twice_d"], 2 * d.reshape(count, 4))


def test_rows_may_lie_along_any_axis() -> None:
    """Several places each, and inputs in another order of memory."""
    proto = model(
        [node("Transpose", "x", "y", perm=[1, 0])],
        [value("x", [2, "n"])],
        [value("y", ["n", 2])],
    )
    inputs, outputs = {"x": RowLayout((2, 3), 1)}, {"y": RowLayout((3, 2), 0)}
    x = np.asfortranarray(_rows(8, 2, 3))[::2]
    for batched in (True, False):
        found = RowRunner(_session(proto), inputs, outputs, batched=batched).run({"x": x})["y"]
        assert np.array_equal(found, x.transpose(0, 2, 1).reshape(4, 6))


def test_rows_of_outputs_may_lie_along_an_inner_axis() -> None:
    proto = model(
        [node("Transpose", "x", "y", perm=[1, 0])],
        [value("x", ["n", 2])],
        [value("y", [2, "n"])],
    )
    inputs, outputs = {"x": RowLayout((3, 2), 0)}, {"y": RowLayout((2, 3), 1)}
    x = _rows(4, 3, 2)
    found = RowRunner(_session(proto), inputs, outputs, batched=True).run({"x": x})["y"]
    assert np.array_equal(found, x.transpose(0, 2, 1).reshape(4, 6))


def test_buffers_are_reused() -> None:
    """For as many rows or fewer; more of them need more memory, once."""
    runner = _relu()
    address = runner.run({"x": _rows(6, 1, 4)})["y"].ctypes.data
    for count in (6, 2, 6):
        assert runner.run({"x": _rows(count, 1, 4)})["y"].ctypes.data == address
    more = runner.run({"x": _rows(60, 1, 4)})["y"]
    assert runner.run({"x": _rows(6, 1, 4)})["y"].ctypes.data == more.ctypes.data


def test_buffers_are_bound_once_for_as_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anew where their number changes."""
    bindings: list[Any] = []
    plain = Session.new_binding

    def new_binding(self: Session) -> Any:
        bindings.append(plain(self))
        return bindings[-1]

    monkeypatch.setattr(Session, "new_binding", new_binding)
    runner = _relu()
    for count, made in ((6, 1), (6, 1), (2, 2), (2, 2), (6, 3)):
        runner.run({"x": _rows(count, 1, 4)})
        assert len(bindings) == made


def test_results_are_valid_until_the_next_call() -> None:
    """Inputs may change in between; the next call writes over them."""
    runner = _relu()
    x = np.ones((3, 1, 4), np.float32)
    first = runner.run({"x": x})["y"]
    x[:] = 7
    assert np.array_equal(first, np.ones((3, 4)))
    second = runner.run({"x": x})["y"]
    assert np.shares_memory(first, second)
    assert np.array_equal(second, np.full((3, 4), 7))


def test_rows_run_one_at_a_time_do_not_share_a_buffer() -> None:
    runner = _perceptron(batched=False)
    first = runner.run({"x": _rows(3, 1, 8)})["y"]
    kept = first.copy()
    runner.run({"x": _rows(3, 1, 8, seed=1)})
    assert np.array_equal(first, kept)


def test_inputs_are_left_alone() -> None:
    for batched in (True, False):
        x = _rows(3, 1, 8)
        x.flags.writeable = False
        _perceptron(batched=batched).run({"x": x})
        assert np.array_equal(x, _rows(3, 1, 8))


def test_an_input_without_a_row_axis_is_the_same_for_all() -> None:
    """The first row's is taken; outputs without one hold one row."""
    proto = model(
        [node("Mul", "x scale", "y"), node("Neg", "scale", "z")],
        [value("x", ["n", 4]), value("scale", [4])],
        [value("y", ["n", 4]), value("z", [4])],
    )
    inputs = {"x": VECTOR, "scale": RowLayout((4,), None)}
    scale = np.array([[1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 0, 0]], np.float32)
    x = _rows(3, 1, 4)
    runner = RowRunner(_session(proto), inputs, {"y": VECTOR}, batched=True)
    assert np.array_equal(runner.run({"x": x, "scale": scale})["y"], x[:, 0] * scale[0])
    outputs = {"y": VECTOR, "z": RowLayout((4,), None)}
    found = RowRunner(_session(proto), inputs, outputs, batched=False).run({"x": x, "scale": scale})
    assert np.array_equal(found["y"], x[:, 0] * scale), "one at a time, each row has its own"
    assert np.array_equal(found["z"], -scale)


def test_a_scalar_is_fed_and_read() -> None:
    proto = model(
        [node("ReduceSum", "p", "y", keepdims=0), node("Mul", "x s", "p")],
        [value("x", [4]), value("s", [])],
        [value("y", [])],
    )
    proto.graph.node.insert(0, proto.graph.node.pop())
    inputs = {"x": RowLayout((4,), None), "s": RowLayout((), None)}
    runner = RowRunner(_session(proto), inputs, {"y": RowLayout((), None)}, batched=False)
    x, s = np.ones((3, 4), np.float32), np.array([1, 2, 3], np.float32)
    assert np.array_equal(runner.run({"x": x, "s": s})["y"], [[4], [8], [12]])


def test_inputs_that_the_session_lacks_are_ignored() -> None:
    """It may compute only a part of the model."""
    layouts = {"x": VECTOR, "other": RowLayout((9,), None)}
    proto = model([node("Relu", "x", "y")], [value("x", ["n", 4])], [value("y", ["n", 4])])
    runner = RowRunner(_session(proto), layouts, {"y": VECTOR}, batched=True)
    found = runner.run({"x": _rows(2, 1, 4), "other": _rows(2, 9)})
    assert list(found) == ["y"]


@pytest.mark.parametrize(("batched", "count"), [(True, 3), (True, 1), (False, 3)])
def test_outputs_are_returned_under_their_names(batched: bool, count: int) -> None:
    """Those that have another; and only those that are asked for."""
    proto = model(
        [node("Relu", "x", "y"), node("Neg", "x", "z"), node("Abs", "x", "unread")],
        [value("x", ["n", 4])],
        [value(name, ["n", 4]) for name in ("unread", "y", "z")],
    )
    runner = RowRunner(
        _session(proto),
        {"x": VECTOR},
        dict.fromkeys(("z", "y"), VECTOR),
        {"y": "y@float32", "w": "nowhere"},
        batched=batched,
    )
    x = _rows(count, 1, 4)
    found = runner.run({"x": x})
    assert list(found) == ["z", "y@float32"]
    assert np.array_equal(found["z"], -x[:, 0])
    assert np.array_equal(found["y@float32"], np.maximum(x[:, 0], 0))


def _texts() -> ModelProto:
    """Texts (n, 2), joined in pairs along a shape that a second input decides."""
    return model(
        [
            node("Identity", "t", "same"),
            node("Equal", "t t", "is_same"),
            node("Slice", "number zero end", "cut"),
        ],
        [
            value("t", ["n", 2], "string"),
            value("number", ["n", 4]),
            value("end", [1], "int64"),
        ],
        [value("same", ["n", 2], "string"), value("is_same", ["n", 2], "bool"),
         value("cut", None)],
        [stored("zero", np.array([0]))],
        opset=19,
        ir=9,
    )  # fmt: skip


def _text_runner(names: Mapping[str, str] | None = None, *, batched: bool) -> RowRunner:
    inputs = {"t": RowLayout((1, 2), 0), "number": VECTOR, "end": RowLayout((1,), None)}
    outputs = {"cut": VECTOR, "is_same": RowLayout((1, 2), 0)}
    return RowRunner(_session(_texts()), inputs, outputs, names, batched=batched)


def _text_rows(count: int, end: int = 99) -> dict[str, Array]:
    texts = np.array([[[f"a{row}", "é"]] for row in range(count)], object)
    ends = np.full((count, 1), end)
    return {"t": texts, "number": _rows(count, 1, 4), "end": ends}


@pytest.mark.parametrize("batched", [True, False])
def test_texts_cannot_be_bound_and_are_run_without(
    batched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any number of rows, under their names, each call in memory of its own."""

    def refuse(*_: object) -> None:
        raise AssertionError("texts were bound")

    monkeypatch.setattr(Session, "run_bound", refuse)
    runner = _text_runner({"cut": "number"}, batched=batched)
    for count in (3, 1, 4):
        rows = _text_rows(count)
        found = runner.run(rows)
        assert list(found) == ["number", "is_same"]
        assert np.array_equal(found["number"], rows["number"][:, 0])
        assert found["number"].dtype == np.float32
        assert found["is_same"].dtype == np.bool_
        assert found["is_same"].tolist() == [[True, True]] * count


@pytest.mark.parametrize(("batched", "count"), [(True, 3), (True, 1), (False, 2)])
def test_an_unbound_tensor_that_changes_its_shape_is_an_error(batched: bool, count: int) -> None:
    """Even to one that holds the rows of half as many."""
    runner = _text_runner(batched=batched)
    runner.run(_text_rows(count))
    with pytest.raises(RunError, match=exactly("tensor 'cut' changes its shape with the input")):
        runner.run(_text_rows(count, end=0))


def test_a_bound_tensor_that_changes_its_shape_is_an_error() -> None:
    """The runtime says so, whether there is too much or too little; the next call is right."""
    proto = model(
        [node("Compress", "x keep", "y", name="pick", axis=0)],
        [value("x", ["n", 4]), value("keep", ["n"], "bool")],
        [value("y", None)],
    )
    inputs = {"x": RowLayout((2, 4), 0), "keep": RowLayout((2,), 0)}
    runner = RowRunner(_session(proto), inputs, {"y": VECTOR}, batched=True)
    x = _rows(1, 2, 4)
    for keep in ([True, True], [False, False]):
        with pytest.raises(
            RunError, match=beginning("ONNX Runtime cannot run the model: Compress node 'pick' ")
        ):
            runner.run({"x": x, "keep": np.array([keep])})
        found = runner.run({"x": x, "keep": np.array([[False, True]])})["y"]
        assert np.array_equal(found, x[:, 1])


def test_inputs_that_do_not_fit_are_an_error() -> None:
    """Another type, bound; the sentence is the runtime's."""
    with pytest.raises(
        RunError, match=beginning("ONNX Runtime cannot run the model: Unexpected input data type")
    ):
        _relu().run({"x": np.ones((2, 1, 4))})


def test_an_output_of_another_shape_than_declared_is_an_error() -> None:
    with pytest.raises(RunError, match=beginning("ONNX Runtime cannot run the model: ")):
        _relu(outputs={"y": RowLayout((1, 5), 0)}).run({"x": _rows(2, 1, 4)})
