"""What is known of the values of a graph while it is differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from onnx import NodeProto

from onnxprobe.graph.dtypes import REAL_TYPES
from onnxprobe.graph.names import copied_from
from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.registry import NoRuleError, UnknownRankError
from onnxprobe.graph.tangent.statics import Statics
from onnxprobe.types import TensorType

__all__ = ["Fallback", "Folded", "Outcome", "Scope", "Tangent", "Tangents"]

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


class Tangents:
    """Tangents by name: those of a body or an expansion, and what surrounds it.

    Layouts that are made inside stay inside, where the nodes that make them are.

    Args:
        outer: What surrounds it.
    """

    def __init__(self, outer: Tangents | None = None) -> None:
        self._own: dict[str, Tangent] = {}
        self._outer = outer

    def __contains__(self, name: str) -> bool:
        return name in self._own or (self._outer is not None and name in self._outer)

    def __getitem__(self, name: str) -> Tangent:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, tangent: Tangent) -> None:
        self._own[name] = tangent

    def get(self, name: str) -> Tangent | None:
        """Return a tangent, or ``None`` for zero."""
        found = self._own.get(name)
        if found is None and self._outer is not None:
            outside = self._outer.get(name)
            if outside is not None:
                found = self._own[name] = replace(outside)
        return found

    def saved(self, names: Iterable[str]) -> dict[str, Tangent]:
        """Copy tangents with the layouts that they have now."""
        found = {name: self.get(name) for name in names}
        return {name: replace(each) for name, each in found.items() if each is not None}

    def restore(self, saved: Mapping[str, Tangent]) -> None:
        """Drop layouts that were made since."""
        self._own.update((name, replace(each)) for name, each in saved.items())


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
        assumed: Ranks that what is written depends on, of those that only a run told.
    """

    numerical: list[Fallback] = field(default_factory=list)
    inexact: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    depths: dict[str, int] = field(default_factory=dict)
    straight: list[str] = field(default_factory=list)
    assumed: dict[str, int] = field(default_factory=dict)


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
        assumed: Values whose rank in `types` only a run told, or what the model declares.
        outcome: What became of them.
    """

    emitter: Emitter
    types: dict[str, TensorType]
    statics: Statics
    directions: Value
    opsets: Mapping[str, int]
    walk: Callable[[Scope, Iterable[NodeProto]], None]
    straight_through: bool = False
    assumed: set[str] = field(default_factory=set)
    outcome: Outcome = field(default_factory=Outcome)
    tangents: Tangents = field(default_factory=Tangents)

    def inner(self, outcome: Outcome | None = None) -> Scope:
        """Return a scope for a body or an expansion, which knows everything known here.

        Args:
            outcome: Where what becomes of its nodes is noted; a fresh one if not given.

        Returns:
            A scope whose new tangents stay its own.
        """
        return replace(self, tangents=Tangents(self.tangents), outcome=outcome or Outcome())

    def dtype(self, name: str) -> str | None:
        """Return the type of a value, if it is known."""
        kind = self.types.get(name)
        return kind.dtype if kind else None

    def has_rank(self, name: str) -> bool:
        """Tell whether the rank of a value is known."""
        kind = self.types.get(name)
        return kind is not None and kind.shape is not None

    def learn_rank(self, name: str, rank: int, dtype: str | None) -> None:
        """Take note of a rank, unless one is known."""
        if name and not self.has_rank(name):
            known = self.types.get(name)
            self.types[name] = TensorType(name, (known and known.dtype) or dtype, (None,) * rank)

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
