"""Forward-mode differentiation of a whole graph, ONNX to ONNX."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from onnxprobe.errors import ModelError
from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import REAL_TYPES, element_type
from onnxprobe.graph.model import Graph, tensor_type
from onnxprobe.graph.names import FreshNames
from onnxprobe.graph.tangent.emitter import OLDEST_OPSET, Emitter, Value
from onnxprobe.graph.tangent.expansion import expand_by_function
from onnxprobe.graph.tangent.inference import infer_written
from onnxprobe.graph.tangent.lifting import numerical
from onnxprobe.graph.tangent.node import Fallback, Folded, Node, Outcome, Scope, Tangent
from onnxprobe.graph.tangent.registry import NoRuleError, Result, since_version
from onnxprobe.graph.tangent.rules import EXPANSIONS, RULES, ZERO
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
        outcome: Which nodes have no exact rule, and what that means for tensors.
    """

    proto: ModelProto
    weights: Mapping[str, Array]
    tangents: dict[str, str]
    sources: dict[str, str]
    outcome: Outcome


class _Constants(Mapping[str, "Array"]):
    """Stored values of a model and of what was written to it."""

    def __init__(self, graph: Graph, emitter: Emitter) -> None:
        self._graph, self._emitter = graph, emitter

    def __getitem__(self, name: str) -> Array:
        found = self._emitter.stored(name)
        if found is None:
            found = self._graph.constant(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (
            self._emitter.stored(name) is not None or self._graph.constant(name) is not None
        )

    def __iter__(self) -> Iterable[str]:  # type: ignore[override]
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


def _walk(scope: Scope, nodes: Iterable[NodeProto]) -> None:
    """Differentiate nodes in order, each behind those whose outputs it reads."""
    for node in nodes:
        _differentiate_node(scope, node)


def _differentiate_node(scope: Scope, node: NodeProto) -> None:
    outcome = scope.outcome
    read = [*filter(None, node.input), *walk.outer_names(node)]
    outputs = [name for name in node.output if name and name not in scope.tangents]
    bad = next((name for name in read if name in outcome.failed), None)
    if bad is not None:
        why = outcome.failed[bad]
        outcome.failed.update((name, why) for name in outputs if scope.is_real(name))
    if not any(name in scope.tangents for name in read):
        return
    if not any(scope.is_real(name) for name in outputs):
        return
    if (node.domain, node.op_type) in ZERO:
        return
    inexact = any(name in outcome.inexact for name in read)
    before = len(outcome.numerical)
    view = Node(node, scope)
    results = _exact(view)
    if isinstance(results, str):
        label, reason = node.name or outputs[0], results
        mark = len(scope.emitter.nodes)
        try:
            results = numerical(view)
        except NoRuleError as error:
            del scope.emitter.nodes[mark:]
            reason = f"{label} ({walk.operator_name(node)}): {reason}; {error}"
            outcome.failed.update((name, reason) for name in outputs if scope.is_real(name))
            return
        outcome.numerical.append(Fallback(label, walk.operator_name(node), reason))
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


def _exact(node: Node) -> Sequence[Result] | str:
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
    saved = {name: replace(scope.tangents[name]) for name in read if name in scope.tangents}
    reason = "no rule"
    for attempt in attempts:
        mark = len(e.nodes)
        try:
            return attempt()
        except NoRuleError as error:
            # What was written is gone, and so are layouts of tangents that it made.
            del e.nodes[mark:]
            scope.tangents.update({name: replace(each) for name, each in saved.items()})
            if reason == "no rule":
                reason = str(error)
        except _MALFORMED as error:
            del e.nodes[mark:]
            scope.tangents.update({name: replace(each) for name, each in saved.items()})
            reason = f"its rule failed ({type(error).__name__}: {error})"
    return reason


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
        raise NoRuleError(next(iter(inner.outcome.failed.values())))
    if inner.outcome.numerical:
        first = inner.outcome.numerical[0]
        raise NoRuleError(f"{first.operator} inside it: {first.reason}")
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

    Returns:
        The extended model; nodes that no output needs are left out.

    Raises:
        ModelError: If the graph's opset is too old.
    """
    proto = ModelProto()
    proto.CopyFrom(graph.proto)
    opset = _raise_opset(proto)
    fresh = FreshNames(graph)
    emitter = Emitter(fresh, opset)
    known = {kind.name: kind for kind in map(tensor_type, graph.proto.graph.input)}
    known |= {
        tensor.name: TensorType(tensor.name, None, tuple(tensor.dims))
        for tensor in graph.proto.graph.initializer
    }
    for tensor in graph.proto.graph.initializer:
        stored = graph.stored_type(tensor.name)
        if stored is not None:
            known[tensor.name] = stored
    known |= types
    inputs = {name: fresh.name(f"{name}@tangent") for name in sources}
    first = Value(emitter, inputs[sources[0]], "float32")
    count = emitter.slice(emitter.shape(first), 0, 1)
    opsets = {**graph.opsets, "ai.onnx": opset}
    scope = Scope(emitter, known, _Constants(graph, emitter), count, opsets, _walk)
    for name in sources:
        dtype = scope.dtype(name) or "float32"
        scope.tangents[name] = Tangent(lead=Value(emitter, inputs[name], dtype))
    nodes = graph.proto.graph.node
    _walk(scope, (nodes[index] for index in walk.topological_order(nodes)))
    wanted = targets
    if wanted is None:
        wanted = [name for name in graph.outputs if scope.dtype(name) in REAL_TYPES]
    tangents = {}
    for name in wanted:
        if name not in scope.outcome.failed:
            # A source that is also a target has its name taken by the input.
            tangents[name] = fresh.name(f"{name}@tangent")
            emitter.node("Identity", [scope.filled(name)], [tangents[name]])
    if not keep_outputs:
        del proto.graph.output[:]
    _finish(proto, scope, inputs, tangents)
    return Differentiated(
        proto,
        {
            each.name: graph.weights[each.name]
            for each in proto.graph.initializer
            if each.name in graph.weights
        },
        tangents,
        inputs,
        scope.outcome,
    )


def _raise_opset(proto: ModelProto) -> int:
    """Import at least the opset that tangents need, where the model's operators allow it."""
    for entry in proto.opset_import:
        if entry.domain in ("", "ai.onnx"):
            if entry.version >= OLDEST_OPSET:
                return entry.version
            changed = {node.op_type for node in walk.nodes(proto) if _changes(node, entry.version)}
            if entry.version < 7 or changed:
                what = f" ({', '.join(sorted(changed))})" if changed else ""
                raise ModelError(
                    f"exact derivatives need opset {OLDEST_OPSET}, and the model has opset "
                    f"{entry.version}, from which some operators changed{what}; export it again, "
                    "or use --jacobian fd"
                )
            entry.version = OLDEST_OPSET
            return OLDEST_OPSET
    proto.opset_import.append(helper.make_opsetid("", OLDEST_OPSET))
    return OLDEST_OPSET


def _changes(node: NodeProto, version: int) -> bool:
    """Whether an operator means something else at opset 9 than at 7 or 8."""
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "BatchNormalization":
        return any(each.name == "spatial" and each.i == 0 for each in node.attribute)
    return node.op_type in ("Scan", "Upsample") and version < OLDEST_OPSET


def _finish(
    proto: ModelProto,
    scope: Scope,
    inputs: Mapping[str, str],
    tangents: Mapping[str, str],
) -> None:
    graph, emitter = proto.graph, scope.emitter
    order = walk.topological_order(graph.node)
    nodes = [graph.node[index] for index in order] + emitter.nodes
    outputs = [value.name for value in graph.output] + list(tangents.values())
    nodes = _needed(nodes, outputs)
    kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    read = {name for node in kept for name in [*node.input, *walk.outer_names(node)]}
    _drop_unread(graph, read.union(outputs))
    graph.initializer.extend(each for each in emitter.initializers if each.name in read)
    for name, tangent in inputs.items():
        graph.input.append(_info(scope, name, tangent))
    for name, tangent in tangents.items():
        graph.output.append(_info(scope, name, tangent))
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


def _info(scope: Scope, name: str, tangent: str) -> ValueInfoProto:
    kind = scope.types.get(name)
    dtype = element_type((kind and kind.dtype) or "float32")
    shape = None if kind is None or kind.shape is None else ["k", *kind.shape]
    return helper.make_tensor_value_info(tangent, dtype, shape)


def _needed(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
            wanted |= walk.outer_names(node)
    return kept[::-1]
