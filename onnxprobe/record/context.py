"""What a report says of everything around the tensors."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from onnxprobe.record.base import Record
from onnxprobe.record.tensor import DofRecord

__all__ = [
    "Coverage",
    "DataRecord",
    "ExecutionRecord",
    "FileRecord",
    "InputRecord",
    "ModelRecord",
    "Omission",
    "PriorRecord",
    "RunRecord",
    "SelfCheckRecord",
    "SourceRecord",
]


class FileRecord(Record):
    """A file that was read."""

    name: str = Field(description="File name; for external data, as the model spells it.")
    sha256: str
    size_bytes: int


class InputRecord(Record):
    """A declared input, and what it was fed."""

    name: str
    dtype: str | None = None
    declared_shape: list[int | str | None] | None = None
    sample_shape: list[int] = Field(
        description="Shape of one sample, without the batch axis if there is one."
    )
    batch_axis: int | None = Field(description="Axis along which samples are batched.")


class ModelRecord(Record):
    """What was audited."""

    name: str
    files: list[FileRecord] = Field(description="The model's file first, then its external data.")
    producer: str
    ir_version: int
    opsets: dict[str, int]
    inputs: list[InputRecord]
    outputs: list[str]
    nodes: int
    local_functions: int = Field(description="Local functions that were inlined.")
    random_nodes: list[str] = Field(description="Nodes that draw random numbers at inference.")


class DataRecord(Record):
    """The samples on which activations were measured."""

    synthetic: bool = Field(
        description="True if the samples were drawn from the declared types: then the figures "
        "describe the model and not anybody's data."
    )
    samples: int = Field(description="Samples over which activations were measured.")
    digest: str | None = Field(description="sha256 over names, types, shapes and values.")
    labels_digest: str | None = Field(
        None, description="sha256 over the classes of the samples, where they are given."
    )
    jacobian_samples: list[int] = Field(description="Indices of the samples with Jacobians.")


class Omission(Record):
    """A tensor without figures."""

    name: str
    reason: str
    op_type: str = Field("", description="What computes it.")
    constant: bool = Field(
        False, description="Whether no input's values reach it, so that it tells nothing of any."
    )


class Coverage(Record):
    """How much of the model the report speaks about; the three counts add up."""

    tensors: int
    analysed: int
    skipped: list[Omission]
    failed: list[Omission]

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.analysed + len(self.skipped) + len(self.failed) != self.tensors:
            raise ValueError("analysed, skipped and failed tensors are not all tensors")
        return self


class SourceRecord(Record):
    """What derivatives are taken with respect to."""

    names: list[str]
    size: int
    chosen: str = Field(description="Why this source.")
    tokens: int | None = Field(
        None,
        description="Tokens that are looked for among reconstructions, if it is a lookup of tokens "
        "in a table.",
    )
    vocabulary: int | None = Field(None, description="Rows of that table.")
    tokens_guessed: float | None = Field(
        None, description="Share of those tokens that are re-identified without any tensor."
    )
    dof: DofRecord | None = None


class PriorRecord(Record):
    """What the attacker is assumed to know of the source beforehand."""

    kind: Literal["data", "image", "isotropic"]
    variance: float = Field(description="Mean variance of a source coordinate.")
    directions: int
    share: float = Field(description="Share of the variance along those directions.")
    held_out_share: float | None = Field(
        None,
        description="Share of the variance of held-out samples along the leading directions of the "
        "others, for a data prior: how far the directions speak of inputs that were not given.",
    )
    range_assumed: bool = Field(
        False,
        description="Whether it was only assumed which numbers stand for dark and bright: neither "
        "samples nor options said so.",
    )


class ExecutionRecord(Record):
    """How the model was run."""

    provider: str
    provider_reason: str
    provider_options: dict[str, str]
    optimised_chunks: int = Field(
        description="Chunks of tensors whose derivatives were taken through the graph as the "
        "runtime optimises it; activations never are."
    )
    plain_chunks: int = Field(description="Chunks whose derivatives were taken without.")
    optimised_difference: float | None = Field(
        None, description="Largest relative difference of a tensor between the two."
    )
    output_difference: float | None = Field(
        None,
        description="Largest difference of an output between exposed and unmodified model, "
        "relative to the output's largest element.",
    )
    batched_tensors: int = Field(
        description="Tensors whose rows share runs; proved by running both ways."
    )
    single_tensors: int = Field(description="Tensors that are run row by row.")
    upcast_difference: float | None = Field(
        None, description="Largest relative difference of an output after upcasting to float32."
    )
    repeatability: float | None = Field(
        None, description="Largest relative difference of a tensor between two equal runs."
    )


class SelfCheckRecord(Record):
    """Ranks held against those of tensors through which everything passes.

    A tensor's rank above its noise floor exceeds neither the size of such a tensor nor its rank.
    """

    checked: int = Field(description="Tensors whose rank was held against others.")
    failed: list[str] = Field(description="Tensors with more: they are failed, not reported.")
    rescaled: list[str] = Field(
        description="Tensors whose rank at the default tolerance is larger than that of such a "
        "tensor, because gains in between bring up what was small."
    )


class RunRecord(Record):
    """What may differ between two runs that find the same."""

    configuration: dict[str, Any]
    versions: dict[str, str]
    paths: dict[str, str]
    started: str
    elapsed_s: float
    isolation: dict[str, bool] | None = Field(
        None,
        description="By feature, whether the system confined the worker: `files`, `network`, "
        "`memory`; none if the model ran in the caller's own process.",
    )
    interrupted: str | None = Field(None, description="Why the analysis ended early.")
