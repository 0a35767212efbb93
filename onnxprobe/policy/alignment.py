"""Which tensor of one report is which of another: by name, then by structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

from onnxprobe.record import Report, TensorRecord

__all__ = ["Pair", "align"]


@dataclass(frozen=True)
class Pair:
    """A tensor of each report.

    Attributes:
        one: Of the first report.
        other: Of the second.
        by: Whether names told, or the place among operators and shapes.
    """

    one: TensorRecord
    other: TensorRecord
    by: Literal["name", "structure"]


def align(one: Report, other: Report) -> tuple[Pair, ...]:
    """Pair the tensors of two reports.

    Tensors of the same name and the same operator are paired. The rest is paired in order, operator
    by operator and shape by shape, as the longest runs of equal ones suggest.

    Args:
        one: A report.
        other: Another.

    Returns:
        The pairs, in the order of the first report; no tensor is in two.
    """
    named = {tensor.name: tensor for tensor in other.tensors}
    pairs = {
        tensor.name: Pair(tensor, named[tensor.name], "name")
        for tensor in one.tensors
        if tensor.name in named and named[tensor.name].op_type == tensor.op_type
    }
    left = [tensor for tensor in one.tensors if tensor.name not in pairs]
    right = [tensor for tensor in other.tensors if tensor.name not in pairs]
    matcher = SequenceMatcher(None, _keys(left), _keys(right), autojunk=False)
    for start, place, length in matcher.get_matching_blocks():
        for step in range(length):
            tensor = left[start + step]
            pairs[tensor.name] = Pair(tensor, right[place + step], "structure")
    return tuple(pairs[tensor.name] for tensor in one.tensors if tensor.name in pairs)


def _keys(tensors: Sequence[TensorRecord]) -> list[tuple[str, tuple[int, ...]]]:
    return [(tensor.op_type, tuple(tensor.shape)) for tensor in tensors]
