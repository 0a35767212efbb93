"""Writing new nodes: values with arithmetic, and operators spelled as each opset wants them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    NodeProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
    defs,
    helper,
    numpy_helper,
)

from onnxprobe.graph.dtypes import element_type
from onnxprobe.graph.names import FreshNames
from onnxprobe.graph.tangent.registry import NoRuleError
from onnxprobe.graph.tangent.value import Operand, Value
from onnxprobe.types import Array

__all__ = ["Emitter", "Operand", "Typed", "Value"]


# From here on, Reshape can be told that a size of 0 is meant.
KEEPS_ZEROS = 14
# Name, type and sizes of a body's input or output; ``None`` where unknown. What is no tensor has a
# type of onnx's.
Typed: TypeAlias = "tuple[str, str | TypeProto | None, Sequence[int | str | None] | None]"


class Emitter:
    """Writes nodes into a graph.

    Args:
        names: Names that are free.
        opset: Version of the default domain.
    """

    def __init__(self, names: FreshNames, opset: int) -> None:
        self.opset = opset
        self.domains: dict[str, int] = {}
        self._names = names
        self._scopes: list[list[NodeProto]] = [[]]
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self.initializers: list[TensorProto] = []
        self._stored: dict[str, Array] = {}

    @property
    def nodes(self) -> list[NodeProto]:
        """Nodes written into the graph or body that is open."""
        return self._scopes[-1]

    @contextmanager
    def body(self) -> Iterator[list[NodeProto]]:
        """Open a body: nodes written meanwhile go into it.

        Yields:
            Its nodes.
        """
        self._scopes.append([])
        try:
            yield self._scopes[-1]
        finally:
            self._scopes.pop()

    @contextmanager
    def continued(self, nodes: list[NodeProto]) -> Iterator[None]:
        """Go on writing into a body: nodes written meanwhile follow these.

        Args:
            nodes: Its nodes so far.
        """
        self._scopes.append(nodes)
        try:
            yield
        finally:
            self._scopes.pop()

    def fresh(self, wanted: str) -> str:
        """Return a name that stands for nothing yet.

        Args:
            wanted: How the value should be called.

        Returns:
            That, or one like it.
        """
        return self._names.name(wanted)

    def node(
        self,
        operator: str,
        inputs: Sequence[Value | str | None],
        outputs: int | Sequence[str] = 1,
        domain: str = "",
        **attributes: Any,  # noqa: ANN401 (whatever ONNX takes)
    ) -> list[str]:
        """Write a node.

        Args:
            operator: Its type.
            inputs: Values or names; ``None`` for an optional input that is left out.
            outputs: How many outputs, or their names.
            domain: The operator's domain.
            **attributes: Attributes; those that are ``None`` are left out.

        Returns:
            Names of the outputs.

        Raises:
            NoRuleError: If the opset has no such operator.
        """
        if domain == "" and not _is_defined(operator, self.opset):
            raise NoRuleError(f"its derivative needs {operator}, which opset {self.opset} lacks")
        if isinstance(outputs, int):
            outputs = [self.fresh(f"{operator}@{index}") for index in range(outputs)]
        names = [each.name if isinstance(each, Value) else each or "" for each in inputs]
        while names and not names[-1]:
            names.pop()
        made = helper.make_node(operator, names, outputs, domain=domain)
        for key, value in attributes.items():
            if isinstance(value, AttributeProto):
                made.attribute.append(value)
            elif value is not None:
                made.attribute.append(helper.make_attribute(key, value))
        self.nodes.append(made)
        return list(outputs)

    def op(self, operator: str, *inputs: Value, **attributes: Any) -> Value:  # noqa: ANN401
        """Write a node with one output of the type of its first input.

        Args:
            operator: Its type.
            *inputs: Values.
            **attributes: Attributes.

        Returns:
            The output.
        """
        (name,) = self.node(operator, inputs, **attributes)
        return Value(self, name, inputs[0].dtype)

    def compare(self, operator: str, first: Value, second: Value) -> Value:
        """Write a comparison.

        Args:
            operator: Its type.
            first: A value.
            second: One of the same type.

        Returns:
            A value of type bool.
        """
        (name,) = self.node(operator, [first, second])
        return Value(self, name, "bool")

    def both(self, first: Value, second: Value) -> Value:
        """Return whether two values of type bool are both true."""
        return self.op("And", first, second)

    def negate(self, value: Value) -> Value:
        """Return the contrary of a value of type bool."""
        return self.op("Not", value)

    def constant(self, array: Array | Sequence[int]) -> Value:
        """Store a constant; equal ones are stored once.

        Args:
            array: The array; a sequence of integers becomes int64.

        Returns:
            The value.
        """
        array = np.asarray(array, None if isinstance(array, np.ndarray) else np.int64)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._constants:
            name = self.fresh("constant@tangent")
            self._constants[key] = name
            self._stored[name] = array
            self.initializers.append(numpy_helper.from_array(array, name))
        return Value(self, self._constants[key], str(array.dtype))

    def remember(self, name: str, array: Array) -> None:
        """Note the value of a constant that stands in a body."""
        self._stored[name] = array

    def stored(self, name: str) -> Array | None:
        """Return a constant that was stored here, by name."""
        return self._stored.get(name)

    def scalar(self, value: float, dtype: str) -> Value:
        """Store a number.

        Args:
            value: The number.
            dtype: Its type.

        Returns:
            A value without axes.
        """
        return self.constant(np.array(value, dtype))

    def where(self, condition: Value, yes: Operand, no: Operand) -> Value:
        """Choose elementwise; see numpy.where.

        Args:
            condition: Of type bool.
            yes: A value, or a number where the other is a value.
            no: Likewise.

        Returns:
            The chosen elements.
        """
        typed = yes if isinstance(yes, Value) else no
        assert isinstance(typed, Value)
        picked = [
            each if isinstance(each, Value) else self.scalar(each, typed.dtype)
            for each in (yes, no)
        ]
        (name,) = self.node("Where", [condition, *picked])
        return Value(self, name, typed.dtype)

    def shape(self, value: Value) -> Value:
        """Return the shape of a value as a vector."""
        (name,) = self.node("Shape", [value])
        return Value(self, name, "int64")

    def concat(self, parts: Sequence[Value], axis: int = 0) -> Value:
        """Concatenate along an axis.

        Args:
            parts: Values.
            axis: Which.

        Returns:
            The whole; the part, if there is one.
        """
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=axis)

    def reshape(self, value: Value, shape: Value | Sequence[int]) -> Value:
        """Reshape; −1 is worked out, and a 0 in a list copies the size of that axis."""
        if isinstance(shape, Value) and self.opset >= KEEPS_ZEROS:
            # Sizes that are computed mean what they say: an axis may have no elements.
            return self.op("Reshape", value, shape, allowzero=1)
        return self.op("Reshape", value, self._vector(shape))

    def expand(self, value: Value, shape: Value) -> Value:
        """Broadcast to a shape."""
        return self.op("Expand", value, shape)

    def transpose(self, value: Value, order: Sequence[int]) -> Value:
        """Permute the axes."""
        return value if list(order) == sorted(order) else self.op("Transpose", value, perm=order)

    def _vector(self, values: Value | Sequence[int]) -> Value:
        return values if isinstance(values, Value) else self.constant(values)

    def _over_axes(
        self, operator: str, value: Value, axes: Sequence[int], since: int, **attributes: int
    ) -> Value:
        # Axes became an input at some opset.
        if not axes:
            return value
        if self.opset >= since:
            return self.op(operator, value, self.constant(list(axes)), **attributes)
        return self.op(operator, value, axes=list(axes), **attributes)

    def unsqueeze(self, value: Value, axes: Sequence[int]) -> Value:
        """Insert axes of size 1 at these places of the result."""
        return self._over_axes("Unsqueeze", value, axes, 13)

    def squeeze(self, value: Value, axes: Sequence[int]) -> Value:
        """Remove axes of size 1."""
        return self._over_axes("Squeeze", value, axes, 13)

    def sum(self, value: Value, axes: Sequence[int], *, keep: bool = True) -> Value:
        """Sum over axes; the value itself if there are none."""
        return self._over_axes("ReduceSum", value, axes, 13, keepdims=int(keep))

    def mean(self, value: Value, axes: Sequence[int], *, keep: bool = True) -> Value:
        """Average over axes; the value itself if there are none."""
        return self._over_axes("ReduceMean", value, axes, 18, keepdims=int(keep))

    def prod(self, value: Value, axes: Sequence[int], *, keep: bool = True) -> Value:
        """Multiply over axes; the value itself if there are none."""
        return self._over_axes("ReduceProd", value, axes, 18, keepdims=int(keep))

    def slice(self, value: Value, start: int, stop: int, axis: int = 0) -> Value:
        """Take a range along an axis."""
        if self.opset >= 10:
            bounds = (self.constant([each]) for each in (start, stop, axis))
            return self.op("Slice", value, *bounds)
        return self.op("Slice", value, starts=[start], ends=[stop], axes=[axis])

    def gather(self, value: Value, indices: Value | Sequence[int] | int, axis: int = 0) -> Value:
        """Take elements along an axis; an integer removes the axis."""
        if isinstance(indices, int):
            picked = self.constant(np.array(indices))
        else:
            picked = self._vector(indices)
        return self.op("Gather", value, picked, axis=axis)

    def zeros(self, shape: Value, dtype: str) -> Value:
        """Return zeros of a shape that is computed."""
        return self.expand(self.scalar(0, dtype), shape)

    def sequence_of_zeros(self, value: Value, count: Value) -> Value:
        """Return a sequence of zeros like the tensors of a sequence, with one more leading axis.

        Args:
            value: A sequence of tensors.
            count: The size of the leading axis, as a vector of one element.

        Returns:
            A sequence of as many tensors.
        """
        (length,) = self.node("SequenceLength", [value])
        (start,) = self.node("SequenceEmpty", [], dtype=element_type(value.dtype))
        kind = helper.make_sequence_type_proto(
            helper.make_tensor_type_proto(element_type(value.dtype), None)
        )
        turn, going, before = (self.fresh(each) for each in ("turn", "going", "zeros"))
        with self.body() as nodes:
            (one,) = self.node("SequenceAt", [value, turn])
            sizes = self.concat([count, self.shape(Value(self, one, value.dtype))])
            (after,) = self.node("SequenceInsert", [before, self.zeros(sizes, value.dtype)])
            (still,) = self.node("Identity", [going])
            body = self.graph(
                self.fresh("zeros"),
                nodes,
                [(turn, "int64", ()), (going, "bool", ()), (before, kind, None)],
                [(still, "bool", ()), (after, kind, None)],
            )
        (name,) = self.node("Loop", [length, None, start], body=body)
        return Value(self, name, value.dtype)

    def graph(
        self,
        name: str,
        nodes: Iterable[NodeProto],
        inputs: Iterable[Typed],
        outputs: Iterable[Typed],
    ) -> GraphProto:
        """Make the body of a control-flow node.

        Args:
            name: Its name.
            nodes: Its nodes.
            inputs: Names, types and sizes.
            outputs: Names, types and sizes. The runtime wants the rank of what a Scan gives.

        Returns:
            The body.
        """
        return helper.make_graph(list(nodes), name, _infos(inputs), _infos(outputs))


@cache
def _is_defined(operator: str, opset: int) -> bool:
    try:
        return not defs.get_schema(operator, opset, "").deprecated
    except defs.SchemaError:
        # What onnx took back, a model may still use.
        return not defs.has(operator)


def _infos(values: Iterable[Typed]) -> list[ValueInfoProto]:
    return [_info(*each) for each in values]


def _info(
    name: str, dtype: str | TypeProto | None, shape: Sequence[int | str | None] | None
) -> ValueInfoProto:
    if isinstance(dtype, TypeProto):
        return helper.make_value_info(name, dtype)
    if not dtype:
        return helper.make_empty_tensor_value_info(name)
    return helper.make_tensor_value_info(name, element_type(dtype), shape)
