"""Derivatives of operators that treat every element alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from onnxprobe.graph.tangent.emitter import Operand, Value
from onnxprobe.graph.tangent.node import Node, total
from onnxprobe.graph.tangent.registry import MICROSOFT, NotDifferentiableError, Result, Rules
from onnxprobe.graph.tangent.scope import Folded

__all__ = ["register", "weighted"]

# ONNX's defaults of attributes.
_SELU = (1.67326319217681884765625, 1.05070102214813232421875)


def weighted(node: Node, factors: Mapping[int, Operand | None]) -> Result:
    """Add up tangents of elementwise operands, each times its partial derivative.

    Args:
        node: A node whose operands broadcast to its first output.
        factors: By input, the partial derivative, broadcast as the output or an operand; ``None``
            for 1. Inputs that are not active are left out.

    Returns:
        The tangent of the first output.
    """
    active = {index: factors[index] for index in node.actives if index in factors}
    node.only(*factors)
    out = node.out_shape
    rank = len(out)
    tangents = node.scope.tangents
    together = rank > 0 and out[0] == 1 and all(node.rank(index) == rank for index in active)
    if together and any(tangents[node.proto.input[index]].fold for index in active):
        read: Callable[[int], Value] = node.fold
    else:
        together = False

        def read(index: int) -> Value:
            return node.aligned(index, rank)

    # Pow alone takes operands of two types, and gives the first one's.
    dtype = node.y().dtype
    terms = [
        read(index).cast(dtype) if factor is None else read(index).cast(dtype) * factor
        for index, factor in active.items()
    ]
    result = total(terms)
    plain = any(not isinstance(factor, Value) for factor in active.values())
    if plain and not _covers(node, list(active)):
        sizes = node.out_sizes()
        if together:
            sizes = node.e.concat(
                [node.scope.directions, node.e.slice(sizes, 2, rank + 1)]
                if rank > 1
                else [node.scope.directions]
            )
        result = node.e.expand(result, sizes)
    return Folded(result) if together else result


def _covers(node: Node, active: Sequence[int]) -> bool:
    """Whether the sum of the active operands surely has the shape of the output."""
    types = node.scope.types
    out = types[node.proto.output[0]].shape
    shapes = [types[node.proto.input[index]].shape for index in active]
    if out is None or any(None in (shape or ()) for shape in shapes) or None in out:
        return False
    padded = [
        (1,) * (len(out) - len(shape)) + tuple(shape) for shape in shapes if shape is not None
    ]
    return all(any(each[axis] == size for each in padded) for axis, size in enumerate(out))


def _sign(node: Node, value: Value) -> Value:
    return node.e.op("Sign", value)


def _step(value: Value, condition: Value) -> Value:
    return condition.cast(value.dtype)


def _gelu(node: Node) -> Value:
    x, e = node.x(), node.e
    if node.attr("approximate", "none") == "tanh":
        return _tanh_gelu(node, x)
    cdf = (e.op("Erf", x * math.sqrt(0.5)) + 1.0) * 0.5
    return cdf + x * e.op("Exp", x * x * -0.5) * (1 / math.sqrt(2 * math.pi))


def _tanh_gelu(node: Node, x: Value) -> Value:
    root = math.sqrt(2 / math.pi)
    bend = node.e.op("Tanh", (x + x * x * x * 0.044715) * root)
    slope = (x * x * (3 * 0.044715) + 1.0) * root
    return (bend + 1.0) * 0.5 + x * (1.0 - bend * bend) * slope * 0.5


def _swish(node: Node, alpha: float) -> Value:
    x = node.x()
    gate = node.e.op("Sigmoid", x * alpha)
    return gate + x * gate * (1.0 - gate) * alpha


def _elu(node: Node, alpha: float, gamma: float = 1.0, width: float = 1.0) -> Value:
    x, e = node.x(), node.e
    # The exponential is taken where it is used: elsewhere it overflows.
    bounded = e.where(x > 0.0, 0.0, x)
    return e.where(x > 0.0, gamma, e.op("Exp", bounded / width) * (alpha * gamma / width))


def _mish(node: Node) -> Value:
    x, e = node.x(), node.e
    inner = e.op("Tanh", e.op("Softplus", x))
    return inner + x * (1.0 - inner * inner) * e.op("Sigmoid", x)


def _hard_sigmoid(node: Node, alpha: float, beta: float) -> Value:
    x = node.x() * alpha + beta
    return _step(x, node.e.both(x > 0.0, x < 1.0)) * alpha


def _hard_swish(node: Node) -> Value:
    x = node.x()
    inner = node.e.where(x > -3.0, x * (1 / 3) + 0.5, 0.0)
    return node.e.where(x < 3.0, inner, 1.0)


def _softsign(node: Node) -> Value:
    bottom = node.e.op("Abs", node.x()) + 1.0
    return 1.0 / (bottom * bottom)


def _shrink(node: Node) -> Value:
    x, bound = node.x(), node.attr("lambd", 0.5)
    return _step(x, node.e.op("Or", x > bound, x < -bound))


def _sqrt(node: Node) -> Value:
    return 0.5 / node.y()


UNARY: dict[str, Callable[[Node], Operand | None]] = {
    "Neg": lambda _: -1.0,
    "Abs": lambda n: _sign(n, n.x()),
    "Relu": lambda n: _step(n.x(), n.x() > 0.0),
    "Exp": lambda n: n.y(),
    "Log": lambda n: 1.0 / n.x(),
    "Sqrt": _sqrt,
    "Reciprocal": lambda n: -(n.y() * n.y()),
    "Tanh": lambda n: 1.0 - n.y() * n.y(),
    "Sigmoid": lambda n: n.y() * (1.0 - n.y()),
    "Sin": lambda n: n.e.op("Cos", n.x()),
    "Cos": lambda n: -n.e.op("Sin", n.x()),
    "Tan": lambda n: n.y() * n.y() + 1.0,
    "Sinh": lambda n: n.e.op("Cosh", n.x()),
    "Cosh": lambda n: n.e.op("Sinh", n.x()),
    "Asin": lambda n: 1.0 / n.e.op("Sqrt", 1.0 - n.x() * n.x()),
    "Acos": lambda n: -1.0 / n.e.op("Sqrt", 1.0 - n.x() * n.x()),
    "Atan": lambda n: 1.0 / (n.x() * n.x() + 1.0),
    "Asinh": lambda n: 1.0 / n.e.op("Sqrt", n.x() * n.x() + 1.0),
    "Acosh": lambda n: 1.0 / n.e.op("Sqrt", n.x() * n.x() - 1.0),
    "Atanh": lambda n: 1.0 / (1.0 - n.x() * n.x()),
    "Erf": lambda n: n.e.op("Exp", -(n.x() * n.x())) * (2 / math.sqrt(math.pi)),
    "Softplus": lambda n: n.e.op("Sigmoid", n.x()),
    "Softsign": _softsign,
    "Mish": _mish,
    "HardSwish": _hard_swish,
    "Shrink": _shrink,
    "Gelu": _gelu,
    "Swish": lambda n: _swish(n, n.attr("alpha", 1.0)),
    "LeakyRelu": lambda n: n.e.where(
        n.x() > 0.0, n.e.scalar(1, n.x().dtype), n.attr("alpha", 0.01)
    ),
    "ThresholdedRelu": lambda n: _step(n.x(), n.x() > n.attr("alpha", 1.0)),
    "Elu": lambda n: _elu(n, n.attr("alpha", 1.0)),
    "Selu": lambda n: _elu(n, n.attr("alpha", _SELU[0]), n.attr("gamma", _SELU[1])),
    "Celu": lambda n: _elu(n, n.attr("alpha", 1.0), width=n.attr("alpha", 1.0)),
    "HardSigmoid": lambda n: _hard_sigmoid(n, n.attr("alpha", 0.2), n.attr("beta", 0.5)),
}

MICROSOFT_UNARY: dict[str, Callable[[Node], Operand | None]] = {
    "Gelu": _gelu,
    "QuickGelu": lambda n: _swish(n, n.attr("alpha", 1.702)),
}


def _unary(factor: Callable[[Node], Operand | None]) -> Callable[[Node], Sequence[Result]]:
    return lambda node: [weighted(node, {0: factor(node)})]


def _add(node: Node) -> Sequence[Result]:
    return [weighted(node, dict.fromkeys(node.actives))]


def _sub(node: Node) -> Sequence[Result]:
    return [weighted(node, {0: None, 1: -1.0})]


def _mul(node: Node) -> Sequence[Result]:
    return [weighted(node, {0: node.x(1), 1: node.x(0)})]


def _div(node: Node) -> Sequence[Result]:
    inverse = 1.0 / node.x(1)
    factors = {0: inverse}
    if node.active(1):
        factors[1] = -(node.y() * inverse)
    return [weighted(node, factors)]


def _mean(node: Node) -> Sequence[Result]:
    share = 1.0 / len(node.proto.input)
    return [weighted(node, dict.fromkeys(node.actives, share))]


def _pow(node: Node) -> Sequence[Result]:
    x, e = node.x(0), node.e
    power = node.x(1).cast(x.dtype)
    factors: dict[int, Operand | None] = {}
    if node.active(0):
        # At power 0 the derivative is 0, also where x is 0.
        still = power.equals(0.0)
        factors[0] = e.where(still, 0.0, power * x ** e.where(still, 1.0, power - 1.0))
    if node.active(1):
        # Of a negative number there is none, which its logarithm says.
        zero = x.equals(0.0)
        factors[1] = e.where(zero, 0.0, node.y() * e.op("Log", e.where(zero, 1.0, x)))
    return [weighted(node, factors)]


def _extreme(node: Node) -> Sequence[Result]:
    """Max and Min: ties are split equally."""
    hits = {
        index: node.x(index).equals(node.y()).cast(node.y().dtype)
        for index in range(len(node.proto.input))
    }
    if len(hits) == 1:
        return [weighted(node, {0: None})]
    share = 1.0 / total(list(hits.values()))
    return [weighted(node, {index: hits[index] * share for index in node.actives})]


def _prelu(node: Node) -> Sequence[Result]:
    x, e = node.x(0), node.e
    positive = x > 0.0
    return [
        weighted(
            node,
            {0: e.where(positive, 1.0, node.x(1)), 1: e.where(positive, 0.0, x)},
        )
    ]


def _clip(node: Node) -> Sequence[Result]:
    """Bounds are attributes before opset 11, inputs from then on."""
    x, e = node.x(0), node.e
    low: Operand | None = node.attr("min")
    high: Operand | None = node.attr("max")
    low = node.x(1) if node.has(1) else low
    high = node.x(2) if node.has(2) else high
    below = None if low is None else x < low
    above = None if high is None else x > high
    if low is not None and high is not None and above is not None and below is not None:
        # Where the bounds are crossed, the upper one holds.
        first = low if isinstance(low, Value) else e.scalar(low, x.dtype)
        above = e.op("Or", above, first > high)
        below = e.both(below, e.negate(above))
    factors: dict[int, Operand | None] = {0: None}
    outside = [each for each in (below, above) if each is not None]
    if outside:
        hit = outside[0] if len(outside) == 1 else e.op("Or", *outside)
        factors[0] = e.negate(hit).cast(x.dtype)
    if node.active(1) and below is not None:
        factors[1] = below.cast(x.dtype)
    if node.active(2) and above is not None:
        factors[2] = above.cast(x.dtype)
    return [weighted(node, factors)]


def _where(node: Node) -> Sequence[Result]:
    # Choosing, where a product would make NaN of what is not chosen.
    sides = [
        node.aligned(place, len(node.out_shape)) if node.active(place) else 0.0 for place in (1, 2)
    ]
    chosen = node.e.where(node.x(0), sides[0], sides[1])
    covered = _covers(node, [0, *node.actives])
    return [chosen if covered else node.e.expand(chosen, node.out_sizes())]


def _mod(node: Node) -> Sequence[Result]:
    x, by = node.x(0), node.x(1)
    quotient = x / by
    whole = node.e.op("Floor", quotient)
    if node.attr("fmod", 0):
        whole = node.e.where(quotient < 0.0, node.e.op("Ceil", quotient), whole)
    return [weighted(node, {0: None, 1: -whole})]


def _identity(node: Node) -> Sequence[Result]:
    source = node.scope.tangents[node.proto.input[0]]
    return [Folded(source.fold) if source.fold is not None else node.t()]


def _bit_cast(node: Node) -> Sequence[Result]:
    if node.x().dtype != node.y().dtype:
        raise NotDifferentiableError("bits of one type are read as those of another")
    return _identity(node)


def _cast(node: Node) -> Sequence[Result]:
    if not node.active(0):
        # CastLike takes only the type of its second input.
        return [None]
    target = node.y().dtype
    source = node.scope.tangents[node.proto.input[0]]
    if source.fold is not None:
        return [Folded(source.fold.cast(target))]
    return [node.t().cast(target)]


def _dropout(node: Node) -> Sequence[Result]:
    training = node.constant(2)
    if not node.has(2) or (training is not None and not training.any()):
        # Switched off, it does not look at the ratio.
        return [weighted(node, {0: None, 1: 0.0}) if node.active(0) else None, None]
    if len(node.proto.output) < 2 or not node.proto.output[1]:
        raise NotDifferentiableError(
            "this Dropout may be switched on, and it does not give its mask: what it draws is not "
            "known"
        )
    node.only(0)
    e, x, mask = node.e, node.x(), node.y(1)
    ratio = node.x(1).cast(x.dtype) if node.has(1) else e.scalar(0.5, x.dtype)
    kept = e.where(mask, 1.0 / (1.0 - ratio), e.scalar(0, x.dtype))
    return [weighted(node, {0: e.where(node.x(2), kept, e.scalar(1, x.dtype))}), None]


def _bias_gelu(node: Node) -> Sequence[Result]:
    moved = node.x(0) + node.x(1) if node.has(1) else node.x(0)
    if node.proto.op_type == "FastGelu":
        slope = _tanh_gelu(node, moved)
    else:
        e = node.e
        cdf = (e.op("Erf", moved * math.sqrt(0.5)) + 1.0) * 0.5
        slope = cdf + moved * e.op("Exp", moved * moved * -0.5) * (1 / math.sqrt(2 * math.pi))
    return [weighted(node, {0: slope, 1: slope})]


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    for operator, factor in UNARY.items():
        table.add(operator, _unary(factor))
    for operator, factor in MICROSOFT_UNARY.items():
        table.add(operator, _unary(factor), domain=MICROSOFT)
    # Earlier versions broadcast by attributes of their own.
    table.add("Add", _add, since=7)
    table.add("Sub", _sub, since=7)
    table.add("Mul", _mul, since=7)
    table.add("Div", _div, since=7)
    table.add("Pow", _pow, since=7)
    table.add("PRelu", _prelu, since=7)
    table.add("Sum", _add)
    table.add("Mean", _mean)
    table.add("Max Min", _extreme)
    table.add("Clip", _clip)
    table.add("Where", _where)
    table.add("Identity", _identity)
    table.add("Mod", _mod)
    table.add("BitCast", _bit_cast)
    table.add("Cast CastLike", _cast, since=6)
    table.add("Dropout", _dropout, since=7)
    table.add("BiasGelu FastGelu", _bias_gelu, domain=MICROSOFT)
