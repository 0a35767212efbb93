"""Tensors of two reports, paired."""

from __future__ import annotations

from onnxprobe.policy.alignment import align
from tests.reports import report, tensor


def _pairs(one: list[tuple[str, str, int]], other: list[tuple[str, str, int]]) -> list[str]:
    first, second = (
        report(*(tensor(name, op_type=op, shape=[1, size]) for name, op, size in each))
        for each in (one, other)
    )
    return [f"{pair.one.name}-{pair.other.name} {pair.by}" for pair in align(first, second)]


def test_equal_names_are_equal_tensors() -> None:
    one = [("a", "Conv", 4), ("b", "Relu", 4)]
    assert _pairs(one, one[::-1]) == ["a-a name", "b-b name"]


def test_a_name_that_means_another_operator_pairs_nothing() -> None:
    assert _pairs([("a", "Conv", 4)], [("a", "Relu", 4)]) == []


def test_renamed_tensors_are_paired_in_order() -> None:
    one = [("1", "Conv", 4), ("2", "Relu", 4), ("3", "Conv", 8), ("4", "Relu", 8)]
    other = [("a", "Conv", 4), ("b", "Relu", 4), ("c", "Conv", 8), ("d", "Relu", 8)]
    found = ["1-a structure", "2-b structure", "3-c structure", "4-d structure"]
    assert _pairs(one, other) == found


def test_an_inserted_layer_shifts_nothing() -> None:
    one = [("1", "Conv", 4), ("2", "Relu", 4), ("3", "Gemm", 8)]
    other = [("a", "Conv", 4), ("new", "BatchNormalization", 4), ("b", "Relu", 4), ("c", "Gemm", 8)]
    assert _pairs(one, other) == ["1-a structure", "2-b structure", "3-c structure"]


def test_other_shapes_are_other_tensors() -> None:
    assert _pairs([("1", "Conv", 4)], [("a", "Conv", 5)]) == []


def test_names_count_before_structure() -> None:
    one = [("x", "Relu", 4), ("y", "Relu", 4)]
    other = [("y", "Relu", 4), ("z", "Relu", 4)]
    assert _pairs(one, other) == ["x-z structure", "y-y name"]
