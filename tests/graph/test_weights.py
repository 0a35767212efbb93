"""External data that cannot be handed to the runtime as an array is put into the protobuf."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, external_data_helper, helper

from onnxprobe.errors import ModelError
from onnxprobe.graph import load_model, walk, weights
from onnxprobe.graph.weights import empty_tensor
from onnxprobe.types import Array
from tests.graph.messages import exactly
from tests.graph.models import body, branching, model, node, run, run_file, stored, value, weight

BUMP = weight(4)


def _refer(tensor: TensorProto, folder: Path, name: str) -> TensorProto:
    """Move a tensor's values into a file and return a tensor that refers to it."""
    moved = TensorProto()
    moved.CopyFrom(tensor)
    (folder / name).write_bytes(tensor.raw_data)
    external_data_helper.set_external_data(moved, name)
    moved.ClearField("raw_data")
    moved.data_location = TensorProto.EXTERNAL
    return moved


def _in_a_body(folder: Path) -> tuple[ModelProto, dict[str, Array]]:
    proto = branching()
    one = proto.graph.node[1].attribute[0].g.initializer[0]
    one.CopyFrom(_refer(one, folder, "one.bin"))
    return proto, {"x": weight(2, 4), "c": np.array(True)}


def _in_an_attribute(folder: Path) -> tuple[ModelProto, dict[str, Array]]:
    tensor = _refer(stored("t", BUMP), folder, "t.bin")
    nodes = [node("Constant", "", "c", value=tensor), node("Add", "x c", "y")]
    return model(nodes, [value("x", [4])], [value("y", [4])]), {"x": weight(4)}


def _in_a_body_attribute(folder: Path) -> tuple[ModelProto, dict[str, Array]]:
    tensor = _refer(stored("t", BUMP), folder, "t.bin")
    inner = body(
        [node("Constant", "", "k", value=tensor), node("Add", "h k", "up")], [value("up", ["n", 4])]
    )
    proto = branching()
    proto.graph.node[1].attribute[0].g.CopyFrom(inner)
    return proto, {"x": weight(2, 4), "c": np.array(True)}


def _as_sparse_values(folder: Path) -> tuple[ModelProto, dict[str, Array]]:
    proto = model([node("Identity", "s", "y")], [], [value("y", [9])])
    sparse = proto.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(stored("s", np.array([1.5, 2.5], np.float32)))
    sparse.indices.CopyFrom(_refer(stored("i", np.array([3, 8])), folder, "i.bin"))
    return proto, {}


def _of_half_bytes(folder: Path) -> tuple[ModelProto, dict[str, Array]]:
    tensor = _refer(
        helper.make_tensor("w", TensorProto.INT4, [5], b"\x21\x43\x05", raw=True), folder, "w.bin"
    )
    nodes = [node("Cast", "w", "y", to=TensorProto.FLOAT)]
    return model(nodes, [], [value("y", [5])], [tensor], opset=21, ir=10), {}


def _small(folder: Path) -> tuple[ModelProto, dict[str, Array]]:
    tensor = _refer(stored("w", BUMP), folder, "w.bin")
    nodes = [node("Add", "x w", "y")]
    return model(nodes, [value("x", [4])], [value("y", [4])], [tensor]), {"x": weight(4)}


@pytest.mark.parametrize(
    "made",
    [_in_a_body, _in_an_attribute, _in_a_body_attribute, _of_half_bytes, _small],
)
def test_external_data_is_embedded(
    tmp_path: Path, made: Callable[[Path], tuple[ModelProto, dict[str, Array]]]
) -> None:
    """Nothing refers to a file any more, and the numbers are the same, bit for bit."""
    proto, feeds = made(tmp_path)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    graph = load_model(path)
    located = [tensor.data_location for tensor, _ in walk.tensors(graph.proto)]
    assert TensorProto.EXTERNAL not in located
    assert len(graph.files) == 2
    expected = run_file(path, feeds)
    assert [each.tobytes() for each in run(graph.original, feeds).values()] == [
        each.tobytes() for each in expected
    ]


def test_sparse_external_data_is_embedded(tmp_path: Path) -> None:
    """ONNX Runtime refuses it in a file; once embedded it runs."""
    proto, _ = _as_sparse_values(tmp_path)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    expected = np.zeros(9, np.float32)
    expected[[3, 8]] = 1.5, 2.5
    assert np.array_equal(run(load_model(path).original, {})["y"], expected)


def test_more_than_a_protobuf_holds_is_not_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto, _ = _in_a_body(tmp_path)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    monkeypatch.setattr(weights, "MAX_EMBEDDED_BYTES", 15)
    with pytest.raises(
        ModelError,
        match=exactly(
            "external data of bodies, attributes and types such as float32 exceeds 15 bytes, "
            "which onnxprobe cannot embed; "
            "export the model with weights as initializers of the main graph"
        ),
    ):
        load_model(path)
    monkeypatch.setattr(weights, "MAX_EMBEDDED_BYTES", 16)
    load_model(path)


def test_an_emptied_tensor_keeps_its_name_type_and_shape() -> None:
    tensor = stored("w", weight(3, 2))
    empty_tensor(tensor)
    assert (tensor.name, tensor.data_type, list(tensor.dims)) == ("w", TensorProto.FLOAT, [3, 2])
    assert not tensor.raw_data
    assert tensor.data_location == TensorProto.EXTERNAL
