"""What forward mode can differentiate, read off the registry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onnx import defs

from onnxprobe.graph.tangent.contrib import ROUNDING
from onnxprobe.graph.tangent.registry import MICROSOFT, ZERO, is_current
from onnxprobe.graph.tangent.rules import EXPANSIONS, RULES

__all__ = ["Coverage", "operator_coverage"]

_FLOATS = frozenset({"tensor(float)", "tensor(double)", "tensor(float16)", "tensor(bfloat16)"})


@dataclass(frozen=True)
class Coverage:
    """How one version of an operator is differentiated.

    Attributes:
        domain: "" is the default one.
        operator: Its type.
        since: First opset with this version.
        how: ``"rule"``, ``"expansion"``, ``"numerical"``, ``"zero"`` or ``"not differentiable"``.
    """

    domain: str
    operator: str
    since: int
    how: str


def operator_coverage() -> list[Coverage]:
    """List every operator that onnx defines, and every other one that has a rule.

    Returns:
        Sorted by domain, operator and version, without versions that were replaced before the
        oldest opset that can be differentiated.
    """
    history: dict[tuple[str, str], list[Any]] = {}
    for schema in defs.get_all_schemas_with_history():
        if "preview" not in schema.domain and not schema.deprecated:
            history.setdefault((schema.domain, schema.name), []).append(schema)
    found: dict[tuple[str, str, int], str] = {}
    for (domain, operator), schemas in history.items():
        versions = [schema.since_version for schema in schemas]
        for schema in schemas:
            if is_current(domain, schema.since_version, versions):
                key = (domain, operator, schema.since_version)
                found[key] = _how(key, schema)
    for table, how in ((EXPANSIONS, "expansion"), (RULES, "rule")):
        found.update((key, how) for key in table if key not in found)
    refused = {(MICROSOFT, operator, 1) for operator in ROUNDING.split()}
    found.update(dict.fromkeys(refused, "not differentiable"))
    for domain, operator in ZERO:
        if not any(key[:2] == (domain, operator) for key in found):
            found[domain, operator, 1] = "zero"
    return [Coverage(*key, found[key]) for key in sorted(found)]


def _how(key: tuple[str, str, int], schema: Any) -> str:  # noqa: ANN401
    if RULES.find(*key):
        return "rule"
    if EXPANSIONS.find(*key):
        return "expansion"
    inputs, outputs = _types(schema, schema.inputs), _types(schema, schema.outputs)
    # Sequences and optional values hold floats where tensors do not show it.
    held = any("float" in each for each in inputs) and any("float" in each for each in outputs)
    plain = inputs & _FLOATS and outputs & _FLOATS
    if key[:2] in ZERO or not (plain or held):
        return "zero"
    if schema.has_function or schema.has_context_dependent_function:
        return "expansion"
    return "numerical" if plain else "not differentiable"


def _types(schema: Any, values: Any) -> set[str]:  # noqa: ANN401
    allowed = {each.type_param_str: set(each.allowed_type_strs) for each in schema.type_constraints}
    found: set[str] = set()
    for value in values:
        found |= allowed.get(value.type_str, {value.type_str})
    return found
