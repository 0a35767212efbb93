"""Values of the graph being written, with arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from onnxprobe.graph.dtypes import element_type

if TYPE_CHECKING:
    from onnxprobe.graph.tangent.emitter import Emitter

__all__ = ["Operand", "Value"]


@dataclass(frozen=True)
class Value:
    """A named value of the graph being written, with arithmetic that writes nodes.

    Attributes:
        emitter: Where nodes go.
        name: Its name.
        dtype: onnxprobe's name of its type.
    """

    emitter: Emitter
    name: str
    dtype: str

    def _with(self, operator: str, first: Operand, second: Operand) -> Value:
        return self.emitter.op(operator, *(self._operand(each) for each in (first, second)))

    def _operand(self, value: Operand) -> Value:
        return value if isinstance(value, Value) else self.emitter.scalar(value, self.dtype)

    def __add__(self, other: Operand) -> Value:
        return self._with("Add", self, other)

    def __radd__(self, other: Operand) -> Value:
        return self._with("Add", other, self)

    def __sub__(self, other: Operand) -> Value:
        return self._with("Sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self._with("Sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return self._with("Mul", self, other)

    def __rmul__(self, other: Operand) -> Value:
        return self._with("Mul", other, self)

    def __truediv__(self, other: Operand) -> Value:
        return self._with("Div", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        if other == 1:
            # ONNX Runtime 1.31 folds 1 / x into a later product and forgets its other readers.
            return self.emitter.op("Reciprocal", self)
        return self._with("Div", other, self)

    def __pow__(self, other: Operand) -> Value:
        return self._with("Pow", self, other)

    def __neg__(self) -> Value:
        return self.emitter.op("Neg", self)

    def __gt__(self, other: Operand) -> Value:
        return self.emitter.compare("Greater", self, self._operand(other))

    def __lt__(self, other: Operand) -> Value:
        return self.emitter.compare("Less", self, self._operand(other))

    def __ge__(self, other: Operand) -> Value:
        return self.emitter.negate(self < other)

    def __le__(self, other: Operand) -> Value:
        return self.emitter.negate(self > other)

    def equals(self, other: Operand) -> Value:
        """Compare elementwise.

        Args:
            other: A value or a number.

        Returns:
            A value of type bool.
        """
        second = self._operand(other)
        if self.emitter.opset >= 11 or self.dtype in ("int32", "int64", "bool"):
            return self.emitter.compare("Equal", self, second)
        # Floats cannot be compared for equality before opset 11.
        either = self.emitter.op("Or", self > second, self < second)
        return self.emitter.negate(either)

    def cast(self, dtype: str) -> Value:
        """Convert the elements.

        Args:
            dtype: onnxprobe's name of a type.

        Returns:
            A value of that type; itself if it has it.
        """
        if dtype == self.dtype:
            return self
        (made,) = self.emitter.node("Cast", [self], to=element_type(dtype))
        return Value(self.emitter, made, dtype)


Operand: TypeAlias = "Value | float"
