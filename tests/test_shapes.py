"""Shapes, executed: axes are named, and a fault is told with both shapes."""

from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxprobe import OnnxProbeError
from onnxprobe.shapes import ShapeError, axes
from tests.graph.messages import exactly

SHAPES = st.lists(st.integers(0, 4), max_size=5).map(tuple)


@given(SHAPES)
def test_sizes_are_returned_in_order(shape: tuple[int, ...]) -> None:
    """Of every rank, empty axes too."""
    names = " ".join(string.ascii_lowercase[: len(shape)])
    found = axes(np.zeros(shape), names, of="array")
    assert found == shape
    assert all(type(size) is int for size in found)


@given(SHAPES, st.integers(0, 6))
def test_another_number_of_axes_is_refused(shape: tuple[int, ...], rank: int) -> None:
    names = " ".join(string.ascii_lowercase[:rank])
    if rank == len(shape):
        assert axes(np.zeros(shape), names, of="array") == shape
    else:
        with pytest.raises(ShapeError, match=r"^array must have axes \("):
            axes(np.zeros(shape), names, of="array")


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
def test_a_repeated_name_repeats_its_size(first: int, other: int, again: int) -> None:
    array = np.zeros((first, other, again))
    if first == again:
        assert axes(array, "n d n", of="gram") == (first, other, again)
    else:
        with pytest.raises(ShapeError, match=r"^gram must have axes \(n, d, n\), got shape \("):
            axes(array, "n d n", of="gram")


def test_names_may_be_words() -> None:
    assert axes(np.zeros((2, 3)), "outputs  inputs", of="Jacobian") == (2, 3)


def test_sizes_may_be_given() -> None:
    """For some of the names, also repeated ones; what is not named does not matter."""
    assert axes(np.zeros((2, 3)), "n d", of="samples", d=3) == (2, 3)
    assert axes(np.zeros((3, 3)), "d d", of="covariance", d=3) == (3, 3)
    assert axes(np.zeros((2, 3)), "n d", of="samples", m=7) == (2, 3)
    for size in (2, 0):
        message = f"covariance must have axes (d, d), d={size}, got shape (3, 3)"
        with pytest.raises(ShapeError, match=exactly(message)):
            axes(np.zeros((3, 3)), "d d", of="covariance", d=size)


@pytest.mark.parametrize(
    ("shape", "names", "sizes", "message"),
    [
        ((3,), "n d", {}, "samples must have axes (n, d), got shape (3,)"),
        ((3, 4), "n n", {}, "samples must have axes (n, n), got shape (3, 4)"),
        ((), "n", {}, "samples must have axes (n), got shape ()"),
        ((3,), "", {}, "samples must have axes (), got shape (3,)"),
        ((3, 4), "n d", {"d": 5}, "samples must have axes (n, d), d=5, got shape (3, 4)"),
        (
            (3, 4),
            "n d",
            {"n": 3, "d": 5, "m": 7},
            "samples must have axes (n, d), n=3, d=5, got shape (3, 4)",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_both_shapes(
    shape: tuple[int, ...], names: str, sizes: dict[str, int], message: str
) -> None:
    """The sizes that were asked for are said where their names are."""
    with pytest.raises(ShapeError, match=exactly(message)):
        axes(np.zeros(shape), names, of="samples", **sizes)


def test_a_wrong_shape_is_a_fault_of_the_caller() -> None:
    """No file, model or option causes it, so it is none of the user's errors."""
    assert issubclass(ShapeError, ValueError)
    assert not issubclass(ShapeError, OnnxProbeError)


def test_the_array_is_left_alone() -> None:
    array = np.arange(6.0).reshape(2, 3)
    array.flags.writeable = False
    axes(array, "n d", of="samples")
    assert np.array_equal(array, np.arange(6.0).reshape(2, 3))
