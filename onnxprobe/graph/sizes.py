"""Sizes of a model's inputs, fixed where the model leaves them open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from onnx import ModelProto

from onnxprobe.graph import walk
from onnxprobe.graph.model import Graph

__all__ = ["fix_sizes", "size_symbols"]


def fix_sizes(graph: Graph, sizes: Mapping[str, Sequence[int | str | None]]) -> Graph:
    """Declare sizes of inputs.

    Args:
        graph: The model; it is left as it is.
        sizes: By input, a size for each axis; what is no number stays as it is declared.

    Returns:
        The same graph with these inputs. Declared shapes of other tensors are dropped: they may
        speak of symbols that stand for numbers now.
    """
    proto = ModelProto()
    proto.CopyFrom(graph.proto)
    for value in proto.graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims, sizes.get(value.name, ()), strict=False):
            if isinstance(size, int):
                dim.dim_value = size
    del proto.graph.value_info[:]
    return replace(graph, proto=proto)


def size_symbols(graph: Graph) -> set[str]:
    """Return the names under which a model leaves sizes open, anywhere.

    Args:
        graph: The model.

    Returns:
        The symbols.
    """
    kinds = walk.tensor_types(graph.proto)
    return {dim.dim_param for kind in kinds for dim in kind.shape.dim if dim.dim_param}
