"""Rewriting a graph so that chosen tensors become outputs, or inputs, and nothing else changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import NUMPY_TYPES, READABLE_TYPES, element_type
from onnxprobe.graph.model import Graph
from onnxprobe.graph.names import FreshNames
from onnxprobe.types import Program, TensorType

__all__ = ["ROWS", "expose_all", "expose_tensors", "readable_names"]

# The symbolic size given to a batch axis that was fixed to 1.
ROWS = "onnxprobe_rows"


def expose_tensors(
    graph: Graph,
    names: Sequence[str],
    *,
    sources: Sequence[TensorType] = (),
    free_axes: Mapping[str, int] | None = None,
    types: Mapping[str, TensorType] | None = None,
) -> Program:
    """Build the part of a graph that computes given tensors, with those tensors as its outputs.

    Args:
        graph: The model.
        names: The tensors to compute, in the order of the outputs.
        sources: Inner tensors that become inputs; what computed them is left out where nothing else
            needs it.
        free_axes: Axis by input name whose declared size is replaced by a symbol, so that several
            rows fit where the model declares one.
        types: Known types. Tensors whose type numpy lacks are cast to float32, under the name that
            `readable_names` tells.

    Returns:
        The program; graph inputs that these tensors do not need are not among its inputs.
    """
    cut = {source.name for source in sources}
    nodes = _needed_nodes(graph, names, cut)
    proto = _shell(graph)
    fresh = FreshNames(graph.names)
    for index in sorted(nodes):
        node = proto.graph.node.add()
        node.CopyFrom(graph.proto.graph.node[index])
        for position, output in enumerate(node.output):
            if output in cut:
                node.output[position] = fresh.name(f"{output}@original")
    read = {name for node in proto.graph.node for name in [*node.input, *walk.outer_names(node)]}
    read.update(names)
    _copy_values(graph, proto, read, free_axes or {})
    for source in sources:
        value = helper.make_tensor_value_info(
            source.name, element_type(source.dtype or "float32"), None
        )
        proto.graph.input.append(value)
    readable = readable_names(graph, names, types or {}, cut)
    for name in names:
        if name in cut:
            # An input that is also an output is not copied by every runtime.
            proto.graph.node.append(helper.make_node("Identity", [name], [readable[name]]))
        elif readable[name] != name:
            proto.graph.node.append(
                helper.make_node("Cast", [name], [readable[name]], to=TensorProto.FLOAT)
            )
        proto.graph.output.append(ValueInfoProto(name=readable[name]))
    weights = {name: array for name, array in graph.weights.items() if name in read}
    return Program(proto.SerializeToString(), weights)


def readable_names(
    graph: Graph,
    names: Iterable[str],
    types: Mapping[str, TensorType],
    sources: Collection[str] = (),
) -> dict[str, str]:
    """Tell under which output name each exposed tensor can be read as a numpy array.

    Args:
        graph: The model.
        names: Tensors.
        types: Known types.
        sources: Inner tensors that are inputs.

    Returns:
        The tensor's own name; that of its cast to float32 where numpy lacks its type; that of its
        copy where it is a source.
    """
    fresh = FreshNames(graph.names)
    spelled = {}
    for name in names:
        dtype = types[name].dtype if name in types else None
        if name in sources:
            spelled[name] = fresh.name(f"{name}@read")
        elif dtype in READABLE_TYPES - NUMPY_TYPES:
            spelled[name] = fresh.name(f"{name}@float32")
        else:
            spelled[name] = name
    return spelled


def expose_all(graph: Graph, types: Mapping[str, TensorType]) -> ModelProto:
    """Make every tensor of the main graph an output of the whole model.

    Args:
        graph: The model.
        types: Types by tensor name, written where known.

    Returns:
        The model with its own outputs first, in their place, then every other tensor under its own
        name, type and shape. Sequences, maps, optional values and strings are left out. Large
        initializers still hold no data: `Graph.weights` has it. An output whose rank is unknown has
        no shape: runtimes take that, onnx's checker does not.
    """
    proto = ModelProto()
    proto.CopyFrom(graph.proto)
    present = {value.name for value in proto.graph.output}
    for node in graph.proto.graph.node:
        for name in filter(None, node.output):
            kind = types.get(name, TensorType(name, None, None))
            if name not in present and kind.kind == "tensor" and kind.dtype != "string":
                proto.graph.output.append(_value_info(name, kind))
                present.add(name)
    described = [value for value in proto.graph.value_info if value.name not in present]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(described)
    return proto


def _value_info(name: str, kind: TensorType) -> ValueInfoProto:
    if kind.dtype is None:
        return ValueInfoProto(name=name)
    return helper.make_tensor_value_info(name, element_type(kind.dtype), kind.shape)


def _needed_nodes(graph: Graph, names: Iterable[str], cut: set[str]) -> set[int]:
    needed: set[int] = set()
    pending = [name for name in names if name not in cut]
    while pending:
        index = graph.producers.get(pending.pop())
        if index is not None and index not in needed:
            needed.add(index)
            node = graph.proto.graph.node[index]
            pending += [name for name in [*node.input, *walk.outer_names(node)] if name not in cut]
    return needed


def _shell(graph: Graph) -> ModelProto:
    proto = ModelProto()
    proto.CopyFrom(ModelProto(ir_version=graph.proto.ir_version))
    proto.opset_import.extend(graph.proto.opset_import)
    proto.graph.name = graph.proto.graph.name or "main"
    return proto


def _copy_values(
    graph: Graph, proto: ModelProto, read: set[str], free_axes: Mapping[str, int]
) -> None:
    source = graph.proto.graph
    for value in source.input:
        if value.name in read:
            kept = proto.graph.input.add()
            kept.CopyFrom(value)
            if value.name in free_axes:
                kept.type.tensor_type.shape.dim[free_axes[value.name]].dim_param = ROWS
    proto.graph.initializer.extend(t for t in source.initializer if t.name in read)
    proto.graph.sparse_initializer.extend(
        t for t in source.sparse_initializer if t.values.name in read
    )
    if not free_axes:
        # Declared types of inner tensors help the runtime, but shapes would contradict a freed
        # axis.
        defined = {name for node in proto.graph.node for name in node.output}
        proto.graph.value_info.extend(v for v in source.value_info if v.name in defined)
