"""What all records have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from onnxprobe.record.labels import label_of

__all__ = ["Record", "Status"]

Status = Literal[
    "ok",
    "at least",
    "constant",
    "independent",
    "non-finite",
    "not differentiable",
    "not repeatable",
    "piecewise constant",
    "rescaled",
    "saturated",
]


class Record(BaseModel):
    """A part of a report: nothing unknown, and only numbers that JSON has."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Let the JSON Schema say what figures are."""
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for name, field in cls.model_fields.items():
            if (label := label_of(field)) is not None and name in properties:
                properties[name]["label"] = label
        return schema
