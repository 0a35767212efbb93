"""Activation functions that operators name in an attribute, written as operators of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.registry import NoRuleError

__all__ = ["PARAMETERS", "Activation", "activate", "named_activations"]

Activation = tuple[str, Sequence[float | None]]

# Parameters of functions that have some, with their defaults; alpha first, then beta.
PARAMETERS: dict[str, tuple[float, ...]] = {
    "Affine": (1.0, 0.0),
    "Elu": (1.0,),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01,),
    "ScaledTanh": (1.0, 1.0),
    "ThresholdedRelu": (1.0,),
}
_PLAIN = ("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")
# Runtimes compare names without regard to case.
_SPELLINGS = {name.lower(): name for name in (*PARAMETERS, *_PLAIN)}


def named_activations(
    names: Sequence[bytes | str], alphas: Sequence[float], betas: Sequence[float]
) -> list[Activation]:
    """Give each function of a recurrent operator the parameters that belong to it.

    Parameters are taken in order, and only by functions that have them.

    Args:
        names: The functions.
        alphas: First parameters.
        betas: Second parameters.

    Returns:
        By function, its name and its parameters; ``None`` for one that is not stated.
    """
    given: tuple[Iterator[float], ...] = (iter(alphas), iter(betas))
    found: list[Activation] = []
    for name in names:
        text = name.decode() if isinstance(name, bytes) else name
        text = _SPELLINGS.get(text.lower(), text)
        count = len(PARAMETERS.get(text, ()))
        found.append((text, [next(each, None) for each in given[:count]]))
    return found


def activate(e: Emitter, x: Value, name: str, given: Sequence[float | None] = ()) -> Value:
    """Apply a function.

    Args:
        e: Where nodes go.
        x: To what.
        name: Which function.
        given: Its parameters; ``None`` and what is missing have their defaults.

    Returns:
        A value of the same shape.

    Raises:
        NoRuleError: If the function is not known.
    """
    if name in _PLAIN:
        return e.op(name, x)
    if name not in PARAMETERS:
        raise NoRuleError(f"activation {name!r}")
    stated: list[Any] = [*given, *[None] * len(PARAMETERS[name])]
    alpha, *rest = (
        default if own is None else own
        for own, default in zip(stated, PARAMETERS[name], strict=False)
    )
    if name == "Affine":
        return x * alpha + rest[0]
    if name == "ScaledTanh":
        return e.op("Tanh", x * rest[0]) * alpha
    if name == "HardSigmoid":
        return e.op(name, x, alpha=alpha, beta=rest[0])
    return e.op(name, x, alpha=alpha)
