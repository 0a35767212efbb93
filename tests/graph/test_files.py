"""The files of a model: what is read, from where, and what is refused."""

from __future__ import annotations

import hashlib
import mmap
import os
from io import BufferedReader
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto

from onnxprobe.errors import ModelError
from onnxprobe.graph import load_model
from onnxprobe.graph.files import ExternalFiles, read_model_file
from onnxprobe.types import Array
from tests.graph.conftest import WEIGHT, Written
from tests.graph.messages import beginning, exactly
from tests.graph.models import perceptron, run, run_file, weight


def _tensor(
    array: Array, dtype: int = TensorProto.FLOAT, location: str = "w.bin", **entries: str
) -> TensorProto:
    tensor = TensorProto(name="w", data_type=dtype, dims=array.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=text)
    return tensor


def test_a_model_file_is_read_with_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(perceptron().SerializeToString())
    content, digest = read_model_file(path)
    assert content == path.read_bytes()
    assert digest.name == "model.onnx"
    assert digest.sha256 == hashlib.sha256(content).hexdigest()
    assert digest.size_bytes == len(content)


def test_a_model_file_may_be_a_link(tmp_path: Path) -> None:
    """Its user named it."""
    (tmp_path / "blob").write_bytes(b"content")
    (tmp_path / "model.onnx").symlink_to("blob")
    assert read_model_file(tmp_path / "model.onnx")[0] == b"content"


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(
        ModelError, match=exactly(f"{path} does not exist; give the path of an .onnx file")
    ):
        load_model(path)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=exactly(f"{tmp_path} is no regular file; give the path of an .onnx file")
    ):
        load_model(tmp_path)


def test_a_pipe_is_no_model(tmp_path: Path) -> None:
    """Opening it would wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="is no regular file"):
        load_model(tmp_path / "pipe")


def test_an_empty_file_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.touch()
    with pytest.raises(ModelError, match=exactly(f"{path} is empty; expected an ONNX model")):
        load_model(path)


def test_a_model_beyond_protobuf_is_refused_unread(tmp_path: Path) -> None:
    """A sparse file of 2 GB, which takes no room."""
    path = tmp_path / "model.onnx"
    path.touch()
    os.truncate(path, 2**31)
    with pytest.raises(
        ModelError,
        match=exactly(
            f"{path} has 2,147,483,648 bytes, but a protobuf message ends at 2 GB; "
            "export the model with external data"
        ),
    ):
        load_model(path)


def test_a_file_that_cannot_be_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the system's reason."""

    def fail(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    path = tmp_path / "model.onnx"
    path.write_bytes(b"x")
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(
        ModelError,
        match=exactly(f"{path} cannot be read: Permission denied; give the path of an .onnx file"),
    ):
        load_model(path)


def test_external_weights_run_as_they_would_without_onnxprobe(written: Written) -> None:
    path = written()
    graph = load_model(path)
    x = weight(1, 20, seed=5)
    (expected,) = run_file(path, {"x": x})
    assert run(graph.original, {"x": x})["y"].tobytes() == expected.tobytes()
    assert np.array_equal(graph.weights["w"], WEIGHT)


def test_every_file_is_digested(written: Written) -> None:
    """The model's first, then its data as the model spells it."""
    path = written("./w.bin")
    names = [(each.name, each.size_bytes) for each in load_model(path).files]
    assert names == [("model.onnx", path.stat().st_size), ("./w.bin", 1600)]
    digest = load_model(path).files[1].sha256
    assert digest == hashlib.sha256((path.parent / "w.bin").read_bytes()).hexdigest()


def test_arrays_are_views_of_one_mapping(written: Written) -> None:
    """Read-only, and no byte copied."""
    external = ExternalFiles(written().parent)
    first = external.array(_tensor(WEIGHT))
    second = external.array(_tensor(WEIGHT[:2]))
    assert not first.flags.writeable
    assert first.ctypes.data == second.ctypes.data
    assert np.array_equal(second, WEIGHT[:2])
    owner: object = first
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner, mmap.mmap | memoryview)


def test_one_file_is_read_once_however_it_is_spelled(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a model could have a large file digested as often as it has tensors."""
    external = ExternalFiles(written().parent)
    opened: list[object] = []
    plain = hashlib.file_digest

    def count(file: BufferedReader, name: str) -> object:
        opened.append(file)
        return plain(file, name)

    monkeypatch.setattr(hashlib, "file_digest", count)
    for location in ("w.bin", "./w.bin", ".//w.bin", "w.bin/"):
        external.array(_tensor(WEIGHT, location=location))
    assert len(opened) == len(external.digests) == 1


def test_digests_are_sorted_by_name(tmp_path: Path) -> None:
    for name in ("b.bin", "a.bin"):
        (tmp_path / name).write_bytes(bytes(8))
    external = ExternalFiles(tmp_path)
    for name in ("b.bin", "a.bin"):
        external.array(_tensor(np.zeros(2), location=name))
    assert [each.name for each in external.digests] == ["a.bin", "b.bin"]


@pytest.mark.parametrize("offset", [0, 4, 3, 1200])
def test_an_offset_is_honoured(written: Written, offset: int) -> None:
    """Aligned or not."""
    data = bytes(offset) + WEIGHT.tobytes() + b"tail"
    graph = load_model(written(data=data, offset=str(offset), length="1600"))
    assert np.array_equal(graph.weights["w"], WEIGHT)
    (expected,) = run(graph.original, {"x": WEIGHT[:1]}).values()
    assert np.allclose(expected, WEIGHT[:1] @ WEIGHT, rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "array"),
    [
        (TensorProto.BFLOAT16, np.arange(3).astype(ml_dtypes.bfloat16)),
        (TensorProto.FLOAT8E5M2, np.arange(3).astype(ml_dtypes.float8_e5m2)),
        (TensorProto.BOOL, np.array([True, False])),
        (TensorProto.INT64, np.array([[1, 2], [3, 4]])),
        (TensorProto.COMPLEX64, np.array([1 + 2j], np.complex64)),
        (TensorProto.DOUBLE, np.float64(1.5)),
    ],
)
def test_values_come_in_their_own_type(tmp_path: Path, dtype: int, array: Array) -> None:
    (tmp_path / "w.bin").write_bytes(array.tobytes())
    found = ExternalFiles(tmp_path).array(_tensor(array, dtype))
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tobytes() == array.tobytes()


def test_narrow_types_come_packed(tmp_path: Path) -> None:
    """Three int4 take two bytes."""
    (tmp_path / "w.bin").write_bytes(b"\x21\x03")
    found = ExternalFiles(tmp_path).array(_tensor(np.zeros(3), TensorProto.INT4))
    assert found.dtype == np.uint8
    assert found.tobytes() == b"\x21\x03"


def test_an_empty_tensor_may_lie_in_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "w.bin").touch()
    external = ExternalFiles(tmp_path)
    assert external.array(_tensor(np.zeros((0, 3)))).shape == (0, 3)
    assert external.digests[0].sha256 == hashlib.sha256(b"").hexdigest()


def test_strings_cannot_lie_in_another_file(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError,
        match=exactly(
            "tensor 'w' of type string cannot lie in another file; export the model again"
        ),
    ):
        ExternalFiles(tmp_path).array(_tensor(np.zeros(1), TensorProto.STRING))


@pytest.mark.parametrize("length", ["1599", "1601", "0"])
def test_a_length_that_does_not_fit_the_shape_is_refused(written: Written, length: str) -> None:
    with pytest.raises(
        ModelError,
        match=exactly(
            f"tensor 'w' needs 1600 bytes of 'w.bin', its entry gives {length}; "
            "export the model again"
        ),
    ):
        load_model(written(length=length))


@pytest.mark.parametrize(
    ("entries", "begin", "end"),
    [
        ({}, 0, 1600),
        ({"offset": "100"}, 100, 1700),
        ({"offset": "9" * 18}, 10**18 - 1, 10**18 + 1599),
    ],
)
def test_a_file_that_is_too_short_is_refused(
    written: Written, entries: dict[str, str], begin: int, end: int
) -> None:
    """From the beginning, from an offset, from an offset beyond all files."""
    with pytest.raises(
        ModelError,
        match=exactly(
            f"tensor 'w' lies at bytes {begin} to {end} of 'w.bin', which has 1599; "
            "the data file belongs to another model or is cut short"
        ),
    ):
        load_model(written(data=WEIGHT.tobytes()[:-1], **entries))


@pytest.mark.parametrize("key", ["offset", "length"])
@pytest.mark.parametrize("text", ["-1", "", "1e3", "0x10", " 4", "4 ", "٤", "1_0", "9" * 19, "+1"])
def test_a_number_that_is_none_is_refused(written: Written, key: str, text: str) -> None:
    """Signs, blanks, other digits and other bases included."""
    with pytest.raises(
        ModelError,
        match=exactly(
            f"tensor 'w' gives {key} {text!r}; expected a whole number of bytes: "
            "export the model again"
        ),
    ):
        load_model(written(**{key: text}))


def test_a_long_number_is_not_repeated_in_full(written: Written) -> None:
    with pytest.raises(ModelError, match=beginning(f"tensor 'w' gives offset {'7' * 40!r}; expec")):
        load_model(written(offset="7" * 100_000))
