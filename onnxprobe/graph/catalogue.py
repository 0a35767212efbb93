"""The inventory: every tensor a model computes, and why some of them cannot be measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from onnx import GraphProto, ModelProto, NodeProto, shape_inference

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import READABLE_TYPES
from onnxprobe.graph.model import Graph, tensor_type
from onnxprobe.types import TensorType

__all__ = ["TensorInfo", "catalogue", "infer_types", "obstacle"]


@dataclass(frozen=True)
class TensorInfo:
    """One intermediate tensor: neither graph input nor initializer.

    Attributes:
        name: Its name; for a tensor inside a body, the path of nodes that leads to it.
        op_type: The operator that produces it, with its domain unless that is the default one.
        node: The producing node's name, or ``"#index"`` where it has none.
        parents: Names of the tensors, inputs and initializers its producer reads, bodies included.
        type: What is known of its type without running the model.
        is_output: Whether it is a graph output.
        skip: Why it cannot be measured; ``None`` if nothing is known to be in the way.
    """

    name: str
    op_type: str
    node: str
    parents: tuple[str, ...]
    type: TensorType
    is_output: bool = False
    skip: str | None = None


def catalogue(graph: Graph, types: Mapping[str, TensorType]) -> tuple[TensorInfo, ...]:
    """List every tensor of a model.

    Args:
        graph: The model.
        types: Types by tensor name, as `infer_types` or a runtime knows them.

    Returns:
        The tensors of the main graph in the order of its nodes, then those inside bodies.
    """
    outputs = set(graph.outputs)
    listed: list[TensorInfo] = []
    inner: list[TensorInfo] = []
    for index, node in enumerate(graph.proto.graph.node):
        label = node.name or f"#{index}"
        parents = tuple(dict.fromkeys([*filter(None, node.input), *sorted(walk.outer_names(node))]))
        operator = walk.operator_name(node)
        for name in filter(None, node.output):
            kind = types.get(name, TensorType(name, None, None))
            info = TensorInfo(name, operator, label, parents, kind, name in outputs, obstacle(kind))
            listed.append(info)
        inner += _body_tensors(node, label)
    return tuple(_distinct(listed + inner))


def _body_tensors(node: NodeProto, label: str) -> Iterator[TensorInfo]:
    pending: list[tuple[str, GraphProto]] = [(label, body) for body in walk.body_graphs(node)]
    for path, graph in pending:
        for index, inner in enumerate(graph.node):
            inner_label = f"{path}/{inner.name or f'#{index}'}"
            for name in filter(None, inner.output):
                yield TensorInfo(
                    f"{path}/{name}",
                    walk.operator_name(inner),
                    inner_label,
                    (),
                    TensorType(name, None, None),
                    skip="not exposed: control flow",
                )
            pending += [(inner_label, body) for body in walk.body_graphs(inner)]


def _distinct(tensors: list[TensorInfo]) -> Iterator[TensorInfo]:
    # The two branches of an If may use the same names.
    seen: set[str] = set()
    copies: Counter[str] = Counter()
    for tensor in tensors:
        name = tensor.name
        while name in seen:
            copies[tensor.name] += 1
            name = f"{tensor.name}#{copies[tensor.name] + 1}"
        seen.add(name)
        yield replace(tensor, name=name)


def obstacle(kind: TensorType) -> str | None:
    """Say why values of a type cannot be measured.

    Args:
        kind: A type.

    Returns:
        The reason; ``None`` for numbers and for types that are not known yet. Declared shapes are
        no reason: exporters write 0 for sizes they do not know.
    """
    if kind.kind != "tensor":
        return f"not numeric: {'an' if kind.kind == 'optional' else 'a'} {kind.kind}"
    if kind.dtype == "string":
        return "not numeric: strings"
    if kind.dtype is not None and kind.dtype.startswith("complex"):
        return "not real: complex numbers"
    if kind.dtype is not None and kind.dtype not in READABLE_TYPES:
        return f"not readable: type {kind.dtype}"
    return None


def infer_types(
    graph: Graph, *, follow_shapes: bool = False, believe: bool = True
) -> dict[str, TensorType]:
    """Infer the types of a model's tensors from its operators.

    Native code reads the model here: call it where a crash costs little.

    Args:
        graph: The model.
        follow_shapes: Whether sizes that the model computes are followed as well, which takes
            longer.
        believe: Whether what the model declares of tensors that it computes is believed.

    Returns:
        Types by tensor name; declared ones where inference fails.
    """
    proto = _without_impossible_sizes(graph.proto)
    if not believe:
        # Nothing is inferred of outputs, whose types must be declared.
        del proto.graph.value_info[:], proto.graph.output[:]
    try:
        inferred = shape_inference.infer_shapes(proto, data_prop=follow_shapes)
    except Exception:  # noqa: BLE001 (whatever the native code throws, the declared types remain)
        inferred = proto
    values = [*inferred.graph.value_info, *inferred.graph.output]
    return {value.name: tensor_type(value) for value in values}


def _without_impossible_sizes(proto: ModelProto) -> ModelProto:
    # Some exporters write -1 for a size they do not know, and inference computes with it.
    copy = ModelProto()
    copy.CopyFrom(proto)
    for kind in walk.tensor_types(copy):
        for size in kind.shape.dim:
            if size.dim_value < 0:
                size.ClearField("dim_value")
    return copy
