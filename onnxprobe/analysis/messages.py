"""What the worker answers, validated before the conductor believes a word of it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from onnxprobe.record import (
    ActivationRecord,
    ClassRecord,
    CohortRecord,
    DataRecord,
    DofRecord,
    JacobianRecord,
    ModelRecord,
    Omission,
    PriorRecord,
    ReleaseRecord,
    SeparationRecord,
)

__all__ = [
    "ActivationAnswer",
    "Attained",
    "CatalogueEntry",
    "CostsAnswer",
    "DerivationAnswer",
    "DeriveAnswer",
    "ExposeAnswer",
    "HalvesAnswer",
    "InspectAnswer",
    "JacobianAnswer",
    "JacobianAnswers",
    "Layout",
    "MembershipAnswer",
    "NodeCost",
    "Opening",
    "OperatorsAnswer",
    "Part",
    "ProviderAnswer",
    "ProvidersAnswer",
    "Reach",
    "SourceAnswer",
    "StepAnswer",
    "StructureAnswer",
    "SurveyAnswer",
    "TensorAnswer",
    "ValueAnswer",
]

# No runtime would hold more for a single sample.
_MAX_ELEMENTS = 2**34

Reach = Literal["none", "shape", "piecewise constant", "smooth"]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class CatalogueEntry(_Message):
    """One tensor, as known before anything was measured."""

    name: str
    op_type: str
    node: str
    parents: list[str]
    dtype: str | None
    shape: list[int | str | None] | None
    is_output: bool
    joins: list[str] = Field(
        default_factory=list, description="Tensors that it stands for, released together."
    )
    skip: str | None
    constant: bool = Field(False, description="Whether no input's values reach it.")
    reach: Reach = Field(description="How the source reaches it.")
    straight: bool = Field(
        False, description="Whether the source reaches it straight through rounding."
    )
    same_as: str | None = Field(description="The tensor that holds the same values, moved at most.")
    shift_of: str | None = Field(description="The tensor that it is, plus a constant.")


class Opening(_Message):
    """A model and its samples, ready to be measured."""

    model: ModelRecord
    data: DataRecord
    entries: list[CatalogueEntry]
    source_names: list[str] = Field(description="Empty if there is nothing to differentiate by.")
    source_tensor: bool = Field(description="Whether the source is an inner tensor.")
    source_chosen: str
    provider: str
    provider_reason: str
    provider_options: dict[str, str]
    upcast_difference: float | None
    assumptions: list[str]
    versions: dict[str, str]
    samples_digest: str = Field(description="Of the data, also where the report leaves it out.")
    cohorts: CohortRecord | None = Field(
        None, description="Members and non-members, if membership is to be measured."
    )
    cohorts_digest: str | None = Field(None, description="Of both, as `samples_digest`.")
    cohort_samples: list[int] = Field(
        default_factory=list,
        description="Indices among members and non-members at which Jacobians are taken.",
    )

    @model_validator(mode="after")
    def _refers_backwards(self) -> Self:
        names = {entry.name for entry in self.entries}
        seen: set[str] = set()
        for entry in self.entries:
            for other in (entry.same_as, entry.shift_of):
                if other in names and other not in seen:
                    raise ValueError("a tensor is said to be one that comes later")
            seen.add(entry.name)
        if len(seen) < len(self.entries):
            raise ValueError("a tensor stands twice")
        return self


class Layout(_Message):
    """How a tensor comes out of a run."""

    name: str
    dtype: str
    shape: list[Annotated[int, Field(ge=0)]] = Field(description="For one row.", max_length=64)
    axis: int | None = Field(description="The axis along which rows are batched.")
    batched: bool = Field(description="Whether several rows may share a run.")
    repeatability: float = Field(description="Relative difference between two equal runs.")

    @property
    def size(self) -> int:
        """Elements of one row."""
        size = 1
        for length in self.shape:
            size *= length
        return size

    @model_validator(mode="after")
    def _fits_a_machine(self) -> Self:
        if self.size > _MAX_ELEMENTS:
            raise ValueError("no tensor has so many elements")
        return self


class SurveyAnswer(_Message):
    """What a first run of some tensors showed."""

    layouts: list[Layout]
    skipped: list[Omission]
    output_difference: float = Field(
        0.0, description="Largest difference of an output from the unmodified model's, relative."
    )


class SourceAnswer(_Message):
    """The source over the samples."""

    dof: DofRecord
    prior: PriorRecord | None
    tokens: int | None = Field(None, description="Tokens looked for among reconstructions.")
    vocabulary: int | None = None
    tokens_guessed: float | None = None


class Attained(_Message):
    """What ridge regression attains at a level of release noise."""

    noise: str
    s: float | None
    share: float | None
    tokens: float | None = None


class ActivationAnswer(_Message):
    """One tensor over the samples."""

    name: str
    activations: ActivationRecord
    dof: DofRecord
    attained: list[Attained] = Field(default_factory=list)
    noise_for: dict[str, float | None] = Field(
        default_factory=dict,
        description="By target, the least noise that leaves no more to ridge regression.",
    )
    classes: ClassRecord | None = None
    rounding: dict[str, float] = Field(
        description="By float format, the mean square of its rounding error."
    )


class MembershipAnswer(_Message):
    """How well statistics of one tensor tell members from others."""

    name: str
    separations: list[SeparationRecord] = Field(max_length=3)


class Part(_Message):
    """A range of a tensor's elements."""

    name: str
    start: int
    stop: int


class StepAnswer(_Message):
    """The finite-difference step that serves all tensors."""

    step: float | None = Field(
        description="Relative to the source's RMS; null if no tensor moved smoothly."
    )
    noise: dict[str, float] = Field(
        description="By tensor, the function's own noise, relative to the tensor's RMS."
    )


class JacobianAnswer(_Message):
    """The sensitivity of one tensor, and what follows for its release."""

    name: str
    jacobian: JacobianRecord
    release: dict[str, list[ReleaseRecord]] = Field(
        description="By tensor with this Jacobian: the tensor itself, and its shifts."
    )
    noise_for: dict[str, dict[str, float | None]] = Field(
        description="By tensor and target, the least noise that leaves no more recoverable."
    )


class DerivationAnswer(_Message):
    """How tensors can be differentiated in forward mode."""

    exact: list[str] = Field(default_factory=list)
    numerical: list[str] = Field(
        default_factory=list, description="Behind a node differentiated numerically."
    )
    failed: dict[str, str] = Field(default_factory=dict)
    nodes: list[str] = Field(default_factory=list, description="Nodes without an exact rule.")
    straight: int = Field(0, description="Pairs whose rounding derivatives pass straight through.")


class JacobianAnswers(_Message):
    """Several sensitivities, and how they were run."""

    answers: list[JacobianAnswer]
    optimised: bool
    optimised_difference: float


class ValueAnswer(_Message):
    """A value of a model, as ``inspect`` lists it."""

    name: str
    dtype: str | None
    shape: list[int | str | None] | None


class TensorAnswer(ValueAnswer):
    """A tensor of a model, as ``inspect`` lists it."""

    op_type: str
    node: str
    is_output: bool
    skip: str | None


class InspectAnswer(_Message):
    """What is in a model."""

    name: str
    sha256: str
    producer: str
    ir_version: int
    opsets: dict[str, int]
    local_functions: int
    inputs: list[ValueAnswer]
    outputs: list[ValueAnswer]
    tensors: list[TensorAnswer]


class ExposeAnswer(_Message):
    """A model that was written with every tensor as an output."""

    outputs: int
    before: int
    left_out: dict[str, str]
    data_bytes: int
    files: list[str] = Field(description="Files that it was read from, beside the model.")


class DeriveAnswer(_Message):
    """A model that was written with tangents."""

    sources: dict[str, str]
    tangents: dict[str, str]
    numerical: list[str]
    zero: dict[str, str]
    rounding: list[str]
    assumed_ranks: dict[str, int]
    refusal: str | None
    data_bytes: int
    files: list[str] = Field(description="Files that it was read from, beside the model.")


class StructureAnswer(_Message):
    """What is computed from what."""

    parents: dict[str, list[str]]
    inputs: list[str]
    outputs: list[str]
    candidates: list[str]


class NodeCost(_Message):
    """What a node costs."""

    outputs: list[str]
    operator: str
    multiply_adds: Annotated[int, Field(ge=0)] | None


class CostsAnswer(_Message):
    """What each node costs."""

    nodes: list[NodeCost]


class HalvesAnswer(_Message):
    """Two halves of a model that were written."""

    sent: list[str]
    samples: int
    data_bytes: list[int]
    files: list[str]


class ProviderAnswer(_Message):
    """Whether a device works."""

    name: str
    works: bool
    reason: str
    expected: bool


class ProvidersAnswer(_Message):
    """Which devices work."""

    providers: list[ProviderAnswer]


class OperatorsAnswer(_Message):
    """How operators are differentiated."""

    operators: list[tuple[str, str, int, str]]
