"""Data that lies outside the model's folder, or is reached through a link, is not read."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto, helper

from onnxprobe.errors import ModelError
from onnxprobe.graph import load_model, parse_model
from tests.graph.conftest import WEIGHT, Written
from tests.graph.messages import exactly
from tests.graph.models import branching, model, node, relu, stored, value

HINT = (
    "copy it into the model's folder, or allow links (--allow-linked-data) if you trust the folder"
)
LINKED = f"the data file 'w.bin' is reached through a link, which may lead anywhere; {HINT}"


@pytest.mark.parametrize(
    "location",
    [
        "../secret", "a/../../secret", "..", "/etc/passwd", "//server/share/x", "C:\\secret",
        "C:secret", "..\\secret", "a\\..\\..\\secret", "\\\\server\\share\\x", "", ".", "./",
        "w\0.bin",
    ],
)  # fmt: skip
def test_a_location_outside_the_folder_is_refused(written: Written, location: str) -> None:
    """Whatever system the model was made for."""
    (written().parent.parent / "secret").write_bytes(WEIGHT.tobytes())
    with pytest.raises(
        ModelError,
        match=exactly(
            f"the model asks for data at {location!r}; data may lie only in the model's own "
            "folder: export the model again"
        ),
    ):
        load_model(written(location))


def test_a_long_location_is_not_repeated_in_full(written: Written) -> None:
    location = "../" + "x" * 100_000
    shown = f"{location[:100]!r}..."
    with pytest.raises(
        ModelError,
        match=exactly(
            f"the model asks for data at {shown}; data may lie only in the model's own folder: "
            "export the model again"
        ),
    ):
        load_model(written(location))


def _external() -> TensorProto:
    tensor = TensorProto(name="v", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    return tensor


def _initializer() -> ModelProto:
    return relu(_external())


def _constant() -> ModelProto:
    nodes = [node("Constant", "", "c", value=_external()), node("Relu", "c", "y")]
    return model(nodes, [], [value("y", None)])


def _sparse_initializer() -> ModelProto:
    proto = relu()
    sparse = proto.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(_external())
    sparse.indices.CopyFrom(stored("", [0, 1]))
    return proto


def _sparse_indices() -> ModelProto:
    proto = _sparse_initializer()
    sparse = proto.graph.sparse_initializer[0]
    sparse.indices.CopyFrom(_external())
    sparse.values.CopyFrom(stored("s", [1.0, 2.0]))
    return proto


def _sparse_attribute() -> ModelProto:
    proto = relu()
    attribute = proto.graph.node[0].attribute.add(name="sparse_value")
    attribute.sparse_tensor.CopyFrom(_sparse_initializer().graph.sparse_initializer[0])
    return proto


def _body() -> ModelProto:
    proto = branching()
    proto.graph.node[1].attribute[0].g.initializer.append(_external())
    return proto


def _function() -> ModelProto:
    proto = relu()
    constant = node("Constant", "", "b", value=_external())
    proto.functions.append(helper.make_function("local", "f", [], ["b"], [constant], []))
    return proto


def _function_default() -> ModelProto:
    proto = relu()
    function = helper.make_function("local", "f", ["a"], ["b"], [node("Relu", "a", "b")], [])
    function.attribute_proto.append(helper.make_attribute("weights", _external()))
    proto.functions.append(function)
    return proto


def _training() -> ModelProto:
    proto = relu()
    proto.training_info.add().initialization.initializer.append(_external())
    return proto


@pytest.mark.parametrize(
    "place",
    [
        _initializer,
        _constant,
        _sparse_initializer,
        _sparse_indices,
        _sparse_attribute,
        _body,
        _function,
        _function_default,
        _training,
    ],
)
def test_a_location_is_checked_wherever_it_stands(
    tmp_path: Path, place: Callable[[], ModelProto]
) -> None:
    """Onnx itself never looks at sparse initializers."""
    (tmp_path / "secret").write_bytes(bytes(8))
    path = tmp_path / "model" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(place().SerializeToString())
    with pytest.raises(
        ModelError, match=r"^the model asks for data at '\.\./secret'; data may lie"
    ):
        load_model(path)


def _link_file(folder: Path, outside: Path) -> None:
    (folder / "w.bin").symlink_to(outside / "w.bin")


def _link_inside(folder: Path, outside: Path) -> None:
    (folder / "real.bin").write_bytes((outside / "w.bin").read_bytes())
    (folder / "w.bin").symlink_to("real.bin")


def _link_twice(folder: Path, outside: Path) -> None:
    (folder / "via").symlink_to(outside / "w.bin")
    (folder / "w.bin").symlink_to("via")


@pytest.mark.parametrize("link", [_link_file, _link_inside, _link_twice])
def test_a_linked_file_is_read_only_if_allowed(
    written: Written, tmp_path: Path, link: Callable[[Path, Path], None]
) -> None:
    """Outside or inside, directly or not."""
    path = written(data=None)
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    link(path.parent, tmp_path)
    with pytest.raises(ModelError, match=exactly(LINKED)):
        load_model(path)
    assert load_model(path, allow_links=True).weights["w"].tobytes() == WEIGHT.tobytes()


def test_a_linked_folder_is_entered_only_if_allowed(written: Written, tmp_path: Path) -> None:
    path = written("sub/w.bin", data=None)
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    (path.parent / "sub").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ModelError, match=exactly(LINKED.replace("w.bin", "sub/w.bin"))):
        load_model(path)
    assert "w" in load_model(path, allow_links=True).weights


def test_a_hard_link_is_read_only_if_allowed(written: Written, tmp_path: Path) -> None:
    """ONNX Runtime reads it: it may be any file's content."""
    path = written(data=None)
    (tmp_path / "secret").write_bytes(WEIGHT.tobytes())
    (path.parent / "w.bin").hardlink_to(tmp_path / "secret")
    message = f"the data file 'w.bin' is a hard link, which may be any file's content; {HINT}"
    with pytest.raises(ModelError, match=exactly(message)):
        load_model(path)
    assert "w" in load_model(path, allow_links=True).weights


def test_the_caches_of_model_hubs_are_told_what_to_do(tmp_path: Path) -> None:
    """There the model and its data are links from snapshots to blobs."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "3f2a"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[20, 20])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="model.onnx_data")
    proto = model(
        [node("MatMul", "x w", "y")], [value("x", [1, 20])], [value("y", [1, 20])], [tensor]
    )
    (blobs / "aa11").write_bytes(proto.SerializeToString())
    (blobs / "bb22").write_bytes(WEIGHT.tobytes())
    (snapshot / "model.onnx").symlink_to("../../blobs/aa11")
    (snapshot / "model.onnx_data").symlink_to("../../blobs/bb22")
    with pytest.raises(ModelError, match=exactly(LINKED.replace("w.bin", "model.onnx_data"))):
        load_model(snapshot / "model.onnx")
    graph = load_model(snapshot / "model.onnx", allow_links=True)
    assert graph.weights["w"].tobytes() == WEIGHT.tobytes()


def test_links_that_lead_to_each_other_are_refused(written: Written) -> None:
    """A folder that is a link to itself."""
    path = written("loop/w.bin", data=None)
    (path.parent / "loop").symlink_to("loop")
    for allow_links in (False, True):
        with pytest.raises(
            ModelError,
            match=exactly(
                "the data file 'loop/w.bin' cannot be read: its links lead nowhere; "
                "put it beside the model"
            ),
        ):
            load_model(path, allow_links=allow_links)


def test_a_link_to_nothing_cannot_be_read(written: Written) -> None:
    path = written(data=None)
    (path.parent / "w.bin").symlink_to("nowhere")
    with pytest.raises(ModelError, match=exactly(LINKED)):
        load_model(path)
    with pytest.raises(ModelError, match="cannot be read: No such file or directory"):
        load_model(path, allow_links=True)


def test_a_model_in_a_linked_folder_is_read(written: Written, tmp_path: Path) -> None:
    """Where the user's own path leads is the user's business."""
    path = written()
    (tmp_path / "current").symlink_to(path.parent, target_is_directory=True)
    assert "w" in load_model(tmp_path / "current" / "model.onnx").weights


def test_a_file_in_a_folder_below_is_read(written: Written) -> None:
    path = written("a/b/w.bin", data=None)
    (path.parent / "a" / "b").mkdir(parents=True)
    (path.parent / "a" / "b" / "w.bin").write_bytes(WEIGHT.tobytes())
    assert load_model(path).files[1].name == "a/b/w.bin"


def test_a_missing_file_is_refused(written: Written) -> None:
    with pytest.raises(
        ModelError,
        match=exactly(
            "the data file 'w.bin' cannot be read: No such file or directory; "
            "put it beside the model"
        ),
    ):
        load_model(written(data=None))


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket"])
def test_what_is_no_file_is_refused_at_once(written: Written, kind: str) -> None:
    """Opening a pipe would wait for ever."""
    path = written(data=None)
    special = path.parent / "w.bin"
    if kind == "folder":
        special.mkdir()
    elif kind == "pipe":
        os.mkfifo(special)
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(special))
    with pytest.raises(ModelError, match=r"^the data file 'w.bin' (is no regular|cannot be read)"):
        load_model(path)


def test_a_model_in_memory_has_no_files(written: Written) -> None:
    with pytest.raises(
        ModelError,
        match=exactly(
            "the model keeps weights in 'w.bin', but it was given without a folder; "
            "give the path of the model file"
        ),
    ):
        parse_model(written().read_bytes())


@pytest.mark.parametrize("swapped", ["w.bin", "sub"])
def test_a_link_put_there_after_the_check_is_not_followed(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swapped: str
) -> None:
    """The file, or the folder it lies in, is swapped between looking and opening."""
    path = written("sub/w.bin", data=None)
    folder = path.parent / "sub"
    folder.mkdir()
    (folder / "w.bin").write_bytes(WEIGHT.tobytes())
    (tmp_path / "w.bin").write_bytes(bytes(1600))
    plain = os.open

    def swap(name: str, flags: int, **options: int) -> int:
        if name == swapped:
            target = folder if swapped == "sub" else folder / "w.bin"
            target.rename(tmp_path / f"moved {swapped}")
            target.symlink_to(tmp_path if swapped == "sub" else tmp_path / "w.bin")
        return plain(name, flags, **options)

    monkeypatch.setattr(os, "open", swap)
    monkeypatch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, swap})
    with pytest.raises(ModelError, match=r"^the data file 'sub/w.bin' cannot be read: (Too|Not a)"):
        load_model(path)


def test_systems_without_folder_descriptors_still_check_links(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as Windows."""
    monkeypatch.setattr(os, "supports_dir_fd", set())
    assert "w" in load_model(written()).weights
    path = written("other.bin")
    (path.parent / "other.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(ModelError, match="is reached through a link"):
        load_model(path)


def _open_files() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_descriptor_stays_open(written: Written, tmp_path: Path) -> None:
    """Where files are refused."""
    written()
    (tmp_path / "model" / "hard.bin").hardlink_to(tmp_path / "model" / "w.bin")
    before = _open_files()
    for _ in range(5):
        with pytest.raises(ModelError, match="is a hard link"):
            load_model(written())
        with pytest.raises(ModelError, match="cannot be read"):
            load_model(written("missing/folder.bin"))
    assert _open_files() == before
