"""A `Graph`: a model ready to be rewritten, and what can be read off it without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from onnx import (
    AttributeProto,
    ModelProto,
    TensorProto,
    TensorShapeProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import NUMPY_TYPES, dtype_name
from onnxprobe.graph.files import FileDigest
from onnxprobe.types import Array, Program, TensorType

__all__ = ["Graph", "tensor_type"]


@dataclass(frozen=True)
class Graph:
    """A model ready to be rewritten.

    The protobuf is kept as it came, apart from three changes that alter no tensor: large
    initializers of the main graph hold no data (it lies in ``weights``), local functions are
    inlined, and external data of bodies and attributes is loaded. onnx-ir is not used to hold it,
    because its round trip drops sparse initializers and refuses some files that ONNX Runtime runs.

    Attributes:
        proto: The model; treat it as read-only.
        weights: Values of the emptied initializers, by name.
        original: The model as given, functions and all, as a runtime takes it.
        files: Digests of the model's file and of each external data file.
        local_functions: How many local functions were inlined.
    """

    proto: ModelProto
    weights: Mapping[str, Array]
    original: Program
    files: tuple[FileDigest, ...]
    local_functions: int = 0

    @cached_property
    def initializers(self) -> frozenset[str]:
        """Names of all dense and sparse initializers of the main graph."""
        graph = self.proto.graph
        names = {tensor.name for tensor in graph.initializer}
        return frozenset(names | {sparse.values.name for sparse in graph.sparse_initializer})

    @cached_property
    def inputs(self) -> tuple[TensorType, ...]:
        """The inputs that must be fed: those without a default value."""
        return tuple(
            tensor_type(value)
            for value in self.proto.graph.input
            if value.name not in self.initializers
        )

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph outputs, each once, in order."""
        return tuple(dict.fromkeys(value.name for value in self.proto.graph.output))

    @cached_property
    def producers(self) -> Mapping[str, int]:
        """Index of the node that produces each tensor of the main graph."""
        return {
            name: index
            for index, node in enumerate(self.proto.graph.node)
            for name in node.output
            if name
        }

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that stands for a value anywhere in the model, bodies included."""
        taken: set[str] = set()
        for graph in (self.proto.graph, *walk.nested_graphs(self.proto.graph)):
            taken |= walk.defined_names(graph)
            taken.update(name for node in graph.node for name in node.input)
        return frozenset(taken)

    @cached_property
    def _constants(self) -> Mapping[str, TensorProto]:
        stored = {tensor.name: tensor for tensor in self.proto.graph.initializer}
        for node in self.proto.graph.node:
            if walk.operator_name(node) == "Constant":
                tensors = filter(None, map(_constant_tensor, node.attribute))
                stored.update(zip(node.output, tensors, strict=False))
        return stored

    def constant(self, name: str) -> Array | None:
        """Read a stored value.

        Args:
            name: An initializer or the output of a Constant node.

        Returns:
            Its value; ``None`` if it is computed, fed, or of a type numpy lacks. An initializer
            that is also an input can be overridden by whoever runs the model, but onnxprobe never
            does.
        """
        kind = self.stored_type(name)
        if kind is None or kind.dtype not in NUMPY_TYPES:
            return None
        if name in self.weights:
            return self.weights[name]
        return numpy_helper.to_array(self._constants[name])

    def stored_type(self, name: str) -> TensorType | None:
        """Tell the type and shape of a stored value.

        Args:
            name: An initializer or the output of a Constant node.

        Returns:
            Its type; ``None`` if it is computed or fed.
        """
        tensor = self._constants.get(name)
        if tensor is None:
            return None
        return TensorType(name, dtype_name(tensor.data_type), tuple(tensor.dims))

    @cached_property
    def opsets(self) -> dict[str, int]:
        """Versions by domain; ``ai.onnx`` is the default domain."""
        return {entry.domain or "ai.onnx": entry.version for entry in self.proto.opset_import}


def _constant_tensor(attribute: AttributeProto) -> TensorProto | None:
    # A Constant stores a tensor, or numbers in an attribute of their own.
    kind, name = TensorProto, attribute.name
    if name == "value":
        return attribute.t
    if name == "value_float":
        return helper.make_tensor(name, kind.FLOAT, [], [attribute.f])
    if name == "value_floats":
        return helper.make_tensor(name, kind.FLOAT, [len(attribute.floats)], attribute.floats)
    if name == "value_int":
        return helper.make_tensor(name, kind.INT64, [], [attribute.i])
    if name == "value_ints":
        return helper.make_tensor(name, kind.INT64, [len(attribute.ints)], attribute.ints)
    return None


def tensor_type(value: ValueInfoProto) -> TensorType:
    """Read the declared type of a graph value.

    Args:
        value: An input, output or value_info entry.

    Returns:
        Its type; ``dtype`` is ``None`` where it is undeclared, and for sequences, maps and
        optionals.
    """
    kind = value.type.WhichOneof("value")
    if kind not in (None, "tensor_type"):
        return TensorType(value.name, None, None, kind.removesuffix("_type").replace("_", " "))
    declared = value.type.tensor_type
    shape: tuple[int | str | None, ...] | None = None
    if declared.HasField("shape"):
        shape = tuple(_size(size) for size in declared.shape.dim)
    return TensorType(value.name, dtype_name(declared.elem_type), shape)


def _size(size: TensorShapeProto.Dimension) -> int | str | None:
    # Some exporters write -1 for a size that is not known.
    if size.HasField("dim_value"):
        return size.dim_value if size.dim_value >= 0 else None
    return size.dim_param or None
