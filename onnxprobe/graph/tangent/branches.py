"""Derivatives of If: both branches are differentiated, or the one that is always taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from onnx import GraphProto

from onnxprobe.graph.tangent.body import differentiated, taken_branch
from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import NoRuleError, Result, Rules
from onnxprobe.graph.tangent.scope import Folded

__all__ = ["register"]


def _if(node: Node) -> Sequence[Result]:
    branch = taken_branch(node.scope, node.proto)
    if branch is not None:
        return _inlined(node, branch)
    bodies = {
        name: differentiated(node, node.attr(name)) for name in ("then_branch", "else_branch")
    }
    for place, name in enumerate(node.proto.output):
        kinds = [each.scope.types.get(each.graph.output[place].name) for each in bodies.values()]
        known = [kind for kind in kinds if kind is not None and kind.shape is not None]
        if len({len(kind.shape or ()) for kind in known}) == 1 and len(known) == len(kinds):
            node.scope.learn_rank(name, len(known[0].shape or ()), known[0].dtype)
    moving = sorted(set.union(*(each.moving for each in bodies.values())))
    moving = [place for place in moving if node.proto.output[place]]
    results: list[Result] = [None] * len(node.proto.output)
    if not moving:
        return results
    branches: dict[str, Any] = {name: each.write(name, [], moving) for name, each in bodies.items()}
    names = node.e.node("If", [node.x(0)], len(moving), **branches)
    for place, name in zip(moving, names, strict=True):
        results[place] = Value(node.e, name, node.y(place).dtype)
    return results


def _inlined(node: Node, branch: GraphProto) -> Sequence[Result]:
    """Differentiate a branch as if it stood in place of the node."""
    body = differentiated(node, branch)
    if body.graph.sparse_initializer:
        raise NoRuleError("a branch that stores sparse tensors")
    scope, e = node.scope, node.e
    e.initializers.extend(body.graph.initializer)
    e.nodes.extend(body.nodes)
    results: list[Result] = []
    for name, value in zip(node.proto.output, body.graph.output, strict=False):
        known, found = scope.types.get(name), body.scope.types.get(value.name)
        if found is not None and (known is None or known.shape is None):
            scope.types[name] = replace(found, name=name)
        tangent = body.scope.tangents.get(value.name)
        if tangent is not None and tangent.fold is not None:
            results.append(Folded(tangent.fold))
        else:
            results.append(tangent.lead if tangent is not None else None)
    return results


def register(table: Rules) -> None:
    """Add these rules to a table.

    Args:
        table: Where to.
    """
    table.add("If", _if)
