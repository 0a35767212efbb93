"""What a report says of one tensor."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from onnxprobe.record.base import Record, Status
from onnxprobe.record.membership import SeparationRecord

__all__ = [
    "ActivationRecord",
    "ClassRecord",
    "DofRecord",
    "JacobianRecord",
    "JacobianSample",
    "JointRecord",
    "Levels",
    "RankLevels",
    "ReleaseRecord",
    "Share",
    "SpectrumRecord",
    "TensorRecord",
]


class SpectrumRecord(Record):
    """Singular values, thinned out if there are many."""

    size: int = Field(description="How many there are.")
    floor: float = Field(description="Noise floor: values at or below it are not resolved.")
    complete: bool
    indices: list[int]
    values: list[float]


class Levels(Record):
    """A measure over the samples with Jacobians."""

    min: float
    median: float
    max: float


class RankLevels(Record):
    """A rank over the samples with Jacobians."""

    min: int
    median: float
    max: int
    at_least: bool = Field(False, description="The true rank may be larger.")


class JacobianSample(Record):
    """The Jacobian at one sample."""

    sample: int
    status: Status
    spectrum: SpectrumRecord | None = None
    rank: int | None = None
    resolved: int | None = Field(None, description="Singular values above the noise floor.")
    rank_at_rounding: int | None = Field(
        None, description="Singular values above the unit rounding of the largest."
    )
    frobenius: list[float] | None = Field(
        None, description="Frobenius norm: lower end, estimate, upper end."
    )


class JacobianRecord(Record):
    """Sensitivity of a tensor to the source."""

    method: Literal["forward mode", "finite differences"] | None = Field(
        description="How derivatives were taken: exactly, or by central differences."
    )
    numerical_nodes: list[str] = Field(
        default_factory=list,
        description="In forward mode, nodes without an exact rule, differentiated by central "
        "differences of their own.",
    )
    straight_through: bool = Field(
        False,
        description="Whether derivatives passed straight through rounding: then they are those of "
        "a network that does not round, and not of this one, which is piecewise constant.",
    )
    inputs: int = Field(description="Dimension of the source.")
    outputs: int = Field(description="Elements of the tensor for one sample.")
    complete: bool = Field(description="Whether the directions span the source.")
    directions: int
    status: Status
    rank: RankLevels | None = Field(None, description="Rank at the default tolerance.")
    rank_at: dict[str, RankLevels] = Field(default_factory=dict)
    share: float | None = Field(None, description="Median rank relative to `inputs`.")
    resolved: bool = Field(
        False,
        description="Random directions, rank below their number with a gap of at least 10 above "
        "the floor, and further directions that add nothing.",
    )
    not_comparable: list[str] = Field(
        default_factory=list,
        description="Measures below that say nothing of the whole Jacobian, because it was seen "
        "through fewer directions than the source has.",
    )
    stable_rank: Levels | None = None
    effective_rank: Levels | None = None
    participation_ratio: Levels | None = None
    energy_95: Levels | None = None
    energy_99: Levels | None = None
    step: float | None = Field(None, description="Finite-difference step, in source units.")
    noise_floor: Levels | None = Field(None, description="Absolute, in units of `spectrum`.")
    noise_model: Literal["shaken values", "path length", "two steps"] | None = Field(
        None,
        description="Where the floor comes from. `shaken values`: how far exact derivatives move "
        "where every value is off by a random rounding error (Monte Carlo arithmetic), and how far "
        "they are from linear in their direction. `path length`: the latter, and an estimate by "
        "the number of operators, where the graph of the former did not run. `two "
        "steps`: how far finite differences with two steps are from each other.",
    )
    function_noise: float | None = Field(
        None, description="Noise of an element of the tensor, relative to its RMS."
    )
    samples: list[JacobianSample] = Field(default_factory=list)


class DofRecord(Record):
    """Degrees of freedom of a tensor over the samples."""

    value: float | None = Field(
        description="Effective rank of the activation covariance: exp of the entropy of its "
        "normalised eigenvalues."
    )
    ceiling: int = Field(description="min(samples − 1, elements): no linear estimate exceeds it.")
    share: float | None = Field(description="Relative to the source's value; may exceed 1.")
    status: Status
    samples: int
    participation_ratio: float | None = None
    energy_95: int | None = None
    energy_99: int | None = None
    rank: int | None = Field(None, description="Covariance rank at the default tolerance.")
    two_nn: float | None = Field(None, description="Nonlinear intrinsic dimension.")
    spectrum: SpectrumRecord | None = None


class Share(Record):
    """A quantity known to lie between two ends."""

    low: float
    high: float


class ReleaseRecord(Record):
    """What an attacker gets from a tensor that is released with some noise."""

    noise: str = Field(description="As asked for: a number or a format.")
    s: float | None = Field(description="Standard deviation relative to the tensor's RMS.")
    recoverable: Share | None = Field(
        None, description="Share of the source's variance, at the sample where it is largest."
    )
    recoverable_median: Share | None = Field(
        None, description="The same over the samples with Jacobians: the median of either end."
    )
    attained: float | None = Field(
        None,
        description="Share of the source's variance that ridge regression from the noisy tensor "
        "recovers of samples that it has not seen: a floor, attained by a closed formula.",
    )
    tokens_reidentified: float | None = Field(
        None,
        ge=0,
        le=1,
        description="For a source of token embeddings, the share of tokens of unseen samples whose "
        "embedding is the nearest to what ridge regression makes of the noisy tensor, among those "
        "of the whole vocabulary.",
    )
    recoverable_dof: Levels | None = None
    bits: Levels | None = None
    van_trees_mse: float | None = Field(
        None,
        description="Lower bound on any attacker's mean squared error per source coordinate, in "
        "source units squared, if sources are Gaussian with the prior's covariance.",
    )
    van_trees_share: float | None = Field(None, description="The same, per prior variance.")
    dfil: Levels | None = None
    unbiased_mse: float | None = Field(
        None, description="Lower bound on an unbiased attacker's error, at the worst sample."
    )


class ActivationRecord(Record):
    """The tensor's values over the samples."""

    rms: float | None
    max_abs: float | None
    non_finite: int


class ClassRecord(Record):
    """How tightly the tensor's values of a class lie together."""

    classes: int = Field(description="Classes with at least 2 samples.")
    radius: float = Field(
        description="Intra-class mean-squared radius: mean squared distance of a sample from the "
        "mean of its class, over all of those, per element, in units of the tensor squared."
    )
    share: float | None = Field(description="The same, relative to the tensor's total variance.")


class TensorRecord(Record):
    """One intermediate tensor."""

    name: str
    op_type: str
    node: str
    dtype: str | None
    shape: list[int] = Field(description="Shape for one sample.")
    batch_axis: int | None = Field(description="Axis of `shape` along which samples are batched.")
    is_output: bool
    status: Status
    shares_with: str | None = Field(
        None, description="The tensor measured in its place: same values, moved at most."
    )
    activations: ActivationRecord | None = None
    dof: DofRecord | None = None
    jacobian: JacobianRecord | None = None
    release: list[ReleaseRecord] = Field(default_factory=list)
    noise_for_5_percent: float | None = Field(
        None, description="Smallest s at which no more than 5 % of the source is recoverable."
    )
    classes: ClassRecord | None = Field(None, description="Null without labels.")
    membership: list[SeparationRecord] = Field(
        default_factory=list,
        description="How well members of the training set are told from others; empty where that "
        "was not measured.",
    )


class JointRecord(Record):
    """Several tensors, released together."""

    tensors: list[str]
    record: TensorRecord = Field(
        description="Figures of all of them side by side, each in units of its own RMS: one "
        "release, with one Jacobian and one reconstruction."
    )
