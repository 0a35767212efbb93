"""Which axis of an input counts samples: a guess from names and sizes, to be proved by running."""

from __future__ import annotations

import re
from collections.abc import Mapping

from onnxprobe.inputs.dimensions import Dim, is_anonymous

__all__ = ["find_batch_axes"]

# Alone these stand for the batch where they come first; N at the end of (1, 3, N) counts points.
_LETTERS = frozenset({"b", "n"})
_WORDS = frozenset({"bs", "bsz"})

_Shapes = Mapping[str, tuple[Dim, ...] | None]


def find_batch_axes(shapes: _Shapes) -> dict[str, int | None]:
    """Guess the batch axis of each input.

    The rules, the first that applies:

    1. An open dimension whose symbol speaks of a batch, on whatever axis it stands.
    2. An open axis 0 of any other symbol or of none. In the further inputs of such a model: the
       same symbol, else an open axis 0, else the first axis without a symbol (a state of
       (2, ?, 128)).
    3. In a model with no open batch axis whose first input of rank 2 or more has an axis 0 fixed
       to 1: that axis, in every such input.
    4. No axis: one sample is the whole array.

    A symbol that any input has twice counts no samples: an adjacency matrix (n, n) is one sample.

    Args:
        shapes: Dimensions by input name, as `set_dimensions` gives them; an undeclared rank
            (``None``) is taken to batch on axis 0.

    Returns:
        Axis by input name, ``None`` where there is none.

    Example:
        >>> find_batch_axes({"ids": ("batch", "seq"), "past": (2, "batch", "past", 64), "rate": ()})
        {'ids': 0, 'past': 1, 'rate': None}
    """
    symbol = _named_batch(shapes) or _leading_symbol(shapes)
    inner = _inner_symbols(shapes, symbol)
    named = symbol is not None and _is_batch_name(symbol)
    opened = {
        name: 0 if dims is None else _open_axis(dims, symbol, inner, named=named)
        for name, dims in shapes.items()
        if symbol is not None or dims is None
    }
    if any(axis is not None for axis in opened.values()):
        return {name: opened.get(name) for name in shapes}
    matrices = {name: dims for name, dims in shapes.items() if dims and len(dims) >= 2}
    first = next(iter(matrices.values()), (0,))
    return {
        name: 0 if first[0] == 1 and name in matrices and matrices[name][0] == 1 else None
        for name in shapes
    }


def _named_batch(shapes: _Shapes) -> str | None:
    """Return the symbol that speaks of a batch; the plainest, then the one on the foremost axis."""
    repeated = _repeated(shapes)
    found = [
        (_is_letter(dim), axis, order, dim)
        for order, dims in enumerate(shapes.values())
        for axis, dim in enumerate(dims or ())
        if isinstance(dim, str) and _is_batch_name(dim) and dim not in repeated
        # A lone letter has to stand in front, or behind another open axis: (time, N, features).
        if not _is_letter(dim) or axis == 0 or (axis == 1 and isinstance((dims or ())[0], str))
    ]
    return min(found)[-1] if found else None


def _leading_symbol(shapes: _Shapes) -> str | None:
    """Return the first open axis 0 that can count samples; that of a vector only if need be."""
    repeated = _repeated(shapes)
    leading = [
        (len(dims) == 1, order, dims[0])
        for order, dims in enumerate(shapes.values())
        if dims and isinstance(dims[0], str) and dims[0] not in repeated
    ]
    # Beside ids of (1, s) a vector of (s,) holds positions, not samples.
    later = {dim for dims in shapes.values() for dim in (dims or ())[1:] if isinstance(dim, str)}
    blank = any(is_anonymous(dim) for dim in later)
    for is_vector, _, symbol in sorted(leading):
        if not is_vector or not (symbol in later or (blank and is_anonymous(symbol))):
            return symbol
    return None


def _repeated(shapes: _Shapes) -> frozenset[Dim]:
    return frozenset(dim for dims in shapes.values() if dims for dim in dims if dims.count(dim) > 1)


def _inner_symbols(shapes: _Shapes, symbol: str | None) -> frozenset[Dim]:
    """Return what stands beside the batch in an input that has it: these count something else."""
    beside: set[Dim] = set()
    for dims in shapes.values():
        if dims and symbol in dims:
            beside.update(dim for dim in dims if dim != symbol)
    return frozenset(beside)


def _open_axis(
    dims: tuple[Dim, ...], symbol: str | None, inner: frozenset[Dim], *, named: bool
) -> int | None:
    if symbol in dims:
        return dims.index(symbol)
    if not dims:
        return None
    first = dims[0]
    # Where the exporter named the batch, another name means something else.
    may_count = not named or is_anonymous(first) or _is_batch_name(first)
    if isinstance(first, str) and may_count and first not in inner and dims.count(first) == 1:
        return 0
    return next((axis for axis, dim in enumerate(dims) if is_anonymous(dim)), None)


def _is_letter(symbol: str) -> bool:
    return _letters(symbol) in _LETTERS


def _is_batch_name(dim: Dim) -> bool:
    if isinstance(dim, int) or is_anonymous(dim):
        return False
    letters = _letters(dim)
    # "max_seq_len_in_batch" is a length.
    is_length = "seq" in letters or "len" in letters
    return letters in _LETTERS | _WORDS or ("batch" in letters and not is_length)


def _letters(symbol: str) -> str:
    return re.sub(r"[^a-z]", "", symbol.lower())
