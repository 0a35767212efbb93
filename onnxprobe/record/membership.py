"""What a report says of telling members of the training set from others."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from onnxprobe.record.base import Record
from onnxprobe.record.labels import Measured

__all__ = ["CohortRecord", "SeparationRecord", "Statistic"]

Statistic = Literal["Jacobian energy", "Jacobian effective rank", "activation typicality"]


class CohortRecord(Record):
    """The samples that the model was trained on, and those that it was not."""

    members: int = Field(description="Samples that the model was trained on.")
    non_members: int = Field(description="Samples that it was not trained on.")
    members_digest: str | None = Field(description="sha256 over names, types, shapes and values.")
    non_members_digest: str | None
    jacobian_members: int = Field(description="Members at which Jacobians were taken.")
    jacobian_non_members: int
    directions: int = Field(description="Directions through which they were seen.")


class SeparationRecord(Record):
    """How well an untrained statistic of a tensor tells members from non-members."""

    statistic: Statistic
    auc: Measured[float] = Field(
        ge=0,
        le=1,
        description="Probability that a member has the lower value (for typicality: that it stands "
        "out less), ties counting half: 0.5 tells nothing, 0 and 1 tell everything.",
    )
    low: Measured[float] = Field(
        ge=0, le=1, description="Lower end of its 95 % bootstrap interval."
    )
    high: Measured[float] = Field(ge=0, le=1, description="Upper end.")
    tpr_at_1_percent_fpr: Measured[float | None] = Field(
        description="Share of the members found where 1 % of the non-members are taken for some; "
        "null with fewer than 100 non-members."
    )
