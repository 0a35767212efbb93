"""A rewritten graph as a file that stands on its own."""

from __future__ import annotations

import errno
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, numpy_helper

from onnxprobe.errors import DataError
from onnxprobe.graph import expose_all, infer_types, load_model, save, write_model
from onnxprobe.types import Array
from tests.graph.messages import exactly
from tests.graph.models import model, node, opened, perceptron, run, run_file, value, weight


@pytest.fixture
def two_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights go into a file of their own, as if they were gigabytes."""
    monkeypatch.setattr(save, "MAX_SINGLE_FILE_BYTES", 100)


def _exposed() -> tuple[ModelProto, dict[str, Array]]:
    graph = opened(perceptron())
    return expose_all(graph, infer_types(graph)), dict(graph.weights)


def test_a_small_model_becomes_one_file(tmp_path: Path) -> None:
    """It holds its weights again, and any reader runs it."""
    proto, weights = _exposed()
    path = tmp_path / "out.onnx"
    assert write_model(proto, weights, path) == 0
    assert list(tmp_path.iterdir()) == [path]
    x = weight(2, 8)
    expected = run(opened(perceptron()).original, {"x": x})["y"]
    assert run_file(path, {"x": x})[0].tobytes() == expected.tobytes()
    assert run_file(path.read_bytes(), {"x": x})[0].tobytes() == expected.tobytes()


def test_a_graph_without_changes_is_written_as_it_came(tmp_path: Path) -> None:
    graph = opened(perceptron())
    proto = ModelProto()
    proto.CopyFrom(graph.proto)
    write_model(proto, graph.weights, tmp_path / "out.onnx")
    assert ModelProto.FromString((tmp_path / "out.onnx").read_bytes()) == perceptron()


@pytest.mark.usefixtures("two_files")
def test_a_large_model_becomes_two_files(tmp_path: Path) -> None:
    proto, weights = _exposed()
    path = tmp_path / "out.onnx"
    written = write_model(proto, weights, path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["out.onnx", "out.onnx.data"]
    assert (tmp_path / "out.onnx.data").stat().st_size == written
    x = weight(2, 8)
    expected = run(opened(perceptron()).original, {"x": x})["y"]
    assert run_file(path, {"x": x})[0].tobytes() == expected.tobytes()


@pytest.mark.usefixtures("two_files")
def test_two_files_are_read_again(tmp_path: Path) -> None:
    """By onnxprobe, which refuses anything doubtful; the numbers are the same."""
    proto, weights = _exposed()
    write_model(proto, weights, tmp_path / "out.onnx")
    again = load_model(tmp_path / "out.onnx")
    assert again.outputs == ("y", "h", "hb", "r")
    assert again.weights.keys() == weights.keys()
    for name, array in weights.items():
        assert np.array_equal(again.weights[name], array)
    assert [each.name for each in again.files] == ["out.onnx", "out.onnx.data"]


@pytest.mark.usefixtures("two_files")
def test_weights_begin_on_pages(tmp_path: Path) -> None:
    """So that a runtime can map them."""
    proto, weights = _exposed()
    write_model(proto, weights, tmp_path / "out.onnx")
    written = ModelProto.FromString((tmp_path / "out.onnx").read_bytes())
    offsets = [
        int(entry.value)
        for tensor in written.graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    ]
    assert offsets == [0, 4096]


@pytest.mark.usefixtures("two_files")
def test_the_data_may_be_written_elsewhere_under_its_name(tmp_path: Path) -> None:
    """Until it is moved to where the model expects it."""
    proto, weights = _exposed()
    scratch = tmp_path / "scratch"
    write_model(proto, weights, tmp_path / "out.onnx", "final.data", scratch)
    assert not (tmp_path / "final.data").exists()
    scratch.rename(tmp_path / "final.data")
    assert run_file(tmp_path / "out.onnx", {"x": weight(1, 8)})[0].shape == (1, 5)


@pytest.mark.usefixtures("two_files")
@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float16", "bfloat16", "float8_e5m2"])
def test_weights_of_every_type_are_written(tmp_path: Path, dtype: str) -> None:
    """Those that numpy itself does not know, too."""
    array = (np.arange(3000) % 2).reshape(3, 1000).astype(getattr(ml_dtypes, dtype, dtype))
    nodes = [node("Cast", "w", "y", to=TensorProto.FLOAT)]
    tensor = numpy_helper.from_array(array, "w")
    graph = opened(model(nodes, [], [value("y", None)], [tensor], opset=19, ir=9))
    write_model(expose_all(graph, {}), graph.weights, tmp_path / "out.onnx")
    assert np.array_equal(run_file(tmp_path / "out.onnx", {})[0], array.astype(np.float32))


@pytest.mark.usefixtures("two_files")
def test_weights_need_not_be_contiguous(tmp_path: Path) -> None:
    proto, weights = _exposed()
    weights["w1"] = np.asfortranarray(weights["w1"])
    write_model(proto, weights, tmp_path / "out.onnx")
    assert np.array_equal(load_model(tmp_path / "out.onnx").weights["w1"], weight(8, 64))


def test_only_emptied_initializers_are_filled(tmp_path: Path) -> None:
    """Others hold their own values."""
    proto, weights = _exposed()
    weights["b1"] = np.zeros(64, np.float32)
    write_model(proto, weights, tmp_path / "out.onnx")
    written = ModelProto.FromString((tmp_path / "out.onnx").read_bytes())
    bias = {tensor.name: tensor for tensor in written.graph.initializer}["b1"]
    assert np.array_equal(numpy_helper.to_array(bias), weight(64, seed=1))


@pytest.mark.parametrize("name", ["missing/out.onnx", "folder"])
def test_a_path_that_cannot_be_written_is_an_error(tmp_path: Path, name: str) -> None:
    """A folder that is not there, a folder in the file's place."""
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    reason = "Is a directory" if name == "folder" else "No such file or directory"
    with pytest.raises(
        DataError,
        match=exactly(f"{path} cannot be written: {reason}; give a path in a folder that takes it"),
    ):
        write_model(*_exposed(), path)


@pytest.mark.usefixtures("two_files")
def test_the_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The weights' own."""
    data = tmp_path / "missing" / "w.data"
    with pytest.raises(DataError, match=rf"^{data} cannot be written: No such file or directory"):
        write_model(*_exposed(), tmp_path / "out.onnx", "w.data", data)


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file's name from the system, the model's."""

    def fail(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    path = tmp_path / "out.onnx"
    with pytest.raises(DataError, match=rf"^{path} cannot be written: No space left on device; "):
        write_model(*_exposed(), path)
