"""Values that follow from stored numbers and fixed shapes alone, worked out when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import prod

import numpy as np
from onnx import AttributeProto, NodeProto, helper
from onnx.reference import ReferenceEvaluator

from onnxprobe.graph.model import Graph
from onnxprobe.graph.tangent.emitter import Emitter
from onnxprobe.types import Array, TensorType

__all__ = ["Statics"]

# What exporters compute with shapes: exact in any arithmetic that keeps to the types.
_FOLDABLE = frozenset(
    {
        "Abs", "Add", "And", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand",
        "Floor", "Gather", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max",
        "Min", "Mod", "Mul", "Neg", "Not", "Or", "ReduceProd", "ReduceSum", "Reshape", "Shape",
        "Size", "Slice", "Split", "Squeeze", "Sub", "Unsqueeze", "Where",
    }
)  # fmt: skip
# Shapes are short; what is longer is data.
MAX_ELEMENTS = 2**12


class Statics:
    """Reads values that are known without running the model.

    Args:
        graph: The model, for its stored values.
        emitter: For constants written along the way.
        types: Types by name; they may become known later.
        opsets: Versions by domain.
        known: Values that are known beforehand.
    """

    def __init__(
        self,
        graph: Graph,
        emitter: Emitter,
        types: Mapping[str, TensorType],
        opsets: Mapping[str, int],
        known: Mapping[str, Array],
    ) -> None:
        self._graph, self._emitter, self._types = graph, emitter, types
        self._opsets = [
            helper.make_opsetid("" if domain == "ai.onnx" else domain, version)
            for domain, version in opsets.items()
        ]
        self._producers: dict[str, NodeProto] = {}
        self._found: dict[str, Array] = dict(known)
        self._unknown: set[str] = set()

    def note(self, nodes: Iterable[NodeProto]) -> None:
        """Take note of nodes whose outputs may be asked for.

        Args:
            nodes: Nodes whose names stand for one value each in all that is written.
        """
        for node in nodes:
            self._producers.update((name, node) for name in node.output if name)

    def producer(self, name: str) -> NodeProto | None:
        """Return the node that computes a value, if it was noted."""
        return self._producers.get(name)

    def forget_unknown(self) -> None:
        """Look again at what was not known: types have become known since."""
        self._unknown.clear()

    def get(self, name: str) -> Array | None:
        """Return a value.

        Args:
            name: Any value of the graph or of what was written behind it.

        Returns:
            The value; ``None`` if it depends on what is fed, or on sizes that are not fixed.
        """
        pending: list[str] = [name]
        seen: set[str] = set()
        while pending:
            current = pending[-1]
            known = current in self._unknown or self._stored(current) is not None
            if not known and current not in seen:
                seen.add(current)
                pending += [each for each in self._wanted(current) if each not in seen]
                continue
            pending.pop()
            if not known and self._stored(current) is None:
                self._fold(current)
                if current not in self._found:
                    self._unknown.add(current)
        return self._stored(name)

    def _stored(self, name: str) -> Array | None:
        found = self._found.get(name)
        if found is None:
            found = self._emitter.stored(name)
        return self._graph.constant(name) if found is None else found

    def _wanted(self, name: str) -> list[str]:
        """Name what a value is folded from."""
        node = self._producers.get(name)
        if node is None or node.domain not in ("", "ai.onnx") or node.op_type not in _FOLDABLE:
            return []
        return [] if node.op_type in ("Shape", "Size") else [each for each in node.input if each]

    def _fold(self, name: str) -> None:
        node = self._producers.get(name)
        if node is None or node.domain not in ("", "ai.onnx"):
            return
        if node.op_type == "Constant":
            self._read_constant(node)
        elif node.op_type in ("Shape", "Size"):
            self._read_shape(node)
        elif node.op_type in _FOLDABLE:
            read = {each: self._stored(each) for each in node.input if each}
            feeds = {each: array for each, array in read.items() if array is not None}
            if len(feeds) == len(read) and self._is_small(node, feeds):
                self._run(node, feeds)

    def _read_constant(self, node: NodeProto) -> None:
        numbers = ("value", "value_float", "value_floats", "value_int", "value_ints")
        if any(each.name in numbers for each in node.attribute):
            self._run(node, {})

    def _read_shape(self, node: NodeProto) -> None:
        kind = self._types.get(node.input[0])
        sizes = [size for size in (kind and kind.shape) or () if isinstance(size, int)]
        if kind is None or kind.shape is None:
            return
        rank = len(kind.shape)
        ends = {each.name: each.i for each in node.attribute}
        start, end = _bounded(ends.get("start", 0), rank), _bounded(ends.get("end", rank), rank)
        if node.op_type == "Size" and len(sizes) == rank:
            self._found[node.output[0]] = np.array(prod(sizes), np.int64)
        picked = kind.shape[start:end] if node.op_type == "Shape" else (None,)
        if all(isinstance(size, int) for size in picked):
            self._found[node.output[0]] = np.array(picked, np.int64)

    @staticmethod
    def _is_small(node: NodeProto, feeds: Mapping[str, Array]) -> bool:
        if any(array.size > MAX_ELEMENTS for array in feeds.values()):
            return False
        if node.op_type in ("ConstantOfShape", "Expand"):
            sizes = feeds[node.input[-1]].ravel().tolist()
            return all(size >= 0 for size in sizes) and prod(sizes) <= MAX_ELEMENTS
        return all(each.type != AttributeProto.GRAPH for each in node.attribute)

    def _run(self, node: NodeProto, feeds: Mapping[str, Array]) -> None:
        inputs = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in feeds.items()
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
        graph = helper.make_graph([node], "static", inputs, outputs)
        model = helper.make_model(graph, opset_imports=self._opsets)
        try:
            with np.errstate(all="ignore"):
                values = ReferenceEvaluator(model).run(None, dict(feeds))
        except Exception:  # noqa: BLE001 (an evaluator for tests; what it cannot do stays unknown)
            return
        for value, array in zip(outputs, values, strict=True):
            if isinstance(array, np.ndarray | np.generic) and array.size <= MAX_ELEMENTS:
                self._found[value.name] = np.asarray(array)


def _bounded(place: int, rank: int) -> int:
    return min(max(place + rank if place < 0 else place, 0), rank)
