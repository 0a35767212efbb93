"""What all records have in common."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

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
