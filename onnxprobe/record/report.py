"""The report: what an analysis says, as data with a schema version."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError

from onnxprobe.errors import DataError
from onnxprobe.record.base import Record
from onnxprobe.record.context import (
    Coverage,
    DataRecord,
    ExecutionRecord,
    ModelRecord,
    PriorRecord,
    RunRecord,
    SelfCheckRecord,
    SourceRecord,
)
from onnxprobe.record.labels import Label, figure_labels
from onnxprobe.record.membership import CohortRecord
from onnxprobe.record.rows import Row, tensor_row
from onnxprobe.record.tensor import JointRecord, TensorRecord

__all__ = ["SCHEMA_VERSION", "Report"]

SCHEMA_VERSION: Literal["1.0"] = "1.0"


class Report(Record):
    """Everything an analysis says."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    model: ModelRecord
    data: DataRecord
    source: SourceRecord | None
    prior: PriorRecord | None
    execution: ExecutionRecord | None
    tensors: list[TensorRecord]
    together: list[JointRecord] = Field(
        default_factory=list, description="Releases of several tensors at a time."
    )
    membership: CohortRecord | None = Field(
        None, description="Null where membership was not measured: that says nothing of it."
    )
    figures: dict[str, Label] = Field(
        default_factory=lambda: figure_labels(TensorRecord),
        description="What each figure of a tensor is, by its dotted name; those that a tensor "
        "lists under `lower_bounds` are certified lower bounds there.",
    )
    coverage: Coverage
    graph: dict[str, list[str]] = Field(
        default_factory=dict,
        description="By tensor of the model, analysed or not, what it is computed from: tensors "
        "and inputs.",
    )
    self_check: SelfCheckRecord | None = Field(None, description="Null without Jacobians.")
    assumptions: list[str] = Field(description="What was taken for granted, a sentence each.")
    run: RunRecord

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a report that was written as JSON.

        Args:
            path: The file.

        Returns:
            The report.

        Raises:
            DataError: If the file cannot be read, or is no report of this schema.
        """
        try:
            report = cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise DataError(f"the report {path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            first = error.errors()[0]
            if first["type"] == "json_invalid":
                raise DataError(f"{path} is no report: it is empty, or no JSON") from error
            where = ".".join(map(str, first["loc"])) or "the file"
            raise DataError(
                f"{path} is no report of schema {SCHEMA_VERSION}: {first['msg']} at {where}"
            ) from error

        if len(report.tensors) != report.coverage.analysed:
            raise DataError(
                f"{path} holds {len(report.tensors)} tensors and says that "
                f"{report.coverage.analysed} were analysed: something was taken away or added"
            )
        return report

    @property
    def releases(self) -> list[TensorRecord]:
        """All tensors, then all joint releases under the names of their tensors."""
        joint = [
            each.record.model_copy(update={"name": each.label, "op_type": "together"})
            for each in self.together
        ]
        return [*self.tensors, *joint]

    def to_rows(self) -> list[Row]:
        """Flatten what was analysed, one row each, as a data frame takes them.

        Returns:
            Rows with the same keys, tensors in the order of the graph, then joint releases.
            Measures over samples with Jacobians are medians unless their name says otherwise.
        """
        return [tensor_row(tensor) for tensor in self.releases]
