"""Forward-mode differentiation of a whole graph, ONNX to ONNX."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto, helper

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import REAL_TYPES, element_type
from onnxprobe.graph.flow import branch_conditions
from onnxprobe.graph.model import Graph, tensor_type
from onnxprobe.graph.names import FreshNames
from onnxprobe.graph.sizes import size_symbols
from onnxprobe.graph.tangent.body import settled
from onnxprobe.graph.tangent.dispatch import differentiate_nodes
from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.opsets import raise_opset, settle_nodes
from onnxprobe.graph.tangent.registry import OLDEST_OPSET
from onnxprobe.graph.tangent.scope import Outcome, Scope, Tangent
from onnxprobe.graph.tangent.statics import Statics
from onnxprobe.types import Array, TensorType

__all__ = ["Differentiated", "differentiate"]


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
        types: Types of the model's tensors, as far as they are known.
    """

    proto: ModelProto
    weights: Mapping[str, Array]
    tangents: dict[str, str]
    sources: dict[str, str]
    folded: frozenset[str]
    outcome: Outcome
    types: Mapping[str, TensorType]


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
    fresh = FreshNames(graph.names)
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
    scope = Scope(
        emitter, kinds, statics, directions, opsets, differentiate_nodes, straight_through
    )
    scope.assumed.update(assumed_ranks)
    for name in sources:
        dtype = scope.dtype(name) or "float32"
        scope.tangents[name] = Tangent(lead=Value(emitter, inputs[name], dtype))
    order = walk.topological_order(proto.graph.node)
    nodes = [proto.graph.node[index] for index in order]
    if branch_conditions(graph):
        settled(scope, nodes)
    differentiate_nodes(scope, nodes)
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
        scope.types,
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
