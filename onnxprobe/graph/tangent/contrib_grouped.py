"""Attention whose heads share keys and values in groups, as language models are exported."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from onnxprobe.graph.tangent.contrib_attention import counted, rotated, size_along
from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import MICROSOFT, Expansions, NoRuleError

__all__ = ["register"]


def _split(node: Node, heads: int, groups: int) -> list[Value]:
    """Return queries, keys and values, each of shape (batch, length, heads, size)."""
    e = node.e
    if node.has(1) and node.has(2):
        parts = [node.x(place) for place in range(3)]
    else:
        width = node.shape()[2]
        if width is None:
            raise NoRuleError("the hidden size is not known")
        size = width // (heads + 2 * groups)
        ends = [0, heads * size, (heads + groups) * size, width]
        parts = [e.slice(node.x(), start, stop, 2) for start, stop in pairwise(ends)]
    counts = (heads, groups, groups)
    return [e.reshape(part, [0, 0, count, -1]) for part, count in zip(parts, counts, strict=True)]


def _turned(node: Node, parts: list[Value], before: Value) -> list[Value]:
    """Turn queries and keys by the angles of their positions, which follow those of the past."""
    e = node.e
    half = node.shape(7)[1]
    if half is None:
        raise NoRuleError("the number of angles is not known")
    place = before + e.unsqueeze(counted(e, size_along(e, parts[0], 1)), [0])
    cos, sin = (e.unsqueeze(e.op("Gather", node.x(table), place, axis=0), [2]) for table in (7, 8))
    interleaved = bool(node.attr("rotary_interleaved", 0))
    return [rotated(e, part, cos, sin, half, interleaved=interleaved) for part in parts]


def _grouped(node: Node) -> list[Value | None]:
    for place in range(9, len(node.proto.input)):
        if node.has(place):
            raise NoRuleError(f"no rule for input {place} of GroupQueryAttention")
    if node.has(3) and sum(map(bool, node.proto.output)) < 3:
        # ONNX Runtime reads the past only where it writes the present.
        raise NoRuleError("a past without a present")
    e, heads, groups = node.e, node.attr("num_heads"), node.attr("kv_num_heads")
    q, k, v = _split(node, heads, groups)
    # How many positions each row has in all, and how many of them are past.
    ends = e.unsqueeze(e.reshape(node.x(5).cast("int64"), [-1]) + 1, [1])
    before = ends * 0
    if node.has(3):
        before = e.op("Max", ends - size_along(e, q, 1), before)
    if node.attr("do_rotary", 0):
        q, k = _turned(node, [q, k], before)
    q, k, v = (e.transpose(each, [0, 2, 1, 3]) for each in (q, k, v))
    if node.has(3):
        k, v = (_joined(node, place, each, before) for place, each in ((3, k), (4, v)))
    mixed = _attend(node, q, k, v, heads // groups, (before, ends))
    return [mixed, k, v]


def _joined(node: Node, place: int, new: Value, before: Value) -> Value:
    """Put what is new behind the past, which ends at another place in each row."""
    e, past = node.e, node.x(place)
    room, count = size_along(e, past, 2), size_along(e, new, 2)
    total = e.op("Max", room, e.squeeze(e.reshape(node.x(6).cast("int64"), [-1]), [0]))
    places = e.unsqueeze(counted(e, total), [0])
    after = places - before
    fresh = e.op("And", after >= 0, after < count)
    old = e.op("And", after < 0, places < room)
    zero = e.scalar(0, new.dtype)
    sizes = e.shape(new)
    wanted = e.concat([e.slice(sizes, 0, 2), e.unsqueeze(total, [0]), e.slice(sizes, 3, 4)], 0)

    def taken(whole: Value, index: Value, real: Value) -> Value:
        index = e.op("Expand", e.unsqueeze(e.where(real, index, index * 0), [1, 3]), wanted)
        return e.where(
            e.unsqueeze(real, [1, 3]), e.op("GatherElements", whole, index, axis=2), zero
        )

    return taken(past, places + before * 0, old) + taken(new, after, fresh)


def _attend(
    node: Node, q: Value, k: Value, v: Value, shared: int, bounds: tuple[Value, Value]
) -> Value:
    e = node.e
    total, own = size_along(e, k, 2), size_along(e, q, 2)
    sizes = e.shape(q)
    split = e.concat([e.slice(sizes, 0, 1), e.constant([-1, shared]), e.slice(sizes, 2, 4)])
    scale = node.attr("scale", 0.0)
    scores = e.op("MatMul", e.reshape(q, split), e.unsqueeze(e.transpose(k, [0, 1, 3, 2]), [2]))
    if scale:
        scores = scores * scale
    else:
        length = e.squeeze(e.slice(sizes, 3, 4), [0]).cast(q.dtype)
        scores = scores / e.op("Sqrt", length)
    cap = node.attr("softcap", 0.0)
    if cap:
        scores = e.op("Tanh", scores / cap) * cap
    before, ends = (e.unsqueeze(each, [2, 3, 4]) for each in bounds)
    keys = counted(e, total)
    queries = e.unsqueeze(counted(e, own), [1]) + before
    hidden = e.op("Or", e.compare("Greater", keys, queries), keys >= ends)
    window = node.attr("local_window_size", -1)
    if window > 0:
        hidden = e.op("Or", hidden, e.negate(e.compare("Greater", keys, queries - window)))
    lowest = float(np.finfo(np.float32).min)
    scores = e.where(hidden, lowest, scores)
    shares = _shares(node, scores)
    mixed = e.op("MatMul", shares, e.unsqueeze(v, [2]))
    mixed = e.transpose(e.reshape(mixed, sizes), [0, 2, 1, 3])
    return e.reshape(mixed, [0, 0, -1])


def _shares(node: Node, scores: Value) -> Value:
    """Softmax, to which a score of zero may belong that stands for nothing."""
    e = node.e
    if not node.attr("smooth_softmax", 0):
        return e.op("Softmax", scores, axis=4)
    nothing = e.slice(scores, 0, 1, 4) * 0.0
    return e.slice(e.op("Softmax", e.concat([scores, nothing], 4), axis=4), 0, -1, 4)


def register(expansions: Expansions) -> None:
    """Add these expansions to a table.

    Args:
        expansions: Where to.
    """
    expansions.add("GroupQueryAttention", _grouped, domain=MICROSOFT)
