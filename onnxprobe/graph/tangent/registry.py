"""Which rule differentiates which operator at which version."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from onnx import NodeProto, defs

from onnxprobe.graph.flow import FLAT_OPERATORS

if TYPE_CHECKING:
    from onnxprobe.graph.tangent.emitter import Value
    from onnxprobe.graph.tangent.node import Node
    from onnxprobe.graph.tangent.scope import Folded

__all__ = [
    "KNOWN_OPSET",
    "MICROSOFT",
    "NCHWC",
    "NO_RULE",
    "OLDEST_OPSET",
    "ZERO",
    "Expansions",
    "Key",
    "NoRuleError",
    "NotDifferentiableError",
    "Result",
    "Rules",
    "Table",
    "UnknownRankError",
    "is_current",
    "is_flat",
    "since_version",
]  # fmt: skip

# Rules are written from the operators' texts of these versions of the default domain: Expand,
# Where, Sign and ConstantOfShape are there from the first one on.
OLDEST_OPSET = 9
KNOWN_OPSET = 28
MICROSOFT, NCHWC = "com.microsoft", "com.microsoft.nchwc"
NO_RULE = "onnxprobe has no rule for it"

Key: TypeAlias = tuple[str, str, int]
Result: TypeAlias = "Value | Folded | None"
Rules: TypeAlias = "Table[Result]"
Expansions: TypeAlias = "Table[Value | None]"


class NoRuleError(Exception):
    """A rule does not cover this use of its operator.

    Attributes:
        inside: Whether the message names a node inside the one that was to be differentiated.
    """

    def __init__(self, message: str, *, inside: bool = False) -> None:
        super().__init__(message)
        self.inside = inside


class NotDifferentiableError(NoRuleError):
    """There is no derivative, so differences would only pretend that there is one."""


class UnknownRankError(NoRuleError):
    """A rule needs the rank of a value, which neither inference nor a run has told."""


ZERO = frozenset(
    ("", name) if "." not in name else tuple(name.rsplit(".", 1)) for name in FLAT_OPERATORS
)


def is_flat(node: NodeProto) -> bool:
    """Tell whether the derivative of a node is zero by what its operator is.

    Args:
        node: Any node.

    Returns:
        True for comparisons, rounding and the like.
    """
    return (node.domain, node.op_type) in ZERO


Written = TypeVar("Written")


class Table(Generic[Written]):
    """Rules by domain, operator and the version since which the operator is as it is."""

    def __init__(self) -> None:
        self._rules: dict[Key, Callable[[Node], Sequence[Written]]] = {}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._rules)

    def add(
        self,
        operators: str,
        rule: Callable[[Node], Sequence[Written]],
        *,
        since: int = 1,
        before: int = KNOWN_OPSET + 1,
        domain: str = "",
        undefined: bool = False,
    ) -> None:
        """Register a rule.

        Args:
            operators: Types, separated by spaces.
            rule: What differentiates them.
            since: First version covered.
            before: First version not covered any more.
            domain: The operators' domain.
            undefined: Whether onnx does not define them although they stand in its domain.

        Raises:
            ValueError: If one of them has a rule already, or no version in the range exists.
        """
        for operator in operators.split():
            versions = [each for each in _versions(domain, operator) if since <= each < before]
            if undefined and not versions:
                versions = [1]
            if not versions and domain == "" and _versions(domain, operator):
                raise ValueError(f"{operator} has no version from {since} to {before - 1}")
            for version in versions:
                key = (domain, operator, version)
                if key in self._rules:
                    raise ValueError(f"two rules for {key}")
                self._rules[key] = rule

    def find(
        self, domain: str, operator: str, version: int
    ) -> Callable[[Node], Sequence[Written]] | None:
        """Find the rule of an operator.

        Args:
            domain: Its domain.
            operator: Its type.
            version: Since when it is as it is, see `since_version`.

        Returns:
            The rule, if there is one.
        """
        return self._rules.get((domain, operator, version))


def since_version(domain: str, operator: str, opsets: Mapping[str, int]) -> int:
    """Tell since which version an operator is as a model uses it.

    Args:
        domain: Its domain, "" being the default one.
        operator: Its type.
        opsets: Versions that the model imports, by domain.

    Returns:
        The version; 1 for operators that onnx does not define.
    """
    try:
        schema = defs.get_schema(operator, opsets.get(domain or "ai.onnx", 1), domain)
    except defs.SchemaError:
        return 1
    return int(schema.since_version)


@cache
def _history() -> dict[tuple[str, str], list[int]]:
    found: dict[tuple[str, str], list[int]] = {}
    for schema in defs.get_all_schemas_with_history():
        found.setdefault((schema.domain, schema.name), []).append(schema.since_version)
    return found


def _versions(domain: str, operator: str) -> list[int]:
    known = sorted(set(_history().get((domain, operator), [])))
    if not known:
        # Operators that onnx does not define have no history to tell.
        return [] if domain == "" else [1]
    return [version for version in known if is_current(domain, version, known)]


def is_current(domain: str, version: int, history: Collection[int]) -> bool:
    """Tell whether a version of an operator is in force in a model that can be differentiated.

    Args:
        domain: The operator's domain.
        version: One of its versions.
        history: All of them.

    Returns:
        False for what another version replaced before the oldest opset that rules are written for.
    """
    later = [each for each in history if version < each <= OLDEST_OPSET]
    return domain != "" or not later
