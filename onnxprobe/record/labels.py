"""What each figure of a report is: a measurement, a bound, a prediction."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

__all__ = ["Attained", "Bounding", "Label", "Measured", "Predicted", "figure_labels"]

Label: TypeAlias = Literal[
    "measured",
    "certified lower bound",
    "attained by a reconstruction",
    "bound",
    "linear-Gaussian prediction",
]

_KEY = "label"


def _marked(label: Label) -> Any:  # noqa: ANN401 (what `Annotated` takes)
    return Field(json_schema_extra={_KEY: label})


Value = TypeVar("Value")

Measured = Annotated[Value, _marked("measured")]
"""Computed from values or derivatives of the model."""
Attained = Annotated[Value, _marked("attained by a reconstruction")]
"""What an attack reached that anybody can mount."""
Bounding = Annotated[Value, _marked("bound")]
"""What no attacker of some kind can do better than."""
Predicted = Annotated[Value, _marked("linear-Gaussian prediction")]
"""What follows if the model were linear around a sample, and inputs Gaussian."""


def figure_labels(record: type[BaseModel]) -> dict[str, Label]:
    """List the figures of a record and of those in it.

    Args:
        record: A kind of record.

    Returns:
        By dotted name, what the figure is.
    """
    return dict(_labels(record, ""))


def _labels(record: type[BaseModel], prefix: str) -> Iterator[tuple[str, Label]]:
    for name, field in record.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and _KEY in extra:
            label = extra[_KEY]
            assert label in get_args(Label)
            yield f"{prefix}{name}", label  # type: ignore[misc]
            continue
        for inner in _records(field):
            yield from _labels(inner, f"{prefix}{name}.")


def _records(field: FieldInfo) -> Iterator[type[BaseModel]]:
    """Find the records that a field may hold."""
    pending: list[Any] = [field.annotation]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind
        pending += get_args(kind)
