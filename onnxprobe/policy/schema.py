"""The JSON Schema of policies, as TOML says them: for editors, and for checks without onnxprobe."""

from __future__ import annotations

from typing import Any

from onnxprobe.policy.language import Policy
from onnxprobe.policy.measures import MEASURES

__all__ = ["policy_schema"]

# What a model of a policy holds as a text, and TOML may say as a number.
_NUMBERS = ("noise", "tolerance", "target")
_TEXTS = ("tensors", "op_types", "after", "exclude", "together")


def policy_schema() -> dict[str, Any]:
    """Describe policies.

    Returns:
        A JSON Schema of what TOML holds. It knows keys, measures and kinds of values; what depends
        on more, such as which measure needs noise, only reading a policy tells.
    """
    schema = Policy.model_json_schema()
    parts = schema["$defs"]
    bound = parts["Bound"]["properties"]
    for name in _NUMBERS:
        bound[name] = {"anyOf": [{"type": "number"}, {"type": "string"}]}
    limit = {"anyOf": [{"type": "number"}, {"$ref": "#/$defs/Bound"}]}
    parts["Bounds"] = {
        "type": "object",
        "description": "Limits by measure: a number, a table, or a list of these.",
        "additionalProperties": False,
        "minProperties": 1,
        "properties": {
            name: {
                "description": measure.description,
                "anyOf": [*limit["anyOf"], {"type": "array", "items": limit, "minItems": 1}],
            }
            for name, measure in MEASURES.items()
        },
    }
    for part in ("Rule", "Waiver"):
        for name, field in parts[part]["properties"].items():
            kinds = [each for each in field.get("anyOf", []) if each != {"type": "null"}]
            if kinds:
                # TOML has no null: a key is there or it is not.
                field.pop("default", None)
                field["anyOf"] = [*kinds, {"type": "string"}] if name in _TEXTS else kinds
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return schema
