"""Attention and embeddings as ONNX Runtime fuses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from onnxprobe.types import Array
from tests.graph.tangent.contrib_case import Case, case, draw


def _attentions() -> list[Case]:
    x, w, b = draw(2, 3, 8), draw(8, 12) / 2, draw(12) / 2
    whole = {"x": x, "w": w, "b": b}
    lengths = np.array([3, 2], np.int32)
    spans = np.array([3, 3, 0, 1], np.int32)
    flags = np.array([[1, 1, 0], [1, 1, 1]], np.int32)
    cube = np.array([[[1, 1, 0], [0, 1, 1], [1, 1, 1]]] * 2, np.int32)
    past = draw(2, 2, 2, 2, 2)
    longer = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 1, 0]], np.int32)
    none: dict[str, Array | None] = {"m": None}
    return [
        case("Attention", whole, num_heads=2),
        # The kernel of onnxruntime 1.31 reads the bias that is not there, and may crash.
        case(
            "Attention without bias",
            {"x": x, "w": w},
            formula=_plain_attention,
            has_kernel=False,
            num_heads=2,
        ),
        case("Attention scale", whole, num_heads=2, scale=0.3),
        case("Attention causal", whole, num_heads=2, unidirectional=1),
        case("Attention lengths", {**whole, "m": lengths}, num_heads=2),
        case("Attention spans", {**whole, "m": spans}, num_heads=2),
        case("Attention flags", {**whole, "m": flags}, num_heads=2),
        case("Attention soft flags", {**whole, "m": flags}, num_heads=2, mask_filter_value=-1.0),
        case("Attention cube", {**whole, "m": cube}, num_heads=2, unidirectional=1),
        case(
            "Attention sizes",
            {"x": x, "w": draw(8, 14) / 2, "b": draw(14)},
            num_heads=2,
            qkv_hidden_sizes=[4, 4, 6],
        ),
        case("Attention past", {**whole, **none, "p": past}, "y z", num_heads=2),
        case(
            "Attention past causal",
            {**whole, "m": longer, "p": past},
            "y z",
            num_heads=2,
            unidirectional=1,
        ),
        case(
            "Attention added",
            {**whole, **none, "p": None, "a": draw(1, 2, 3, 3)},
            num_heads=2,
        ),
    ]


def _plain_attention(feeds: Mapping[str, Array]) -> list[Array]:
    parts = [
        each.reshape(*each.shape[:2], 2, -1).swapaxes(1, 2)
        for each in np.split(feeds["x"] @ feeds["w"], 3, -1)
    ]
    scores = parts[0] @ parts[1].swapaxes(2, 3) / np.sqrt(parts[0].shape[-1])
    shares = np.exp(scores)
    mixed = shares / shares.sum(-1, keepdims=True) @ parts[2]
    return [mixed.swapaxes(1, 2).reshape(*feeds["x"].shape[:2], -1)]


def _multi_head() -> list[Case]:
    q, k, v = draw(2, 3, 8), draw(2, 5, 8), draw(2, 5, 6)
    whole = {"q": q, "k": k, "v": v}
    flags = np.array([[1, 1, 0, 1, 1], [1, 1, 1, 1, 0]], np.int32)
    none: dict[str, Array | None] = {"b": None}
    split = {"q": q, "k": draw(2, 2, 5, 4), "v": draw(2, 2, 5, 4, seed=1)}
    past = {"pk": draw(2, 2, 2, 4), "pv": draw(2, 2, 2, 4, seed=1)}
    square = {"q": q, "k": draw(2, 3, 8, seed=1), "v": draw(2, 3, 8, seed=2)}
    gaps: dict[str, Array | None] = {"b": None, "m": None, "a": None}
    return [
        case("MultiHeadAttention", whole, num_heads=2),
        case("MultiHeadAttention bias", {**whole, "b": draw(22)}, num_heads=2),
        case("MultiHeadAttention split", split, num_heads=2, scale=0.4),
        case("MultiHeadAttention flags", {**whole, **none, "m": flags}, num_heads=2),
        case(
            "MultiHeadAttention lengths",
            {**whole, **none, "m": np.array([5, 3], np.int32)},
            num_heads=2,
        ),
        case("MultiHeadAttention added", {**whole, **gaps, "a": draw(2, 2, 3, 5)}, num_heads=2),
        case("MultiHeadAttention causal", square, num_heads=2, unidirectional=1),
        case("MultiHeadAttention past", {**square, **gaps, **past}, "y pk1 pv1", num_heads=2),
        case(
            "MultiHeadAttention past causal",
            {**square, **gaps, **past},
            "y pk1 pv1",
            num_heads=2,
            unidirectional=1,
        ),
    ]


def _grouped() -> list[Case]:
    """Four heads of sixteen elements that share the keys and values of two."""
    heads: dict[str, Any] = {"num_heads": 4, "kv_num_heads": 2}
    q, k, v = draw(2, 3, 64) / 2, draw(2, 3, 32) / 2, draw(2, 3, 32, seed=1)
    alone: dict[str, Array | None] = {"past_k": None, "past_v": None}
    ends = {"last": np.array([2, 2], np.int32), "total": np.array(3, np.int32)}
    whole = {"q": q, "k": k, "v": v, **alone, **ends}
    one = {"q": draw(1, 2, 64) / 2, "k": draw(1, 2, 32) / 2, "v": draw(1, 2, 32, seed=1)}
    past = {"past_k": draw(1, 2, 4, 16) / 2, "past_v": draw(1, 2, 4, 16, seed=1)}
    later = {"last": np.array([5], np.int32), "total": np.array(6, np.int32)}
    padded = {"last": np.array([1, 2], np.int32), "total": np.array(3, np.int32)}
    step = {"q": draw(2, 1, 64) / 2, "k": draw(2, 1, 32) / 2, "v": draw(2, 1, 32, seed=1)}
    uneven = {
        "past_k": draw(2, 2, 4, 16) / 2,
        "past_v": draw(2, 2, 4, 16, seed=1),
        "last": np.array([2, 4], np.int32),
        "total": np.array(5, np.int32),
    }
    roomy = {"last": np.array([2], np.int32), "total": np.array(3, np.int32)}
    angles = draw(8, 8)
    tables = {"cos": np.cos(angles), "sin": np.sin(angles)}
    packed: dict[str, Array | None] = {"q": draw(2, 3, 128) / 2, "k": None, "v": None}
    name = "GroupQueryAttention"
    return [
        case(name, whole, **heads),
        case(f"{name} scale", whole, scale=0.3, **heads),
        case(f"{name} window", whole, local_window_size=2, **heads),
        case(f"{name} cap", whole, softcap=2.0, **heads),
        case(f"{name} smooth", whole, smooth_softmax=1, **heads),
        case(f"{name} packed", {**packed, **alone, **ends}, **heads),
        case(f"{name} past", {**one, **past, **later}, "y k1 v1", **heads),
        case(f"{name} padded", {**whole, **padded}, **heads),
        case(f"{name} uneven", {**step, **uneven}, "y k1 v1", **heads),
        case(f"{name} uneven window", {**step, **uneven}, "y k1 v1", local_window_size=2, **heads),
        case(f"{name} roomy", {**one, **past, **roomy}, "y k1 v1", **heads),
        case(
            f"{name} uneven turned",
            {**step, **uneven, **tables},
            "y k1 v1",
            still="cos sin",
            do_rotary=1,
            **heads,
        ),
        case(f"{name} turned", {**whole, **tables}, still="cos sin", do_rotary=1, **heads),
        case(
            f"{name} turned pairs",
            {**one, **past, **later, **tables},
            "y k1 v1",
            still="cos sin",
            do_rotary=1,
            rotary_interleaved=1,
            **heads,
        ),
    ]


def _embeddings() -> list[Case]:
    cos, sin = draw(6, 2), draw(6, 2, seed=1)
    ids, one = np.array([[0, 2, 5], [1, 3, 4]], np.int64), np.array([2], np.int64)
    tables = {"cos": cos, "sin": sin}
    words = np.array([[0, 2, 4], [1, 3, 4]], np.int32)
    segments = np.array([[0, 1, 1], [0, 0, 1]], np.int32)
    found = {"w": draw(5, 4), "p": draw(6, 4), "t": draw(2, 4)}
    ends = {"g": draw(4), "b": draw(4, seed=1)}
    gap: dict[str, Array | None] = {"m": None}
    return [
        case("RotaryEmbedding", {"x": draw(2, 3, 8), "i": ids, **tables}),
        case("RotaryEmbedding offset", {"x": draw(2, 3, 8), "i": one, **tables}),
        case("RotaryEmbedding pairs", {"x": draw(2, 3, 8), "i": ids, **tables}, interleaved=1),
        case("RotaryEmbedding heads", {"x": draw(2, 2, 3, 4), "i": ids, **tables}),
        case(
            "RotaryEmbedding part",
            {"x": draw(2, 3, 12), "i": ids, **tables},
            num_heads=2,
            rotary_embedding_dim=4,
        ),
        case(
            "EmbedLayerNormalization",
            {"i": words, "s": segments, **found, **ends},
            "y n",
            epsilon=1e-3,
        ),
        case(
            "EmbedLayerNormalization sum",
            {"i": words, "s": None, **found, "t": None, **ends, **gap, "q": words},
            "y n z",
            epsilon=1e-3,
        ),
    ]


ATTENTION = [*_attentions(), *_multi_head(), *_grouped(), *_embeddings()]
