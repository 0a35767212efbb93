"""Small files that would take all memory or all time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, helper

from tests.graph.models import body, model, node, stored, value

__all__ = ["BOMBS"]


def _of(nodes: list[NodeProto], *weights: TensorProto) -> bytes:
    whole = [node("Tanh", "x", "t"), *nodes]
    proto = model(whole, [value("x", ["N", 4])], [value("y", None)], weights)
    return proto.SerializeToString()


def _functions() -> bytes:
    """Each calls the next one twice."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    functions: list[FunctionProto] = []
    for level in range(30):
        inner = (
            [node("Identity", "a", "b")]
            if level == 29
            else [
                node(f"F{level + 1}", "a", "c", domain="f"),
                node(f"F{level + 1}", "c", "b", domain="f"),
            ]
        )
        functions.append(helper.make_function("f", f"F{level}", ["a"], ["b"], inner, opsets))
    proto = model(
        [node("F0", "x", "y", domain="f")],
        [value("x", ["N", 4])],
        [value("y", None)],
        domains={"f": 1},
        functions=functions,
    )
    return proto.SerializeToString()


def _nodes() -> bytes:
    """A million empty nodes, two bytes each."""
    proto = ModelProto()
    proto.ParseFromString(_of([node("Identity", "t", "y")]))
    graph = proto.graph.SerializeToString() + b"\x0a\x00" * 1_000_000
    del proto.graph.node[:]
    proto.ClearField("graph")
    length, prefix = len(graph), b""
    while length > 127:
        prefix += bytes([length & 127 | 128])
        length >>= 7
    return proto.SerializeToString() + b"\x3a" + prefix + bytes([length]) + graph


def _filled(count: int) -> bytes:
    made = node("ConstantOfShape", "size", "much")
    return _of(
        [made, node("ReduceSum", "much", "sum", keepdims=0), node("Add", "t sum", "y")],
        stored("size", np.array([count])),
    )


def _range(stop: int) -> bytes:
    whole = [
        node("Range", "start stop step", "much"),
        node("Cast", "much", "real", to=1),
        node("ReduceSum", "real", "sum", keepdims=0),
        node("Add", "t sum", "y"),
    ]
    weights = [stored(name, np.array(each)) for name, each in
               (("start", 0), ("stop", stop), ("step", 1))]  # fmt: skip
    return _of([*whole], *weights)


def _expanded() -> bytes:
    return _of([node("Expand", "t size", "y")], stored("size", np.array([2**31, 2**31, 4, 1, 4])))


def _loop(*, growing: bool) -> bytes:
    outputs = [value("still", [], "bool"), value("next", None)]
    nodes = [node("Identity", "on", "still"), node("Sin", "h", "next")]
    if growing:
        nodes.append(node("Expand", "next size", "part"))
        outputs.append(value("part", None))
    inner = body(
        nodes, outputs, [value("i", [], "int64"), value("on", [], "bool"), value("h", None)]
    )
    made = node("Loop", "_ going t", "y parts" if growing else "y", body=inner)
    weights = [stored("going", np.array(True)), stored("size", np.array([1000, 1000, 1, 4]))]
    return _of([made], *weights[: 1 + growing])


def _nested(levels: int) -> bytes:
    """If in If, as raw bytes: the library itself writes no more than about thirty."""
    inner = body([node("Tanh", "t", "out")], [value("out", None)]).SerializeToString()
    made = b""
    for _ in range(levels):
        branches = b"".join(
            _field(5, _field(1, name) + _field(6, inner) + b"\xa0\x01\x05")
            for name in (b"then_branch", b"else_branch")[: 1 + (levels < 20)]
        )
        made = _field(1, b"going") + _field(2, b"out") + _field(4, b"If") + branches
        inner = _field(1, made) + _field(2, b"body") + _field(12, _field(1, b"out"))
    proto = ModelProto()
    proto.ParseFromString(_of([node("Identity", "t", "y")], stored("going", np.array(True))))
    graph = proto.graph.SerializeToString() + _field(1, made)
    proto.ClearField("graph")
    return proto.SerializeToString() + _field(7, graph)


def _field(number: int, content: bytes) -> bytes:
    length, prefix = len(content), b""
    while length > 127:
        prefix += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + prefix + bytes([length]) + content


BOMBS: dict[str, Callable[[], bytes]] = {
    "functions that double, 30 levels": _functions,
    "a million nodes": _nodes,
    "ConstantOfShape 2e8": lambda: _filled(200_000_000),
    "ConstantOfShape 2e10": lambda: _filled(20_000_000_000),
    "ConstantOfShape 2^62": lambda: _filled(2**62),
    "Range 2^62": lambda: _range(2**62),
    "Range 2e9": lambda: _range(2_000_000_000),
    "Expand that overflows": _expanded,
    "Loop without an end": lambda: _loop(growing=False),
    "Loop that keeps what it makes": lambda: _loop(growing=True),
    "If in If, 33 times": lambda: _nested(33),
    "If in If, 400 times": lambda: _nested(400),
}
