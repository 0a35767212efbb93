"""Two halves of a model, and what they cost."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper

from onnxprobe.errors import DataError
from onnxprobe.graph import (
    infer_types,
    multiply_adds,
    parse_model,
    split_model,
    write_program,
)
from onnxprobe.runtime import Session, Settings
from onnxprobe.types import Array, Program
from tests.graph import split_networks
from tests.graph.models import model, node, stored, value


def _run(program: Program, feeds: dict[str, Array]) -> dict[str, Array]:
    session = Session(program, Settings(), optimise=False)
    given = session.run({kind.name: feeds[kind.name] for kind in session.input_types})
    return dict(zip([kind.name for kind in session.output_types], given, strict=True))


@pytest.mark.parametrize(
    ("proto", "shape", "cut", "sent"),
    [
        (split_networks.residual(), (2, 1, 4, 4), ["stem"], ["stem"]),
        (split_networks.residual(), (2, 1, 4, 4), ["a0"], ["a0"]),
        (split_networks.residual(), (2, 1, 4, 4), ["r0", "stem"], ["r0", "stem"]),
        (split_networks.forked(), (2, 1, 4, 4), ["e1", "skip"], ["e1", "skip"]),
        (split_networks.forked(), (2, 1, 4, 4), ["p", "skip"], ["p", "skip"]),
        (split_networks.forked(), (2, 1, 4, 4), ["j"], ["j"]),
        (split_networks.attending(), (2, 3, 4), ["a"], ["a"]),
        (split_networks.reshaping(), (3, 6), ["e"], ["e", "shape"]),
        (split_networks.reshaping(), (3, 6), ["t"], ["t", "shape"]),
    ],
)
def test_the_halves_are_the_whole(
    proto: ModelProto, shape: tuple[int, ...], cut: list[str], sent: list[str], tmp_path: Path
) -> None:
    graph = parse_model(proto.SerializeToString())
    types = infer_types(graph) | {kind.name: kind for kind in graph.inputs}
    halves = split_model(graph, cut, types)
    assert list(halves.sent) == sent
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    whole = _run(graph.original, {"x": x})
    front = _run(halves.front, {"x": x})
    assert [*front] == sent
    back = _run(halves.back, front)
    assert back.keys() == whole.keys()
    assert all(back[name].tobytes() == whole[name].tobytes() for name in whole)
    for name, program in (("front", halves.front), ("back", halves.back)):
        path = tmp_path / f"{name}.onnx"
        write_program(program, path)
        onnx.checker.check_model(onnx.load(path), full_check=True)
    assert [value.name for value in onnx.load(tmp_path / "back.onnx").graph.input] == sent


@pytest.mark.parametrize(
    ("proto", "cut", "sentence"),
    [
        (
            split_networks.attending(),
            ["o"],
            "o is no cut of the model: what follows also",
        ),
        (split_networks.forked(), ["nothing"], "names 'nothing', which no node of the model"),
        (split_networks.forked(), ["x"], "names 'x', which no node of the model computes"),
        (split_networks.forked(), ["y"], "every output of the model is in the cut"),
    ],
)
def test_what_is_no_cut_is_refused(proto: ModelProto, cut: list[str], sentence: str) -> None:
    graph = parse_model(proto.SerializeToString())
    with pytest.raises(DataError, match=sentence):
        split_model(graph, cut, infer_types(graph))


def test_an_output_that_is_sent_is_not_computed_again() -> None:
    nodes = [node("Tanh", "x", "t"), node("Exp", "t", "y")]
    proto = model(nodes, [value("x", ["N", 2])], [value("t", ["N", 2]), value("y", ["N", 2])])
    halves = split_model(parse_model(proto.SerializeToString()), ["t"], {})
    assert halves.outputs == ("y",)


def _costs(proto: ModelProto, **shapes: list[int]) -> tuple[dict[str, int], list[str]]:
    costs = multiply_adds(parse_model(proto.SerializeToString()), shapes)
    counted = {each.outputs[0]: each.multiply_adds for each in costs if each.multiply_adds}
    return counted, [each.operator for each in costs if each.multiply_adds is None]


def test_multiply_adds_are_those_of_the_textbook() -> None:
    found, uncounted = _costs(
        split_networks.forked(), x=[1, 1, 4, 4], e0=[1, 2, 4, 4], p=[1, 2, 2, 2], e1=[1, 4, 2, 2],
        u=[1, 2, 4, 4], skip=[1, 2, 4, 4], j=[1, 4, 4, 4], y=[1, 1, 4, 4],
    )  # fmt: skip
    assert found == {
        "e0": 2 * 16 * 9,
        "e1": 4 * 4 * 2 * 9,
        "u": 4 * 4 * 2 * 4,
        "y": 16 * 4,
    }
    assert uncounted == []
    found, _ = _costs(
        split_networks.attending(), x=[1, 3, 4], q=[1, 3, 4], k=[1, 3, 4], v=[1, 3, 4],
        t=[1, 4, 3], s=[1, 3, 3], p=[1, 3, 3], o=[1, 3, 4], a=[1, 3, 4], flat=[1, 12], y=[1, 2],
    )  # fmt: skip
    assert found == {"q": 48, "k": 48, "v": 48, "s": 36, "o": 36, "y": 24}


def test_recurrences_count_every_gate_at_every_step() -> None:
    weights = [
        stored("w", np.zeros((1, 20, 3), np.float32)),
        stored("r", np.zeros((1, 20, 5), np.float32)),
    ]
    proto = model(
        [node("LSTM", "x w r", "y", hidden_size=5)], [value("x", [7, 2, 3])], [value("y", None)],
        weights,
    )  # fmt: skip
    assert _costs(proto, x=[7, 2, 3])[0] == {"y": 7 * 2 * (20 * 3 + 20 * 5)}


def test_what_cannot_be_counted_is_named() -> None:
    proto = model([node("MatMul", "x w", "y")], [value("x", [1, 2])], [value("y", None)],
                  [stored("w", np.zeros((2, 2), np.float32))])  # fmt: skip
    assert _costs(proto) == ({}, ["MatMul"])
    made = helper.make_node("Einsum", ["x", "w"], ["y"], equation="ab,bc->ac")
    proto.graph.node[0].CopyFrom(made)
    assert _costs(proto, x=[1, 2], y=[1, 2]) == ({}, ["Einsum"])


def test_weights_that_are_rescaled_keep_their_shape_and_strangers_cost_what_nobody_knows() -> None:
    nodes = [
        node("DequantizeLinear", "q s", "w"),
        node("MatMul", "x w", "y"),
        node("FusedGemm", "y w", "z", domain="com.microsoft"),
        node("Relu", "z", "r"),
    ]
    weights = [stored("q", np.zeros((2, 3), np.int8)), stored("s", np.float32(1))]
    proto = model(nodes, [value("x", [1, 2])], [value("r", None)], weights,
                  domains={"com.microsoft": 1})  # fmt: skip
    assert _costs(proto, x=[1, 2], y=[1, 3]) == ({"y": 6}, ["com.microsoft.FusedGemm"])


def test_a_long_row_of_copies_is_followed_no_further_than_exporters_go() -> None:
    names = ["q", *(f"i{n}" for n in range(3000))]
    nodes = [node("Identity", before, after) for before, after in pairwise(names)]
    nodes.append(node("MatMul", f"x {names[-1]}", "y"))
    proto = model(nodes, [value("x", [1, 2])], [value("y", None)],
                  [stored("q", np.zeros((2, 3), np.float32))])  # fmt: skip
    assert _costs(proto, y=[1, 3]) == ({}, ["MatMul"])
    assert _costs(proto, x=[1, 2], y=[1, 3]) == ({"y": 6}, [])
