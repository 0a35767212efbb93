"""Models that ask for data that is not theirs, wherever a tensor stands, by every known trick."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from onnx import ModelProto, SparseTensorProto, TensorProto, helper

from tests.graph.models import body, model, node, value
from tests.trust.command import run

__all__ = ["CANARY", "attack", "attacks", "race"]

CANARY = b"CANARY-4f1d9b7c-"
_SECRET = CANARY * 4


def _tensor(name: str, location: str, extra: dict[str, str]) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, each in {"location": location, **extra}.items():
        tensor.external_data.add(key=key, value=each)
    return tensor


def _initializer(tensor: TensorProto) -> ModelProto:
    return _whole([node("Add", "x w", "y")], [tensor])


def _constant(tensor: TensorProto) -> ModelProto:
    made = helper.make_node("Constant", [], ["w"], value=tensor)
    return _whole([made, node("Add", "x w", "y")])


def _sparse(tensor: TensorProto) -> SparseTensorProto:
    indices = helper.make_tensor("indices", TensorProto.INT64, [4], range(4))
    return helper.make_sparse_tensor(tensor, indices, [4])


def _sparse_value(tensor: TensorProto) -> ModelProto:
    made = helper.make_node("Constant", [], ["w"], sparse_value=_sparse(tensor))
    return _whole([made, node("Add", "x w", "y")])


def _sparse_initializer(tensor: TensorProto) -> ModelProto:
    proto = _whole([node("Add", "x w", "y")])
    proto.graph.sparse_initializer.append(_sparse(tensor))
    return proto


def _function(tensor: TensorProto) -> ModelProto:
    made = helper.make_node("Constant", [], ["w"], value=tensor)
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("f", "F", ["x"], ["y"], [made, node("Add", "x w", "y")], opsets)
    return model([node("F", "x", "y", domain="f")], [value("x", ["N", 4])],
                 [value("y", ["N", 4])], domains={"f": 1}, functions=[function])  # fmt: skip


def _subgraph(tensor: TensorProto) -> ModelProto:
    branch = body([node("Add", "x w", "z")], [value("z", ["N", 4])], (), [tensor])
    other = body([node("Identity", "x", "z2")], [value("z2", ["N", 4])])
    made = node("If", "yes", "y", then_branch=branch, else_branch=other)
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    return _whole([made], [yes])


def _whole(nodes: list[object], weights: list[TensorProto] | None = None) -> ModelProto:
    return model(nodes, [value("x", ["N", 4])], [value("y", ["N", 4])], weights or [])  # type: ignore[arg-type]


PLACES: dict[str, Callable[[TensorProto], ModelProto]] = {
    "initializer": _initializer,
    "Constant": _constant,
    "sparse_value": _sparse_value,
    "sparse_initializer": _sparse_initializer,
    "function": _function,
    "subgraph": _subgraph,
}


def _variants(folder: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Name a trick, what the model asks for, and what else it says; files are made as needed."""
    secret, inside = folder / "secret.bin", folder / "model"
    for name, location in {
        "parent": "../secret.bin",
        "parent by way of a folder": "sub/../../secret.bin",
        "absolute": str(secret),
        "backslashes": "..\\secret.bin",
        "doubled": "....//secret.bin",
        "dot": "./../secret.bin",
        "file scheme": f"file://{secret}",
        "zero byte": "w.bin\0/../../secret.bin",
        "home": "~/secret.bin",
        "proc": "/proc/self/environ",
        "percent": "%2e%2e/secret.bin",
        "empty": "",
        "folder": "sub",
        "memory address": "*/_ORT_MEM_ADDR_/*",
    }.items():
        yield name, location, {}
    (inside / "link.bin").symlink_to(secret)
    yield "symbolic link", "link.bin", {}
    (inside / "linked").symlink_to(folder)
    yield "symbolic link to a folder", "linked/secret.bin", {}
    os.link(secret, inside / "hard.bin")
    yield "hard link", "hard.bin", {}
    os.mkfifo(inside / "pipe.bin")
    yield "pipe", "pipe.bin", {}
    (inside / "short.bin").write_bytes(b"abc")
    yield "beyond the end", "short.bin", {"offset": "0", "length": "16"}
    yield "negative offset", "short.bin", {"offset": "-16", "length": "16"}


def attacks(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write every attack.

    Yields:
        What it is, and the model's path, in a folder beside a secret.
    """
    inside = folder / "model"
    (inside / "sub").mkdir(parents=True)
    (folder / "secret.bin").write_bytes(_SECRET)
    for trick, location, extra in _variants(folder):
        for place, build in PLACES.items():
            path = inside / f"{trick} {place}.onnx".replace(" ", "_")
            path.write_bytes(build(_tensor("w", location, extra)).SerializeToString())
            yield f"{trick}, {place}", path


def attack(path: Path, folder: Path, ended_run: Callable[..., tuple[int, str]]) -> None:
    """Analyse a model, and look for the secret in all that comes out."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    code, said = ended_run([
        "analyze", str(path), "--samples", "1", "--data-limit", "4", "--device", "cpu",
        "-o", str(report), "-o", str(folder / "report.csv"),
    ])  # fmt: skip
    assert code == 3, (path.name, code, said)
    assert "Traceback" not in said
    _assert_secret_kept(said.encode())
    for each in (report, folder / "report.csv"):
        if each.exists():
            _assert_secret_kept(each.read_bytes())


def _assert_secret_kept(content: bytes) -> None:
    numbers = np.frombuffer(_SECRET, np.float32)
    for shown in (CANARY, *(repr(float(each)).encode() for each in numbers[:4])):
        assert shown not in content


def race(folder: Path, count: int) -> str:
    """Swap the data file for a link to the secret, again and again, while models are opened."""
    inside = folder / "race"
    inside.mkdir()
    secret, data, good = folder / "secret.bin", inside / "w.bin", inside / "good.bin"
    secret.write_bytes(_SECRET)
    good.write_bytes(np.ones(4, np.float32).tobytes())
    path = inside / "model.onnx"
    path.write_bytes(_initializer(_tensor("w", "w.bin", {})).SerializeToString())
    stop = threading.Event()

    def swap() -> None:
        turn = 0
        while not stop.is_set():
            beside = inside / "next"
            beside.unlink(missing_ok=True)
            if turn % 2:
                beside.symlink_to(secret)
            else:
                beside.write_bytes(good.read_bytes())
            beside.replace(data)
            turn += 1

    data.write_bytes(good.read_bytes())
    swapper = threading.Thread(target=swap)
    swapper.start()
    refused = 0
    try:
        for _ in range(count):
            report = folder / "race.json"
            ended = run(["analyze", path, "--samples", "1", "--data-limit", "4", "-o", report])
            assert ended.code in {0, 3}, ended
            refused += ended.code == 3
            _assert_secret_kept((ended.out + ended.err).encode())
            if report.exists():
                _assert_secret_kept(report.read_bytes())
                report.unlink()
    finally:
        stop.set()
        swapper.join()
    return f"{count} races, {refused} refused, the secret in none"
