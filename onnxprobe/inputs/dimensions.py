"""The dimensions that a model declares, and the sizes that a user gives to those it leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from onnxprobe.errors import DataError
from onnxprobe.inputs.wording import listed
from onnxprobe.types import TensorType

__all__ = ["Dim", "bind", "is_anonymous", "set_dimensions"]

Dim: TypeAlias = int | str
"""A size, or the key of an open dimension: its symbol, or ``INPUT[AXIS]`` where it has none."""

# Exporters write these where they have no name to give; equal spelling does not mean equal size.
_NO_NAMES = frozenset({"", "?", "*", "-1", "None", "none", "unk", "unknown", "Unknown"})


def set_dimensions(
    inputs: Sequence[TensorType], sizes: Mapping[str, int]
) -> dict[str, tuple[Dim, ...] | None]:
    """Give the open dimensions of a model's inputs the sizes that a user sets.

    Args:
        inputs: Declared types.
        sizes: Size by symbol, or by ``INPUT[AXIS]``, which reaches every dimension.

    Returns:
        By input name, the dimensions with what is known of them; ``None`` for an input whose rank
        is undeclared. A dimension declared as 0, −1 or under a name that says nothing is open and
        has the key ``INPUT[AXIS]``.

    Raises:
        DataError: If a size is not positive, belongs to no dimension, or contradicts the model or
            another size.

    Example:
        >>> x = TensorType("x", "float32", (None, "seq", 8, -1))
        >>> set_dimensions([x], {"seq": 5})
        {'x': ('x[0]', 5, 8, 'x[3]')}
    """
    declared = {
        kind.name: None if kind.shape is None else tuple(map(_dim, *_places(kind)))
        for kind in inputs
    }
    aliases: dict[str, Dim] = {
        f"{name}[{axis}]": dim for name, dims in declared.items() for axis, dim in _axes(dims)
    }
    symbols = [dim for dims in declared.values() for _, dim in _axes(dims) if isinstance(dim, str)]
    aliases.update((symbol, symbol) for symbol in symbols)
    known: dict[str, int] = {}
    for key, size in sizes.items():
        if size < 1:
            raise DataError(f"--set gives dimension {key!r} the size {size}; expected 1 or more")
        if key not in aliases:
            raise DataError(_unknown(key, list(dict.fromkeys(symbols))))
        dim = aliases[key]
        fixed = known.setdefault(dim, size) if isinstance(dim, str) else dim
        if fixed != size:
            raise DataError(
                f"--set gives dimension {key!r} the size {size}, but "
                + (
                    f"another gives it {fixed}"
                    if isinstance(dim, str)
                    else f"the model has {fixed}"
                )
                + "; leave one of them out"
            )
    return {
        name: None
        if dims is None
        else tuple(dim if isinstance(dim, int) else known.get(dim, dim) for dim in dims)
        for name, dims in declared.items()
    }


def is_anonymous(dim: Dim) -> bool:
    """Tell whether a dimension is open without a symbol.

    Args:
        dim: A dimension of `set_dimensions`.

    Returns:
        True for a key of the form ``INPUT[AXIS]``.

    Example:
        >>> is_anonymous("x[0]"), is_anonymous("seq"), is_anonymous(3)
        (True, False, False)
    """
    return isinstance(dim, str) and dim.endswith("]") and "[" in dim


def bind(dims: Sequence[Dim], shape: Sequence[int]) -> dict[str, int] | None:
    """Match sizes with dimensions.

    Args:
        dims: Dimensions, open or not.
        shape: Sizes.

    Returns:
        The size of each open dimension; ``None`` if the sizes do not fit.

    Example:
        >>> bind((3, "h", "h"), (3, 8, 8)), bind((3, "h", "h"), (3, 8, 9))
        ({'h': 8}, None)
    """
    found: dict[str, int] = {}
    fits = len(dims) == len(shape) and all(
        dim == size if isinstance(dim, int) else found.setdefault(dim, size) == size and size > 0
        for dim, size in zip(dims, shape, strict=True)
    )
    return found if fits else None


def _places(kind: TensorType) -> tuple[list[int | str | None], list[str]]:
    shape = list(kind.shape or ())
    return shape, [f"{kind.name}[{axis}]" for axis in range(len(shape))]


def _dim(size: int | str | None, place: str) -> Dim:
    if isinstance(size, int):
        return size if size > 0 else place
    return place if size is None or size.strip() in _NO_NAMES else size


def _axes(dims: tuple[Dim, ...] | None) -> enumerate[Dim]:
    return enumerate(dims or ())


def _unknown(key: str, symbols: list[str]) -> str:
    if not symbols:
        return (
            f"--set names dimension {key!r}, but the model leaves no dimension open; "
            f"leave --set {key} out"
        )
    return (
        f"--set names dimension {key!r}, which the model does not have; "
        f"its open dimensions are {listed(symbols, most=20)}"
    )
