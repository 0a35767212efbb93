"""A model in two: what is computed up to a cut, and what is computed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from onnx import ModelProto, ValueInfoProto, helper

from onnxprobe.errors import DataError
from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import element_type
from onnxprobe.graph.expose import expose_tensors
from onnxprobe.graph.flow import Reach, trace
from onnxprobe.graph.model import Graph
from onnxprobe.types import Program, TensorType

__all__ = ["Halves", "split_model"]


@dataclass(frozen=True)
class Halves:
    """A model in two.

    Attributes:
        front: From the model's inputs to what is sent.
        back: From what is sent to those outputs that are not sent themselves.
        sent: The cut, and tensors that follow from the shapes of inputs alone and that the second
            half reads.
        outputs: Those of the second half.
    """

    front: Program
    back: Program
    sent: tuple[str, ...]
    outputs: tuple[str, ...]


def split_model(graph: Graph, cut: Sequence[str], types: Mapping[str, TensorType]) -> Halves:
    """Divide a model at a cut.

    Args:
        graph: The model.
        cut: Tensors that everything passes from inputs to outputs.
        types: Types of tensors, as far as they are known.

    Returns:
        The halves.

    Raises:
        DataError: If a tensor is none of the model's, the rest of the model needs an input beside
            the cut, or nothing is left of it.
    """
    for name in cut:
        if name not in graph.producers:
            raise DataError(f"the cut names {name!r}, which no node of the model computes")
    outputs = [name for name in graph.outputs if name not in cut]
    if not outputs:
        raise DataError("every output of the model is in the cut: nothing is left behind it")
    sent = [*cut]
    back = _from(graph, sent, outputs, types)
    if _fed(back, sent):
        sent += _of_shapes(graph, back, cut, types)
        back = _from(graph, sent, outputs, types)
    if fed := _fed(back, sent):
        raise DataError(
            f"{', '.join(cut)} is no cut of the model: what follows also needs its input {fed[0]!r}"
        )
    front = expose_tensors(graph, sent)
    return Halves(
        _described(front, graph, types), _described(back, graph, types), (*sent,), (*outputs,)
    )


def _from(
    graph: Graph, sent: Sequence[str], outputs: Sequence[str], types: Mapping[str, TensorType]
) -> Program:
    unknown = TensorType("", None, None)
    sources = [TensorType(name, types.get(name, unknown).dtype, None) for name in sent]
    return expose_tensors(graph, outputs, sources=sources)


def _fed(back: Program, sent: Sequence[str]) -> list[str]:
    """Name the inputs of the second half that are not sent."""
    graph = ModelProto.FromString(back.proto).graph
    stored = {tensor.name for tensor in graph.initializer}
    return sorted({value.name for value in graph.input} - stored - {*sent})


def _of_shapes(
    graph: Graph, back: Program, cut: Sequence[str], types: Mapping[str, TensorType]
) -> list[str]:
    """Name what the second half reads that follows from the shapes of inputs alone."""
    reached = trace(graph, [kind.name for kind in graph.inputs], types)
    nodes = ModelProto.FromString(back.proto).graph.node
    read = dict.fromkeys(name for node in nodes for name in [*node.input, *walk.outer_names(node)])
    made = {name for node in nodes for name in node.output if reached.get(name) is Reach.SHAPE}
    # Of those, what nothing but shapes reads is computed before the cut.
    wanted = {
        name
        for node in nodes
        if not made.intersection(node.output)
        for name in [*node.input, *walk.outer_names(node)]
    }
    return [name for name in read if name in made and name in wanted and name not in cut]


def _described(program: Program, graph: Graph, types: Mapping[str, TensorType]) -> Program:
    proto = ModelProto.FromString(program.proto)
    declared = {value.name: value for value in graph.proto.graph.output}
    for values in (proto.graph.input, proto.graph.output):
        for value in values:
            _describe(value, declared, types)
    return Program(proto.SerializeToString(), program.weights)


def _describe(
    value: ValueInfoProto,
    declared: Mapping[str, ValueInfoProto],
    types: Mapping[str, TensorType],
) -> None:
    """Declare what is known of a value, which checkers and readers of the file ask for."""
    if value.name in declared:
        value.CopyFrom(declared[value.name])
        return
    kind = types.get(value.name)
    if kind is not None and kind.dtype is not None and not value.type.tensor_type.HasField("shape"):
        value.CopyFrom(
            helper.make_tensor_value_info(
                value.name,
                element_type(kind.dtype),
                None if kind.shape is None else list(kind.shape),
            )
        )
