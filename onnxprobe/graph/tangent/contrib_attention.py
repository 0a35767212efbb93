"""Attention as ONNX Runtime fuses it, written as products and a softmax."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from onnxprobe.graph.tangent.contrib import refuse_outputs
from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.normalisation import normalised
from onnxprobe.graph.tangent.registry import MICROSOFT, Expansions, NoRuleError

__all__ = ["counted", "register", "rotated", "size_along"]

# What stands in for scores that masks hide.
_HIDDEN = -10000.0


def _heads(node: Node, value: Value) -> Value:
    """Turn (batch, length, heads·size) into (batch, heads, length, size)."""
    e = node.e
    return e.transpose(e.reshape(value, [0, 0, node.attr("num_heads"), -1]), [0, 2, 1, 3])


def size_along(e: Emitter, value: Value, axis: int) -> Value:
    """Return one size of a value as a value without axes."""
    return e.squeeze(e.slice(e.shape(value), axis, axis + 1), [0])


def counted(e: Emitter, count: Value) -> Value:
    """Return the whole numbers from zero, as many as a value says."""
    return e.op("Range", e.scalar(0, "int64"), count, e.scalar(1, "int64"))


def _attend(node: Node, q: Value, k: Value, v: Value, width: int, mask: int, bias: int) -> Value:
    """Write softmax(scale·q·kᵀ + mask + bias)·v for operands (batch, heads, length, size)."""
    e = node.e
    scale = node.attr("scale", 0.0) or 1 / math.sqrt(width)
    scores = e.op("MatMul", q, e.transpose(k, [0, 1, 3, 2])) * scale
    hidden = _padding(node, mask, k)
    if hidden is not None:
        fill = node.attr("mask_filter_value", _HIDDEN)
        scores = scores + e.where(hidden, fill, e.scalar(0, q.dtype))
    if node.has(bias):
        scores = scores + node.x(bias)
    if node.attr("unidirectional", 0):
        total, own = (size_along(node.e, each, 2) for each in (k, q))
        ahead = e.unsqueeze(counted(e, total), [0])
        behind = e.unsqueeze(counted(e, own) + (total - own), [1])
        lowest = float(np.finfo(np.float32).min)
        scores = e.where(e.compare("Greater", ahead, behind), lowest, scores)
    shares = e.op("Softmax", scores, axis=3)
    mixed = e.transpose(e.op("MatMul", shares, v), [0, 2, 1, 3])
    return e.reshape(mixed, [0, 0, -1])


def _padding(node: Node, place: int, keys: Value) -> Value | None:
    """Tell which scores a mask hides, aligned with (batch, heads, queries, keys)."""
    if not node.has(place):
        return None
    e, sizes = node.e, node.shape(place)
    mask, rank = node.x(place), node.rank(place)
    if rank in (2, 3):
        if sizes[-1] in (None, 1):
            raise NoRuleError("a mask of unknown length or of length 1")
        shown = e.unsqueeze(mask.cast("int64") > 0, [1] if rank == 3 else [1, 2])
        return e.negate(shown)
    batch = node.shape()[0]
    if rank != 1 or batch is None or sizes[0] not in (batch, 2 * batch):
        raise NoRuleError(f"a mask of shape {sizes}")
    places = e.unsqueeze(counted(e, size_along(e, keys, 2)), [0, 1, 2])

    def bounds(first: int) -> Value:
        return e.unsqueeze(e.slice(mask.cast("int64"), first, first + batch), [1, 2, 3])

    hidden = e.negate(places < bounds(0))
    if sizes[0] == 2 * batch:
        hidden = e.op("Or", hidden, places < bounds(batch))
    return hidden


def _attention(node: Node) -> list[Value | None]:
    """Queries, keys and values by one product; past keys and values in one tensor."""
    if node.attr("do_rotary", 0) or node.attr("past_present_share_buffer", 0) or node.has(6):
        raise NoRuleError("Attention with rotary embedding or a shared buffer")
    e, heads = node.e, node.attr("num_heads")
    whole = e.op("MatMul", node.x(0), node.x(1))
    if node.has(2):
        whole = whole + node.x(2)
    columns = node.shape(1)[1]
    sizes = node.attr("qkv_hidden_sizes") or ([columns // 3] * 3 if columns else None)
    if not sizes:
        raise NoRuleError("the hidden size is not known")
    ends = [0, *np.cumsum(sizes).tolist()]
    q, k, v = (_heads(node, e.slice(whole, start, stop, 2)) for start, stop in pairwise(ends))
    if node.has(4):
        before = [e.gather(node.x(4), place, 0) for place in (0, 1)]
        k, v = e.concat([before[0], k], 2), e.concat([before[1], v], 2)
    result = _attend(node, q, k, v, sizes[0] // heads, mask=3, bias=5)
    present = None
    if len(node.proto.output) > 1 and node.proto.output[1]:
        present = e.concat([e.unsqueeze(each, [0]) for each in (k, v)], 0)
    return [result, present]


def _multi_head_attention(node: Node) -> list[Value | None]:
    refuse_outputs(node, 3)
    if node.has(8) or node.has(9) or not node.has(1) or not node.has(2):
        raise NoRuleError("MultiHeadAttention with packed operands or a shared buffer")
    e = node.e
    width = node.shape()[2]
    if width is None:
        raise NoRuleError("the hidden size is not known")
    if node.rank() != 3 or node.rank(1) not in (3, 4) or node.rank(2) != node.rank(1):
        raise NoRuleError("MultiHeadAttention with packed operands")
    parts = [node.x(place) for place in range(3)]
    if node.has(3):
        if node.rank(1) != 3:
            raise NoRuleError("MultiHeadAttention with a bias and split keys")
        last = node.shape(3)[0]
        if last is None:
            raise NoRuleError("the hidden size of values is not known")
        ends = [0, width, 2 * width, last]
        parts = [
            part + e.slice(node.x(3), ends[place], ends[place + 1])
            for place, part in enumerate(parts)
        ]
    q = _heads(node, parts[0])
    k, v = parts[1:] if node.rank(1) == 4 else (_heads(node, each) for each in parts[1:])
    if node.has(6):
        k, v = (e.concat([node.x(6 + place), each], 2) for place, each in enumerate((k, v)))
    result = _attend(node, q, k, v, width // node.attr("num_heads"), mask=4, bias=5)
    return [result, k, v]


def rotated(e: Emitter, x: Value, cos: Value, sin: Value, half: int, *, interleaved: bool) -> Value:
    """Turn pairs of elements by angles.

    Args:
        e: Where nodes go.
        x: Four axes, the elements along the last one.
        cos: Cosines of the angles, which broadcast to ``x`` with `half` elements.
        sin: Their sines.
        half: How many pairs there are; elements behind them stay.
        interleaved: Whether the elements of a pair are neighbours.

    Returns:
        A value of the same shape.
    """
    if interleaved:
        pairs = e.reshape(e.slice(x, 0, 2 * half, 3), [0, 0, 0, half, 2])
        first, second = (e.gather(pairs, place, 4) for place in (0, 1))
        both = [first * cos - second * sin, second * cos + first * sin]
        mixed = e.concat([e.unsqueeze(each, [4]) for each in both], 4)
        result = e.reshape(mixed, [0, 0, 0, 2 * half])
    else:
        first, second = e.slice(x, 0, half, 3), e.slice(x, half, 2 * half, 3)
        result = e.concat([first * cos - second * sin, second * cos + first * sin], 3)
    return e.concat([result, e.slice(x, 2 * half, np.iinfo(np.int64).max, 3)], 3)


def _rotary(node: Node) -> list[Value | None]:
    """Turn pairs of elements by angles that belong to their position."""
    e, rank = node.e, node.rank()
    half = node.shape(2)[1]
    if half is None or node.attr("scale", 1.0) != 1.0:
        raise NoRuleError("RotaryEmbedding of unknown or scaled angles")
    x = node.x()
    if rank == 3:
        count = node.attr("num_heads", 0)
        x = e.reshape(x, [0, 0, count, -1] if count else [0, 0, -1, 2 * half])
    wanted = node.x(1)
    if node.rank(1) == 1:
        length = size_along(e, node.x(), 1 if rank == 3 else 2)
        wanted = e.unsqueeze(counted(e, length) + wanted, [0])
    # Angles are aligned with heads, which stand behind the length or in front of it.
    cos, sin = (
        e.unsqueeze(e.op("Gather", node.x(place), wanted, axis=0), [2 if rank == 3 else 1])
        for place in (2, 3)
    )
    result = rotated(e, x, cos, sin, half, interleaved=bool(node.attr("interleaved", 0)))
    return [e.reshape(result, [0, 0, -1]) if rank == 3 else result]


def _embed_layer_norm(node: Node) -> list[Value | None]:
    """Sum embeddings of words, positions and segments; the integers among the outputs stay."""
    e = node.e

    def found(table: int, ids: Value) -> Value:
        return e.op("Gather", node.x(table), ids, axis=0)

    whole = found(2, node.x(0))
    if node.has(8):
        whole = whole + found(3, node.x(8))
    else:
        whole = whole + found(3, counted(e, size_along(e, node.x(0), 1)))
    if node.has(1) and node.has(4):
        whole = whole + found(4, node.x(1))
    result, _ = normalised(e, whole, [2], node.attr("epsilon", 1e-12))
    return [result * node.x(5) + node.x(6), None, whole]


def register(expansions: Expansions) -> None:
    """Add these expansions to a table.

    Args:
        expansions: Where to.
    """
    expansions.add("Attention", _attention, domain=MICROSOFT)
    expansions.add("EmbedLayerNormalization", _embed_layer_norm, domain=MICROSOFT)
    expansions.add("MultiHeadAttention", _multi_head_attention, domain=MICROSOFT)
    expansions.add("RotaryEmbedding", _rotary, domain=MICROSOFT)
