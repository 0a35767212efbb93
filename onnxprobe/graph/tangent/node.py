"""A node as its rule sees it: values, tangents and sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from onnx import NodeProto, helper

from onnxprobe.graph.dtypes import REAL_TYPES
from onnxprobe.graph.names import copied_from
from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.registry import NoRuleError, UnknownRankError
from onnxprobe.graph.tangent.statics import Statics
from onnxprobe.types import Array, TensorType

__all__ = ["Fallback", "Folded", "Node", "Outcome", "Scope", "Tangent", "total"]


LOOPS_CARRY_SEQUENCES = 13
# Kinds of values whose elements may move.
_CARRIERS = ("tensor", "sequence", "optional")


@dataclass(frozen=True)
class Folded:
    """A tangent whose direction axis is folded into the first axis of the tensor.

    Attributes:
        value: Shape (k·S₀, S₁, ...) for a tensor of shape S.
    """

    value: Value


@dataclass
class Tangent:
    """The tangent of a tensor of shape S, in one layout or both.

    Attributes:
        lead: Shape (k, *S), once it was asked for.
        fold: Shape (k·S₀, S₁, ...), once it was asked for.
    """

    lead: Value | None = None
    fold: Value | None = None


@dataclass(frozen=True)
class Fallback:
    """A node that was differentiated numerically.

    Attributes:
        node: Its name, or the name of its first output.
        operator: Its type.
        reason: Why there is no exact rule.
    """

    node: str
    operator: str
    reason: str


@dataclass
class Outcome:
    """What became of the nodes that were walked.

    Attributes:
        numerical: Nodes differentiated by central differences of their own.
        inexact: Tensors behind such nodes.
        failed: Why a tensor has no derivative, for those that should.
        depths: Operators on the longest path from a source, for tensors with a tangent.
        straight: Nodes whose rounding was passed straight through.
    """

    numerical: list[Fallback] = field(default_factory=list)
    inexact: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    straight: list[str] = field(default_factory=list)


@dataclass
class Scope:
    """What is known of the values of a graph while it is differentiated.

    Attributes:
        emitter: Where nodes go.
        types: Types by name.
        statics: Reads values that are known without running the model.
        tangents: By name; a value without one has derivative zero.
        directions: The number of directions as a vector of one element.
        opsets: Versions by domain.
        walk: Differentiates nodes in order within a scope.
        straight_through: Whether derivatives pass straight through rounding.
        outcome: What became of them.
    """

    emitter: Emitter
    types: dict[str, TensorType]
    statics: Statics
    directions: Value
    opsets: Mapping[str, int]
    walk: Callable[[Scope, Iterable[NodeProto]], None]
    straight_through: bool = False
    outcome: Outcome = field(default_factory=Outcome)
    tangents: dict[str, Tangent] = field(default_factory=dict)

    def inner(self, outcome: Outcome | None = None) -> Scope:
        """Return a scope for a body or an expansion, which knows everything known here.

        Args:
            outcome: Where what becomes of its nodes is noted; a fresh one if not given.

        Returns:
            A scope whose new tangents stay its own.
        """
        tangents = {name: replace(each) for name, each in self.tangents.items()}
        return replace(self, tangents=tangents, outcome=outcome or Outcome())

    def dtype(self, name: str) -> str | None:
        """Return the type of a value, if it is known."""
        kind = self.types.get(name)
        return kind.dtype if kind else None

    def shape(self, name: str) -> tuple[int | None, ...]:
        """Return the sizes of a value, ``None`` where a size is not fixed.

        Args:
            name: The value.

        Returns:
            A size per axis.

        Raises:
            UnknownRankError: If its rank is not known.
        """
        kind = self.types.get(name)
        if kind is None or kind.shape is None:
            raise UnknownRankError(f"the rank of {copied_from(name)!r} is not known")
        return tuple(size if isinstance(size, int) else None for size in kind.shape)

    def value(self, name: str) -> Value:
        """Return a value by name."""
        return Value(self.emitter, name, self.dtype(name) or "float32")

    def is_real(self, name: str) -> bool:
        """Tell whether a value can carry a derivative; where the type is unknown, it may."""
        kind = self.types.get(name)
        return kind is None or (kind.dtype in REAL_TYPES | {None} and kind.kind in _CARRIERS)

    def lead(self, name: str) -> Value | None:
        """Return a tangent of shape (k, *S), or ``None`` for zero."""
        tangent = self.tangents.get(name)
        if tangent is None:
            return None
        if tangent.lead is None:
            assert tangent.fold is not None
            shape = self.shape(name)
            if shape[0] == 1:
                tangent.lead = self.emitter.unsqueeze(tangent.fold, [1])
            else:
                tangent.lead = self.unfolded(tangent.fold, name)
        return tangent.lead

    def fold(self, name: str) -> Value | None:
        """Return a tangent of shape (k·S₀, S₁, ...), or ``None`` for zero."""
        tangent = self.tangents.get(name)
        if tangent is None:
            return None
        if tangent.fold is None:
            assert tangent.lead is not None
            shape = self.shape(name)
            if not shape:
                raise NoRuleError(f"{name!r} has no axis to fold directions into")
            if shape[0] == 1:
                tangent.fold = self.emitter.squeeze(tangent.lead, [1])
            else:
                tangent.fold = self.folded(tangent.lead, name)
        return tangent.fold

    def unfolded(self, value: Value, like: str) -> Value:
        """Reshape (k·S₀, ...) to (k, *S), S being the shape of a value of the model."""
        e = self.emitter
        return e.reshape(value, e.concat([self.directions, self.sizes(like)]))

    def folded(self, value: Value, like: str) -> Value:
        """Reshape (k, *S) to (k·S₀, ...), S being the shape of a value of the model."""
        e, sizes = self.emitter, self.sizes(like)
        rest = e.slice(sizes, 1, len(self.shape(like))) if len(self.shape(like)) > 1 else None
        # Nothing can be worked out of no elements.
        first = e.op("Mul", self.directions, e.slice(sizes, 0, 1))
        return e.reshape(value, e.concat([first, rest]) if rest else first)

    def sizes(self, name: str) -> Value:
        """Return the shape of a value: a constant where it is fixed, else computed."""
        kind = self.types.get(name)
        if kind is not None and kind.shape is not None:
            sizes = [size for size in kind.shape if isinstance(size, int)]
            if len(sizes) == len(kind.shape):
                return self.emitter.constant(sizes)
        return self.emitter.shape(self.value(name))

    def filled(self, name: str) -> Value:
        """Return a tangent of shape (k, *S); zeros where there is none."""
        tangent = self.lead(name)
        if tangent is not None:
            return tangent
        e, dtype = self.emitter, self.dtype(name) or "float32"
        if name in self.types and self.types[name].kind == "sequence":
            return self._zero_sequence(name)
        return e.zeros(e.concat([self.directions, self.sizes(name)]), dtype)

    def _zero_sequence(self, name: str) -> Value:
        producer = self.statics.producer(name)
        if producer is not None and producer.op_type == "SequenceEmpty":
            return self.value(name)
        if self.emitter.opset < LOOPS_CARRY_SEQUENCES:
            raise NoRuleError(
                f"{name!r} is a sequence without derivative, and before opset "
                f"{LOOPS_CARRY_SEQUENCES} there is no sequence of zeros"
            )
        return self.emitter.sequence_of_zeros(self.value(name), self.directions)


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
