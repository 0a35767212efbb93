"""A node as its rule sees it: values, tangents and sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import NodeProto, helper

from onnxprobe.graph.tangent.emitter import Value
from onnxprobe.graph.tangent.registry import NoRuleError
from onnxprobe.graph.tangent.scope import Scope
from onnxprobe.types import Array

__all__ = ["Node", "total"]


class Node:
    """A node of the model, for its rule.

    Args:
        proto: The node.
        scope: What is known around it.
    """

    def __init__(self, proto: NodeProto, scope: Scope) -> None:
        self.proto = proto
        self.scope = scope
        self.e = scope.emitter
        self._attributes = {each.name: each for each in proto.attribute}

    def attr(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return an attribute as a Python value; text as `str`."""
        if name not in self._attributes:
            return default
        value = helper.get_attribute_value(self._attributes[name])
        return value.decode() if isinstance(value, bytes) else value

    def has(self, index: int) -> bool:
        """Tell whether an input is given."""
        return index < len(self.proto.input) and bool(self.proto.input[index])

    def x(self, index: int = 0) -> Value:
        """Return an input of the node."""
        return self.scope.value(self.proto.input[index])

    def y(self, index: int = 0) -> Value:
        """Return an output of the node.

        Raises:
            NoRuleError: If the model does not take it.
        """
        if index >= len(self.proto.output) or not self.proto.output[index]:
            raise NoRuleError(f"output {index} is not computed")
        return self.scope.value(self.proto.output[index])

    def active(self, index: int) -> bool:
        """Tell whether an input has a tangent that is not zero."""
        return self.has(index) and self.proto.input[index] in self.scope.tangents

    @property
    def actives(self) -> list[int]:
        """Which inputs have a tangent that is not zero."""
        return [index for index in range(len(self.proto.input)) if self.active(index)]

    def only(self, *indices: int) -> None:
        """Leave the rule unless all active inputs are among these.

        Raises:
            NoRuleError: If another input is active.
        """
        others = [index for index in self.actives if index not in indices]
        if others:
            raise NoRuleError(f"no rule for a derivative by input {others[0]}")

    def t(self, index: int = 0) -> Value:
        """Return the tangent of an active input, shape (k, *S)."""
        tangent = self.scope.lead(self.proto.input[index])
        assert tangent is not None
        return tangent

    def fold(self, index: int = 0) -> Value:
        """Return the tangent of an active input, shape (k·S₀, S₁, ...)."""
        tangent = self.scope.fold(self.proto.input[index])
        assert tangent is not None
        return tangent

    def filled(self, index: int) -> Value:
        """Return the tangent of any input, shape (k, *S)."""
        return self.scope.filled(self.proto.input[index])

    def shape(self, index: int = 0) -> tuple[int | None, ...]:
        """Return the sizes of an input; see `Scope.shape`."""
        return self.scope.shape(self.proto.input[index])

    def rank(self, index: int = 0) -> int:
        """Return the rank of an input."""
        return len(self.shape(index))

    @property
    def out_shape(self) -> tuple[int | None, ...]:
        """The sizes of the first output."""
        return self.scope.shape(self.proto.output[0])

    def sizes(self, index: int = 0) -> Value:
        """Return the shape of an input as a vector."""
        return self.scope.sizes(self.proto.input[index])

    def out_sizes(self, index: int = 0) -> Value:
        """Return the shape of a tangent of an output, (k, *S), as a vector."""
        e = self.e
        return e.concat([self.scope.directions, self.scope.sizes(self.proto.output[index])])

    def as_output(self, value: Value, index: int = 0) -> Value:
        """Reshape to the shape of a tangent of an output."""
        return self.e.reshape(value, self.out_sizes(index))

    def constant(self, index: int) -> Array | None:
        """Return the value of an input if it is stored in the model, or follows from shapes."""
        return self.scope.statics.get(self.proto.input[index]) if self.has(index) else None

    def integers(self, index: int) -> list[int] | None:
        """Return a stored vector of integers, if an input is one."""
        array = self.constant(index)
        return None if array is None else [int(each) for each in array.ravel()]

    def aligned(self, index: int, rank: int) -> Value:
        """Return a tangent with unit axes behind the directions, as broadcasting to a rank needs.

        Args:
            index: An active input.
            rank: Rank of the result, without the direction axis.

        Returns:
            Shape (k, 1, ..., 1, *S).
        """
        missing = rank - self.rank(index)
        return self.e.unsqueeze(self.t(index), list(range(1, 1 + missing)))

    def axis(self, axis: int, rank: int | None = None) -> int:
        """Return where an axis of a tensor stands in its tangent."""
        return (axis % (self.rank() if rank is None else rank)) + 1

    def repeat(
        self,
        inputs: Mapping[int, Value],
        outputs: int = 1,
        **attributes: Any,  # noqa: ANN401
    ) -> list[str]:
        """Write the same operator with other inputs.

        Args:
            inputs: What replaces inputs, by their place; the others stay.
            outputs: How many outputs.
            **attributes: What replaces attributes; ``None`` drops one.

        Returns:
            Names of the outputs.
        """
        names: list[Value | str | None] = [
            inputs.get(place, name or None) for place, name in enumerate(self.proto.input)
        ]
        kept = {name: each for name, each in self._attributes.items() if name not in attributes}
        return self.e.node(
            self.proto.op_type, names, outputs, self.proto.domain, **kept, **attributes
        )

    def linear(self, value: Value, *, at: int = 0, **attributes: Any) -> Value:  # noqa: ANN401
        """Write the same operator with another input in one place; see `repeat`."""
        (name,) = self.repeat({at: value}, **attributes)
        return Value(self.e, name, value.dtype)


def total(terms: Sequence[Value]) -> Value:
    """Add values up."""
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result
