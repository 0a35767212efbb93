"""Doing something for each direction in turn, where an operator has no room for one more axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from onnxprobe.graph.dtypes import REAL_TYPES
from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.node import Node, total
from onnxprobe.graph.tangent.registry import NoRuleError, Result, Rules

__all__ = ["lifted_linear", "numerical", "over_directions", "register"]

# Cube roots of the rounding errors, where a central difference of a smooth function errs least, and
# a quarter of them: operators that end here have kinks, of which a shorter step crosses fewer.
_STEPS = {"float32": 2.0**-10, "float64": 2.0**-19}


def over_directions(
    tangents: Sequence[Value],
    write: Callable[[list[Value]], Sequence[Value]],
    shapes: Sequence[Sequence[int | None]],
) -> list[Value]:
    """Write a Scan over the direction axis.

    Args:
        tangents: Each of shape (k, ...).
        write: Writes nodes for one direction, given its tangents of shape (...).
        shapes: Sizes of what it gives.

    Returns:
        What they compute, with the direction axis in front.
    """
    e = tangents[0].emitter
    with e.body() as nodes:
        inputs = [Value(e, e.fresh("direction"), each.dtype) for each in tangents]
        results = list(write(inputs))
        # A body's output must be written by a node of its own.
        named = [e.op("Identity", each) for each in results]
        body = e.graph(
            e.fresh("directions"),
            nodes,
            [(each.name, each.dtype, None) for each in inputs],
            [(each.name, each.dtype, shape) for each, shape in zip(named, shapes, strict=True)],
        )
    names = e.node("Scan", tangents, len(named), body=body, num_scan_inputs=len(inputs))
    return [Value(e, name, each.dtype) for name, each in zip(names, named, strict=True)]


def lifted_linear(
    node: Node,
    *places: int,
    among: Sequence[int] = (),
    **attributes: Any,  # noqa: ANN401
) -> Value:
    """Apply an operator that is linear in each of some inputs, one direction after the other.

    Args:
        node: The node.
        places: Inputs in each of which it is linear, the others held fixed.
        among: Inputs that may be active; the same if not given.
        **attributes: What replaces attributes; ``None`` drops one.

    Returns:
        The tangent of its only output, as far as those inputs move it.
    """
    node.only(*(among or places))
    active = [place for place in node.actives if place in places]

    def write(slices: list[Value]) -> list[Value]:
        terms = [
            node.linear(value, at=place, **attributes)
            for place, value in zip(active, slices, strict=True)
        ]
        return [total(terms)]

    tangents = [node.t(place) for place in active]
    (result,) = over_directions(tangents, write, [node.out_shape])
    return result


def numerical(node: Node) -> list[Result]:
    """Differentiate a node by central differences of that node alone.

    Args:
        node: Any node without bodies.

    Returns:
        A tangent per real output.

    Raises:
        NoRuleError: If it has no real output, or differences of it mean nothing.
    """
    active = node.actives
    kinds = [node.scope.types.get(node.proto.input[place]) for place in active]
    if any(kind is not None and kind.kind != "tensor" for kind in kinds):
        raise NoRuleError("it takes other things than tensors")
    outputs = [
        place
        for place, name in enumerate(node.proto.output)
        if name and node.scope.dtype(name) in REAL_TYPES
    ]
    if not outputs or not active:
        raise NoRuleError("no output of a real type is known")
    e = node.e
    dtype = node.t(active[0]).dtype
    if dtype not in _STEPS:
        raise NoRuleError(f"derivatives in {dtype}")

    def flat(value: Value) -> Value:
        # Nothing can be told of no elements, so there is one more.
        return e.concat([e.reshape(value.cast(dtype), [-1]), e.constant(np.zeros(1, dtype))])

    def largest(value: Value) -> Value:
        return e.op("ReduceMax", e.op("Abs", flat(value)), keepdims=0)

    def or_one(value: Value) -> Value:
        return e.where(value.equals(0.0), 1.0, value)

    # No element moves by more than the step times what its input has on average.
    sizes = []
    for place in active:
        values = flat(node.x(place))
        sizes.append(or_one(e.op("Sqrt", e.mean(values * values, [0], keep=False))))

    def write(slices: list[Value]) -> list[Value]:
        speeds = [largest(each) / size for each, size in zip(slices, sizes, strict=True)]
        step = _STEPS[dtype] / or_one(e.op("Max", *speeds))
        moved = {}
        for sign in (1.0, -1.0):
            inputs = {
                place: node.x(place) + each * (step * sign).cast(each.dtype)
                for place, each in zip(active, slices, strict=True)
            }
            moved[sign] = node.repeat(inputs, len(node.proto.output))
        results = []
        for place in outputs:
            kind = node.y(place).dtype
            ahead, behind = (Value(e, moved[sign][place], kind) for sign in (1.0, -1.0))
            results.append((ahead - behind) / (step * 2.0).cast(kind))
        return results

    shapes = [node.scope.shape(node.proto.output[place]) for place in outputs]
    found = over_directions([node.t(place) for place in active], write, shapes)
    by_place = dict(zip(outputs, found, strict=True))
    return [by_place.get(place) for place in range(len(node.proto.output))]


# Operators that are linear in some inputs while the others are held fixed.
LINEAR: Mapping[str, tuple[int, ...]] = {
    "AffineGrid": (0,),
    "CenterCropPad": (0,),
    "Col2Im": (0,),
    "DFT": (0,),
    "DeformConv": (0, 1, 3),
    "DequantizeLinear": (1,),
    "MaxUnpool": (0,),
    "ReverseSequence": (0,),
    "RotaryEmbedding": (0,),
    "STFT": (0, 2),
}


def _linear_rule(places: tuple[int, ...]) -> Callable[[Node], Sequence[Result]]:
    return lambda node: [lifted_linear(node, *places)]


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    for operator, places in LINEAR.items():
        table.add(operator, _linear_rule(places))
