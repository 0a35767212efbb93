"""The report: what an analysis says, as data with a schema version.

The stable core is ``tensors[]`` with ``name``, ``op_type``, ``shape``, ``status``, ``dof``,
``jacobian``, and ``coverage``, whose three counts add up. Everything else may grow. All numbers are
finite: what has no value is null, and a status says why.
"""

from onnxprobe.record.base import Status
from onnxprobe.record.context import (
    Coverage,
    DataRecord,
    ExecutionRecord,
    FileRecord,
    InputRecord,
    ModelRecord,
    Omission,
    PriorRecord,
    RunRecord,
    SelfCheckRecord,
    SourceRecord,
)
from onnxprobe.record.labels import Label, figure_labels
from onnxprobe.record.membership import CohortRecord, SeparationRecord, Statistic
from onnxprobe.record.report import SCHEMA_VERSION, Report
from onnxprobe.record.rows import Row
from onnxprobe.record.tensor import (
    ActivationRecord,
    ClassRecord,
    DofRecord,
    JacobianRecord,
    JacobianSample,
    JointRecord,
    Levels,
    RankLevels,
    ReleaseRecord,
    Share,
    SpectrumRecord,
    TensorRecord,
)

__all__ = [
    "SCHEMA_VERSION",
    "ActivationRecord",
    "ClassRecord",
    "CohortRecord",
    "Coverage",
    "DataRecord",
    "DofRecord",
    "ExecutionRecord",
    "FileRecord",
    "InputRecord",
    "JacobianRecord",
    "JacobianSample",
    "JointRecord",
    "Label",
    "Levels",
    "ModelRecord",
    "Omission",
    "PriorRecord",
    "RankLevels",
    "ReleaseRecord",
    "Report",
    "Row",
    "RunRecord",
    "SelfCheckRecord",
    "SeparationRecord",
    "Share",
    "SourceRecord",
    "SpectrumRecord",
    "Statistic",
    "Status",
    "TensorRecord",
    "figure_labels",
]
