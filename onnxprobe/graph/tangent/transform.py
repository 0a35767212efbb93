"""Forward-mode differentiation of a whole graph, ONNX to ONNX."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import REAL_TYPES, element_type
from onnxprobe.graph.flow import branch_conditions
from onnxprobe.graph.model import Graph, tensor_type
from onnxprobe.graph.names import FreshNames
from onnxprobe.graph.sizes import size_symbols
from onnxprobe.graph.tangent.body import settled
from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.expansion import expand_by_function
from onnxprobe.graph.tangent.guards import guarded
from onnxprobe.graph.tangent.inference import infer_written
from onnxprobe.graph.tangent.lifting import numerical
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.opsets import raise_opset, settle_nodes
from onnxprobe.graph.tangent.registry import (
    NO_RULE,
    OLDEST_OPSET,
    NoRuleError,
    NotDifferentiableError,
    Result,
    UnknownRankError,
    is_flat,
    since_version,
)
from onnxprobe.graph.tangent.rules import EXPANSIONS, RULES
from onnxprobe.graph.tangent.scope import Fallback, Folded, Outcome, Scope, Tangent
from onnxprobe.graph.tangent.statics import Statics
from onnxprobe.graph.tangent.straight import pass_straight_through, quantiser_of
from onnxprobe.types import Array, TensorType

__all__ = ["Differentiated", "differentiate"]

# What a rule raises at a node without the inputs or attributes that its operator must have.
_MALFORMED = (AssertionError, IndexError, KeyError, TypeError, ValueError)


@dataclass
class Differentiated:
    """A graph with tangents.

    Attributes:
        proto: The model: the original graph, and what computes tangents behind it.
        weights: Values of its emptied initializers.
        tangents: Names of the tangents' outputs by tensor; a tensor without one has derivative
            zero.
        sources: Names of the tangents' inputs by source.
        folded: Tensors whose tangents come out in the shape (k·S₀, S₁, ...).
        outcome: Which nodes have no exact rule, and what that means for tensors.
    """

    proto: ModelProto
    weights: Mapping[str, Array]
    tangents: dict[str, str]
    sources: dict[str, str]
    folded: frozenset[str]
    outcome: Outcome


def _walk(scope: Scope, nodes: Iterable[NodeProto]) -> None:
    """Differentiate nodes in order, each behind those whose outputs it reads."""
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
    _walk(inner, written)
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


def differentiate(
    graph: Graph,
    types: Mapping[str, TensorType],
    sources: Sequence[str],
    targets: Sequence[str] | None = None,
    *,
    keep_outputs: bool = True,
    known: Mapping[str, Array] | None = None,
    straight_through: bool = False,
    as_computed: bool = False,
    assumed_ranks: Collection[str] = (),
) -> Differentiated:
    """Extend a graph by tangents.

    Args:
        graph: The model; it is left as it is.
        types: Types of its tensors.
        sources: Float inputs or inner tensors; each gets an input ``X@tangent`` of shape (k, *S).
        targets: Tensors whose tangents become outputs ``T@tangent`` of shape (k, *S); the real
            graph outputs if not given. Where the derivative is identically zero, the output is
            zeros.
        keep_outputs: Whether the outputs of the graph stay outputs, before the tangents.
        known: Values that tensors have wherever the graph will be run.
        straight_through: Whether pairs of QuantizeLinear and DequantizeLinear are differentiated as
            if they did not round.
        as_computed: Whether tangents keep the names and shapes that they are computed in, which
            saves a copy of each: (k, *S), or (k·S₀, S₁, ...), the same elements in the same order.
        assumed_ranks: Tensors whose rank in `types` holds for some inputs only. Where another one
            comes up, the model fails to run, with a message that names the tensor.

    Returns:
        The extended model; nodes that no output needs are left out.

    Raises:
        ModelError: If the graph's opset is too old.
    """
    proto = ModelProto()
    proto.CopyFrom(graph.proto)
    original = graph.opsets.get("ai.onnx", OLDEST_OPSET)
    opset = raise_opset(proto)
    fresh = FreshNames(graph)
    emitter = Emitter(fresh, opset)
    if original < opset:
        settle_nodes(proto, emitter)
    kinds = {kind.name: kind for kind in map(tensor_type, graph.proto.graph.input)}
    kinds |= {
        tensor.name: TensorType(tensor.name, None, tuple(tensor.dims))
        for tensor in graph.proto.graph.initializer
    }
    for tensor in graph.proto.graph.initializer:
        stored = graph.stored_type(tensor.name)
        if stored is not None:
            kinds[tensor.name] = stored
    kinds |= types
    inputs = {name: fresh.name(f"{name}@tangent") for name in sources}
    first = Value(emitter, inputs[sources[0]], "float32")
    directions = emitter.slice(emitter.shape(first), 0, 1)
    opsets = {**graph.opsets, "ai.onnx": opset}
    statics = Statics(graph, emitter, kinds, opsets, known or {})
    scope = Scope(emitter, kinds, statics, directions, opsets, _walk, straight_through)
    scope.assumed.update(assumed_ranks)
    for name in sources:
        dtype = scope.dtype(name) or "float32"
        scope.tangents[name] = Tangent(lead=Value(emitter, inputs[name], dtype))
    order = walk.topological_order(proto.graph.node)
    nodes = [proto.graph.node[index] for index in order]
    if branch_conditions(graph):
        settled(scope, nodes)
    _walk(scope, nodes)
    wanted = targets
    if wanted is None:
        wanted = [name for name in graph.outputs if scope.dtype(name) in REAL_TYPES]
    tangents: dict[str, str] = {}
    folded: set[str] = set()
    taken = set(inputs.values())
    for name in wanted:
        if name in scope.outcome.failed:
            continue
        found = scope.tangents.get(name)
        if as_computed and found is not None:
            value = found.fold or found.lead
            if value is not None and value.name not in taken:
                tangents[name] = value.name
                taken.add(value.name)
                folded.update([name] if found.fold else [])
                continue
        # A source that is also a target has its name taken by the input.
        tangents[name] = fresh.name(f"{name}@tangent")
        emitter.node("Identity", [scope.filled(name)], [tangents[name]])
    if not keep_outputs:
        del proto.graph.output[:]
    known_symbols = size_symbols(graph)
    symbol = next(name for name in _symbols() if name not in known_symbols)
    _finish(proto, scope, inputs, tangents, folded, symbol)
    return Differentiated(
        proto,
        {
            each.name: graph.weights[each.name]
            for each in proto.graph.initializer
            if each.name in graph.weights
        },
        tangents,
        inputs,
        frozenset(folded),
        scope.outcome,
    )


def _symbols() -> Iterator[str]:
    """Name the number of directions, and name it otherwise where the model means something else."""
    yield "k"
    yield from (f"k{number}" for number in count(2))


def _finish(
    proto: ModelProto,
    scope: Scope,
    inputs: Mapping[str, str],
    tangents: Mapping[str, str],
    folded: Collection[str],
    symbol: str,
) -> None:
    graph, emitter = proto.graph, scope.emitter
    order = walk.topological_order(graph.node)
    nodes = [graph.node[index] for index in order] + emitter.nodes
    outputs = [value.name for value in graph.output] + list(tangents.values())
    nodes = walk.needed_nodes(nodes, outputs)
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    read = walk.read_names(kept)
    _drop_unread(graph, read.union(outputs))
    graph.initializer.extend(each for each in emitter.initializers if each.name in read)
    for name, tangent in inputs.items():
        graph.input.append(_info(scope, name, tangent, symbol))
    for name, tangent in tangents.items():
        if name in folded:
            kind = element_type(scope.dtype(name) or "float32")
            graph.output.append(helper.make_tensor_value_info(tangent, kind, None))
        else:
            graph.output.append(_info(scope, name, tangent, symbol))
    written = {node.domain for node in kept}
    present = {entry.domain for entry in proto.opset_import}
    proto.opset_import.extend(
        helper.make_opsetid(domain, 1) for domain in sorted(written - present - {"", "ai.onnx"})
    )


def _drop_unread(graph: GraphProto, read: Collection[str]) -> None:
    """Drop stored values that nothing reads: the runtime refuses to be handed their arrays."""
    unread = {each.name for each in graph.initializer if each.name not in read}
    for place in reversed(range(len(graph.initializer))):
        if graph.initializer[place].name in unread:
            del graph.initializer[place]
    # A stored value may be the default of an input, which must then go as well.
    for place in reversed(range(len(graph.input))):
        if graph.input[place].name in unread:
            del graph.input[place]


def _info(scope: Scope, name: str, tangent: str, symbol: str) -> ValueInfoProto:
    kind = scope.types.get(name)
    dtype = element_type((kind and kind.dtype) or "float32")
    sizes = None if kind is None or name in scope.assumed else kind.shape
    shape = None if sizes is None else [symbol, *sizes]
    return helper.make_tensor_value_info(tangent, dtype, shape)
