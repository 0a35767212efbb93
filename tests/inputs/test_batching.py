from __future__ import annotations

import pytest

from onnxprobe.inputs.batching import find_batch_axes
from onnxprobe.inputs.dimensions import Dim

Shapes = dict[str, "tuple[Dim, ...] | None"]

CASES: list[tuple[str, Shapes, dict[str, int | None]]] = [
    ("a symbol of a batch", {"x": ("batch_size", 3, 8)}, {"x": 0}),
    (
        "a batch behind another axis",
        {"ids": ("batch", 1), "past": (2, "batch", 4, "past", 64)},
        {"ids": 0, "past": 1},
    ),
    ("time before batch", {"x": ("sequence_len", "batch", 100)}, {"x": 1}),
    ("the letter N in front", {"x": ("N", 3)}, {"x": 0}),
    ("the letter N behind time", {"x": ("T", "N", 80)}, {"x": 1}),
    ("points are no batch", {"x": (1, 3, "N")}, {"x": 0}),
    ("points behind a fixed batch of one", {"x": (1, "N", 3)}, {"x": 0}),
    ("points beside a batch", {"x": ("B", 3, "N")}, {"x": 0}),
    (
        "a length that mentions the batch",
        {"ids": ("batch", "max_seq_len_in_batch"), "mask": (1, "max_seq_len_in_batch")},
        {"ids": 0, "mask": None},
    ),
    (
        "nothing but a length that mentions the batch",
        {"ids": (1, "max_seq_len_in_batch")},
        {"ids": 0},
    ),
    ("any symbol in front", {"x": ("unk__6", 100)}, {"x": 0}),
    ("no name in front", {"x": ("x[0]", 4)}, {"x": 0}),
    ("a vector of samples", {"x": ("x[0]",)}, {"x": 0}),
    (
        "a state without names",
        {"input": ("input[0]", "input[1]"), "state": (2, "state[1]", 128), "rate": ()},
        {"input": 0, "state": 1, "rate": None},
    ),
    ("the same symbol further in", {"x": ("s77", 10), "h": (2, "s77", 64)}, {"x": 0, "h": 1}),
    (
        "another symbol beside a named batch",
        {"x": ("batch", "seq", 768), "scale": ("C",)},
        {"x": 0, "scale": None},
    ),
    (
        "no name beside a named batch",
        {"x": ("batch", 4), "y": ("y[0]", 4), "z": ("n_batches", 2)},
        {"x": 0, "y": 0, "z": 0},
    ),
    (
        "another symbol in front beside an unnamed batch",
        {"a": ("unk__1", 4), "b": ("unk__2", 4)},
        {"a": 0, "b": 0},
    ),
    ("a length in front", {"x": ("s0", "s1"), "y": ("s1", 4)}, {"x": 0, "y": None}),
    ("positions beside ids", {"ids": (1, "s"), "positions": ("s",)}, {"ids": 0, "positions": None}),
    (
        "positions beside ids, without names",
        {"ids": (1, "ids[1]"), "positions": ("positions[0]",)},
        {"ids": 0, "positions": None},
    ),
    ("an adjacency matrix", {"a": ("n", "n")}, {"a": None}),
    (
        "an adjacency matrix beside its nodes",
        {"a": ("n", "n"), "x": ("n", 7)},
        {"a": None, "x": None},
    ),
    ("a fixed batch of one", {"x": (1, 3, 8, 8), "rate": ()}, {"x": 0, "rate": None}),
    ("a fixed batch of one beside a state", {"x": (1, 257), "s": (2, 1, 16)}, {"x": 0, "s": None}),
    ("weights as inputs", {"x": (3, 1, 2), "w": (1, 18, 2)}, {"x": None, "w": None}),
    ("one row beside an open batch", {"x": ("batch", 4), "p": (1, 4)}, {"x": 0, "p": None}),
    ("a fixed batch of four", {"x": (4, 3, 6)}, {"x": None}),
    ("a fixed vector", {"x": (1,)}, {"x": None}),
    ("a scalar", {"x": ()}, {"x": None}),
    ("an unknown rank", {"x": None, "y": (2, 3)}, {"x": 0, "y": None}),
    ("no input", {}, {}),
]


@pytest.mark.parametrize(("what", "shapes", "axes"), CASES, ids=[case[0] for case in CASES])
def test_the_batch_axis_is_guessed(what: str, shapes: Shapes, axes: dict[str, int | None]) -> None:
    """Each rule, and what would mislead it."""
    assert find_batch_axes(shapes) == axes, what
