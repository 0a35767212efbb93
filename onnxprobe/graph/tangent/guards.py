"""Ranks that only a run told: what is written for them refuses to run at others."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import NodeProto

from onnxprobe.graph import walk
from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.registry import Result
from onnxprobe.graph.tangent.scope import Folded, Scope

__all__ = ["guarded"]


def guarded(scope: Scope, node: NodeProto, results: Sequence[Result]) -> Sequence[Result]:
    """Make tangents depend on the ranks that were assumed to write them.

    Args:
        scope: What is known.
        node: The node whose outputs they belong to.
        results: The tangents.

    Returns:
        The same tangents, which no run gives where a rank is another one.
    """
    # An input that has a tangent was checked where that was made.
    read = [name for name in node.input if name not in scope.tangents]
    wanted = [
        name for name in [*read, *walk.outer_names(node), *node.output] if name in scope.assumed
    ]
    if not wanted or all(each is None for each in results):
        return results
    zero = scope.emitter.concat([_checked(scope, name) for name in dict.fromkeys(wanted)])
    zero = scope.emitter.slice(zero, 0, 1)

    def tied(value: Value) -> Value:
        e = scope.emitter
        return e.reshape(value, e.shape(value) + zero)

    return [
        Folded(tied(each.value)) if isinstance(each, Folded) else each and tied(each)
        for each in results
    ]


def _checked(scope: Scope, name: str) -> Value:
    """Write a vector [0], which cannot be computed where a value has another rank."""
    e, rank = scope.emitter, len(scope.shape(name))
    scope.outcome.assumed[name] = rank
    # A Reshape to zero elements would take any number.
    lengthened = e.concat([e.shape(scope.value(name)), e.constant([0])])
    checked = e.reshape(lengthened, [rank + 1])
    e.nodes[-1].name = e.fresh(f"the rank of {name} must be {rank}")
    return e.slice(checked, rank, rank + 1)
