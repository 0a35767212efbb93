"""Where derivatives can start: float inputs, or the embedding that a token model looks up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from onnx import NodeProto

from onnxprobe.errors import DataError
from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import REAL_TYPES
from onnxprobe.graph.flow import Reach, trace
from onnxprobe.graph.model import Graph
from onnxprobe.hints import did_you_mean
from onnxprobe.types import Array, TensorType

__all__ = [
    "ChosenSource",
    "Lookup",
    "choose_source",
    "embedding_lookups",
    "index_limits",
    "lookup_table",
    "source_inputs",
]

# Operators that hand indices on without mixing them with anything else.
_HANDS_ON = frozenset(
    {"Cast", "Clip", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose",
     "Unsqueeze"}
)  # fmt: skip
# Where operators that look something up take their indices and the table.
_TABLES = {
    "Gather": ((1, 0),),
    "com.microsoft.EmbedLayerNormalization": ((0, 2), (1, 4)),
    "com.microsoft.GatherBlockQuantized": ((1, 0),),
}
_INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))


@dataclass(frozen=True)
class Lookup:
    """A node that looks integer inputs up in a float table.

    Attributes:
        tensor: The tensor it produces.
        node: The node's name or operator.
        token_input: The graph input that holds the indices.
        rows: How many rows the table has: the vocabulary.
    """

    tensor: str
    node: str
    token_input: str
    rows: int


@dataclass(frozen=True)
class ChosenSource:
    """What derivatives are taken with respect to.

    Attributes:
        names: Inputs, or one inner tensor; empty if there is nothing to differentiate by.
        is_tensor: Whether it is an inner tensor.
        chosen: Why, in a sentence.
    """

    names: tuple[str, ...]
    is_tensor: bool
    chosen: str


def choose_source(graph: Graph, types: Mapping[str, TensorType], wrt: str | None) -> ChosenSource:
    """Decide what derivatives are taken with respect to.

    Args:
        graph: The model.
        types: Known types of inner tensors.
        wrt: The tensor that the user names, if any.

    Returns:
        The named tensor; else all float inputs; else the lookup in the largest float table.

    Raises:
        DataError: If the named tensor does not exist, is constant or is not real-valued.
    """
    if wrt is not None:
        return _named_source(graph, types, wrt)
    inputs = source_inputs(graph)
    if inputs:
        what = "the float input" if len(inputs) == 1 else "the float inputs, taken together"
        return ChosenSource(tuple(kind.name for kind in inputs), False, what)
    lookups = embedding_lookups(graph, types)
    if not lookups:
        return ChosenSource((), False, "no float source")
    first = lookups[0]
    others = [lookup.tensor for lookup in lookups[1:] if lookup.tensor != first.tensor]
    beside = f"; not chosen: {', '.join(others)}" if others else ""
    sentence = (
        f"the lookup of {first.token_input!r} in the table of {first.rows} rows at node "
        f"{first.node!r}, the largest{beside}"
    )
    return ChosenSource((first.tensor,), True, sentence)


def _named_source(graph: Graph, types: Mapping[str, TensorType], wrt: str) -> ChosenSource:
    inputs = {kind.name: kind for kind in graph.inputs}
    known = inputs.get(wrt) or types.get(wrt, TensorType(wrt, None, None))
    if wrt not in inputs and wrt not in graph.producers:
        if graph.stored_type(wrt) is not None:
            raise DataError(
                f"--wrt names {wrt!r}, which is a weight stored in the model; choose an input or a "
                "tensor that is computed (onnxprobe inspect lists them)"
            )
        hint = did_you_mean(wrt, [*inputs, *graph.producers])
        raise DataError(
            f"--wrt names {wrt!r}, which is no input and no tensor of the main graph{hint}"
            " (onnxprobe inspect lists them)"
        )
    kind = known.dtype if known.kind == "tensor" else known.kind
    if kind is not None and kind not in REAL_TYPES:
        raise DataError(
            f"--wrt names {wrt!r}, whose type is {kind}; derivatives need a float tensor: "
            "choose one that onnxprobe inspect lists with a float type"
        )
    if trace(graph, inputs)[wrt] in (Reach.NONE, Reach.SHAPE):
        raise DataError(
            f"--wrt names {wrt!r}, which is constant: no value of an input reaches it; "
            "choose a tensor that follows an input"
        )
    return ChosenSource((wrt,), wrt not in inputs, "chosen by --wrt")


def source_inputs(graph: Graph) -> tuple[TensorType, ...]:
    """Return the float inputs, with respect to which derivatives are taken by default.

    Args:
        graph: The model.

    Returns:
        The inputs of a real type, in order.
    """
    return tuple(kind for kind in graph.inputs if kind.dtype in REAL_TYPES)


def embedding_lookups(graph: Graph, types: Mapping[str, TensorType]) -> tuple[Lookup, ...]:
    """Find the lookups of token inputs in float tables, the largest table first.

    Args:
        graph: The model.
        types: Known types of inner tensors.

    Returns:
        Lookups by falling number of rows, those of equal size in the order of the graph. Masks,
        one-hot encodings and tables indexed by computed numbers are none.
    """
    found = [
        lookup
        for lookup, table in _lookups(graph)
        if len(table.shape or ()) > 1 and (_inferred(types, lookup) or table.dtype) in REAL_TYPES
    ]
    return tuple(sorted(found, key=lambda lookup: -lookup.rows))


def lookup_table(graph: Graph, tensor: str) -> Array | None:
    """Return the table that a tensor is looked up in.

    Args:
        graph: The model.
        tensor: One of its tensors.

    Returns:
        Shape (rows, d): the tensor's last axis holds rows of it. ``None`` if it is no plain lookup
        in a stored table of floats.
    """
    if tensor not in graph.producers:
        return None
    node = graph.proto.graph.node[graph.producers[tensor]]
    if walk.operator_name(node) != "Gather" or any(each.i for each in node.attribute):
        return None
    table = graph.constant(node.input[0])
    if table is None or table.ndim != 2 or str(table.dtype) not in REAL_TYPES:
        return None
    return table


def _inferred(types: Mapping[str, TensorType], lookup: Lookup) -> str | None:
    return types[lookup.tensor].dtype if lookup.tensor in types else None


def index_limits(graph: Graph) -> dict[str, int]:
    """Find how large the numbers of an integer input may be, from the tables they index.

    Args:
        graph: The model.

    Returns:
        By input name, the rows of the smallest table that it indexes.
    """
    limits: dict[str, int] = {}
    for lookup, _ in _lookups(graph):
        known = limits.get(lookup.token_input, lookup.rows)
        limits[lookup.token_input] = min(lookup.rows, known)
    return limits


def _lookups(graph: Graph) -> Iterator[tuple[Lookup, TensorType]]:
    # Every lookup of an integer input in a stored table, and the table's type.
    holders = _token_inputs(graph)
    for node in graph.proto.graph.node:
        inputs = [*node.input, *[""] * 8]
        for indices, table in _TABLES.get(walk.operator_name(node), ()):
            stored = graph.stored_type(inputs[table])
            token_input = holders.get(inputs[indices])
            if stored is None or token_input is None or not any(node.output[:1]):
                continue
            if rows := _rows(node, stored):
                yield Lookup(node.output[0], node.name or node.op_type, token_input, rows), stored


def _rows(node: NodeProto, table: TensorType) -> int:
    sizes = [size for size in table.shape or () if isinstance(size, int)]
    axis = next((a.i for a in node.attribute if a.name in ("axis", "gather_axis")), 0)
    if not sizes:
        return 0
    return sizes[axis if -len(sizes) <= axis < len(sizes) else 0]


def _token_inputs(graph: Graph) -> dict[str, str]:
    # Every value that holds the indices of an integer input, handed on, and that input.
    holders = {kind.name: kind.name for kind in graph.inputs if kind.dtype in _INTEGERS | {None}}
    nodes = graph.proto.graph.node
    for node in (nodes[index] for index in walk.topological_order(nodes)):
        if walk.operator_name(node) in _HANDS_ON and node.input and node.input[0] in holders:
            holders |= dict.fromkeys(node.output[:1], holders[node.input[0]])
    return holders
