"""What each figure of a report is: a measurement, a bound, a prediction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

__all__ = ["Attained", "Bounding", "Label", "Measured", "Predicted", "figure_labels", "label_of"]

Label: TypeAlias = Literal[
    "measured",
    "certified lower bound",
    "attained by a reconstruction",
    "bound",
    "estimated bound",
    "linear-Gaussian prediction",
]


@dataclass(frozen=True)
class _Labelled:
    """Stands in a field's type and says what the figure is; nothing is validated by it."""

    label: Label


Value = TypeVar("Value")

Measured = Annotated[Value, _Labelled("measured")]
"""Computed from values or derivatives of the model."""
Attained = Annotated[Value, _Labelled("attained by a reconstruction")]
"""What an attack reached that anybody can mount."""
Bounding = Annotated[Value, _Labelled("bound")]
"""What no attacker of some kind can do better than."""
Predicted = Annotated[Value, _Labelled("linear-Gaussian prediction")]
"""What follows if the model were linear around a sample, and inputs Gaussian."""


def label_of(field: FieldInfo) -> Label | None:
    """Tell what a field's figure is.

    Args:
        field: Of a record.

    Returns:
        Its label; ``None`` if it is no figure.
    """
    return next((each.label for each in field.metadata if isinstance(each, _Labelled)), None)


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
        label = label_of(field)
        if label is not None:
            yield f"{prefix}{name}", label
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
