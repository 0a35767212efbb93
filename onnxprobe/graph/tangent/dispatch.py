"""Choosing how a node is differentiated: by rule, by expansion, or by differences of it alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from onnx import NodeProto

from onnxprobe.graph import walk
from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.expansion import expand_by_function
from onnxprobe.graph.tangent.guards import guarded
from onnxprobe.graph.tangent.inference import infer_written
from onnxprobe.graph.tangent.lifting import numerical
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import (
    NO_RULE,
    NoRuleError,
    NotDifferentiableError,
    Result,
    UnknownRankError,
    is_flat,
    since_version,
)
from onnxprobe.graph.tangent.rules import EXPANSIONS, RULES
from onnxprobe.graph.tangent.scope import Fallback, Folded, Scope, Tangent
from onnxprobe.graph.tangent.straight import pass_straight_through, quantiser_of

__all__ = ["differentiate_nodes"]

# What a rule raises at a node without the inputs or attributes that its operator must have.
_MALFORMED = (AssertionError, IndexError, KeyError, TypeError, ValueError)


def differentiate_nodes(scope: Scope, nodes: Iterable[NodeProto]) -> None:
    """Differentiate nodes in order, each behind those whose outputs it reads.

    Args:
        scope: What is known; tangents are added to it, and what became of the nodes.
        nodes: The nodes.
    """
    nodes = list(nodes)
    scope.statics.note(nodes)
    for place, node in enumerate(nodes):
        unknown = [name for name in node.output if name and not scope.has_rank(name)]
        _differentiate_node(scope, node)
        if any(map(scope.has_rank, unknown)):
            # A body told what inference did not find, and what follows may depend on it, as far as
            # the next body.
            rest = range(place + 1, len(nodes))
            end = next((each for each in rest if any(walk.body_graphs(nodes[each]))), len(nodes))
            infer_written(scope, nodes[place + 1 : end + 1])


def _differentiate_node(scope: Scope, node: NodeProto) -> None:
    outcome = scope.outcome
    read = [*filter(None, node.input), *walk.outer_names(node)]
    outputs = [name for name in node.output if name and name not in scope.tangents]
    bad = next((name for name in read if name in outcome.failed), None)
    if bad is not None:
        why = outcome.failed[bad]
        outcome.failed.update((name, why) for name in outputs if scope.is_real(name))
    quantiser = quantiser_of(scope, node)
    if quantiser is None and not any(name in scope.tangents for name in read):
        return
    if not any(scope.is_real(name) for name in outputs):
        return
    if is_flat(node):
        return
    if quantiser is not None:
        read = [quantiser.input[0]]
    inexact = any(name in outcome.inexact for name in read)
    before = len(outcome.numerical)
    label, operator = node.name or outputs[0], walk.operator_name(node)
    try:
        if quantiser is not None:
            results: Sequence[Result] = [pass_straight_through(scope, quantiser, node)]
            outcome.straight.append(label)
        else:
            results = _results(Node(node, scope), label, operator)
        results = guarded(scope, node, results)
    except NoRuleError as error:
        why = _told(label, operator, error)
        outcome.failed.update((name, why) for name in outputs if scope.is_real(name))
        return
    depth = 1 + max(outcome.depths.get(name, 0) for name in read)
    for name, result in zip(node.output, results, strict=False):
        if not name or result is None or not scope.is_real(name) or name in scope.tangents:
            continue
        if isinstance(result, Folded):
            scope.tangents[name] = Tangent(fold=result.value)
        else:
            scope.tangents[name] = Tangent(lead=result)
        outcome.depths[name] = depth
        if inexact or len(outcome.numerical) > before:
            outcome.inexact.add(name)


def _results(node: Node, label: str, operator: str) -> Sequence[Result]:
    """Return the tangents of a node's outputs: exact ones, or by differences of it alone."""
    results = _exact(node)
    if isinstance(results, NoRuleError):
        reason = results
        results = _numerical(node, reason)
        node.scope.outcome.numerical.append(Fallback(label, operator, str(reason)))
    return results


# Domains whose operators ONNX Runtime brings along.
RUNNABLE = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
# Joins the name of a node to what happened inside it.
_HOLDS = " holds "


def _told(label: str, operator: str, error: NoRuleError) -> str:
    """Say where and why there is no derivative: the outermost node, and the one inside it."""
    if error.inside:
        return f"{label} ({operator}){_HOLDS}{str(error).rsplit(_HOLDS, 1)[-1]}"
    return f"{label} ({operator}): {error}"


def _numerical(node: Node, reason: NoRuleError) -> Sequence[Result]:
    """Difference a node that has no exact rule."""
    if isinstance(reason, NotDifferentiableError) or any(walk.body_graphs(node.proto)):
        raise reason
    if node.proto.domain not in RUNNABLE:
        # It may round, draw or remember: differences of it would only pretend to mean something.
        raise NotDifferentiableError(
            f"nothing is known of operators of the domain {node.proto.domain!r}, which ONNX "
            "Runtime does not have either; export the model with ONNX's own operators"
        )
    mark = len(node.e.nodes)
    try:
        return numerical(node)
    except UnknownRankError:
        del node.e.nodes[mark:]
        raise reason from None
    except NoRuleError as error:
        del node.e.nodes[mark:]
        raise NoRuleError(f"{reason}; {error}", inside=reason.inside) from error


def _exact(node: Node) -> Sequence[Result] | NoRuleError:
    """Return tangents by rule or expansion, or why there are none."""
    proto, e, scope = node.proto, node.e, node.scope
    version = since_version(proto.domain, proto.op_type, scope.opsets)
    attempts: list[Callable[[], Sequence[Result]]] = []
    rule = RULES.find(proto.domain, proto.op_type, version)
    if rule is not None:
        attempts.append(partial(rule, node))
    expansion = EXPANSIONS.find(proto.domain, proto.op_type, version)
    if expansion is not None:
        attempts.append(lambda: _expanded(node, lambda: expansion(node)))
    attempts.append(lambda: _expanded(node, lambda: expand_by_function(node)))
    read = [*proto.input, *walk.outer_names(proto)]
    saved = scope.tangents.saved(read)
    reason: NoRuleError | None = None
    differenced = len(scope.outcome.numerical)
    for attempt in attempts:
        mark = len(e.nodes)
        try:
            return attempt()
        except NoRuleError as error:
            why = error
        except _MALFORMED as error:
            why = NoRuleError(f"its rule failed ({type(error).__name__}: {error})")
        # What was written is gone, and so are layouts of tangents that it made.
        del e.nodes[mark:], scope.outcome.numerical[differenced:]
        scope.tangents.restore(saved)
        if isinstance(why, NotDifferentiableError):
            return why
        # The first reason tells most, unless it only says that there was nothing to try.
        reason = why if reason is None or str(reason) == NO_RULE else reason
    return reason or NoRuleError(NO_RULE)


def _expanded(node: Node, write: Callable[[], Sequence[Value | None]]) -> Sequence[Result]:
    e, scope = node.e, node.scope
    mark = len(e.nodes)
    outputs = write()
    written = list(e.nodes[mark:])
    for place, output in enumerate(outputs):
        # The expansion has the type of what it stands for.
        name = node.proto.output[place] if place < len(node.proto.output) else ""
        if output is not None and name in scope.types:
            scope.types[output.name] = replace(scope.types[name], name=output.name)
    infer_written(scope, written)
    inner = scope.inner()
    differentiate_nodes(inner, written)
    if inner.outcome.failed:
        raise NoRuleError(next(iter(inner.outcome.failed.values())), inside=True)
    if inner.outcome.numerical:
        first = inner.outcome.numerical[0]
        raise NoRuleError(f"{first.node} ({first.operator}): {first.reason}", inside=True)
    results: list[Result] = []
    for output in outputs:
        tangent = inner.tangents.get(output.name) if output is not None else None
        if tangent is None:
            results.append(None)
        elif tangent.fold is not None:
            results.append(Folded(tangent.fold))
        else:
            results.append(tangent.lead)
    return results
