"""What a report says of one tensor."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from onnxprobe.record.base import Record, Status
from onnxprobe.record.labels import Attained, Bounding, Measured, Predicted
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
    rank: Measured[int | None] = None
    resolved: Measured[int | None] = Field(
        None, description="Singular values above the noise floor."
    )
    rank_at_rounding: Measured[int | None] = Field(
        None, description="Singular values above the unit rounding of the largest."
    )
    frobenius: Measured[list[float] | None] = Field(
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
    rank: Measured[RankLevels | None] = Field(None, description="Rank at the default tolerance.")
    rank_at: Measured[dict[str, RankLevels]] = Field(default_factory=dict)
    share: Measured[float | None] = Field(None, description="Median rank relative to `inputs`.")
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
    stable_rank: Measured[Levels | None] = None
    effective_rank: Measured[Levels | None] = None
    participation_ratio: Measured[Levels | None] = None
    energy_95: Measured[Levels | None] = None
    energy_99: Measured[Levels | None] = None
    step: float | None = Field(None, description="Finite-difference step, in source units.")
    noise_floor: Measured[Levels | None] = Field(
        None, description="Absolute, in units of `spectrum`."
    )
    noise_model: Literal["shaken values", "path length", "two steps"] | None = Field(
        None,
        description="Where the floor comes from. `shaken values`: how far exact derivatives move "
        "where every value is off by a random rounding error (Monte Carlo arithmetic), and how far "
        "they are from linear in their direction. `path length`: the latter, and an estimate by "
        "the number of operators, where the graph of the former did not run. `two "
        "steps`: how far finite differences with two steps are from each other.",
    )
    function_noise: Measured[float | None] = Field(
        None, description="Noise of an element of the tensor, relative to its RMS."
    )
    samples: list[JacobianSample] = Field(default_factory=list)


class DofRecord(Record):
    """Degrees of freedom of a tensor over the samples."""

    value: Measured[float | None] = Field(
        description="Effective rank of the activation covariance: exp of the entropy of its "
        "normalised eigenvalues."
    )
    ceiling: int = Field(description="min(samples − 1, elements): no linear estimate exceeds it.")
    share: Measured[float | None] = Field(
        description="Relative to the source's value; may exceed 1."
    )
    status: Status
    samples: int
    participation_ratio: Measured[float | None] = None
    energy_95: Measured[int | None] = None
    energy_99: Measured[int | None] = None
    rank: Measured[int | None] = Field(
        None, description="Covariance rank at the default tolerance."
    )
    two_nn: Measured[float | None] = Field(None, description="Nonlinear intrinsic dimension.")
    spectrum: SpectrumRecord | None = None


class Share(Record):
    """A quantity known to lie between two ends."""

    low: float
    high: float


class ReleaseRecord(Record):
    """What an attacker gets from a tensor that is released with some noise."""

    noise: str = Field(description="As asked for: a number or a format.")
    s: float | None = Field(description="Standard deviation relative to the tensor's RMS.")
    recoverable: Predicted[Share | None] = Field(
        None, description="Share of the source's variance, at the sample where it is largest."
    )
    recoverable_median: Predicted[Share | None] = Field(
        None, description="The same over the samples with Jacobians: the median of either end."
    )
    attained: Attained[float | None] = Field(
        None,
        description="Share of the source's variance that ridge regression from the noisy tensor "
        "recovers of samples that it has not seen: a floor, attained by a closed formula.",
    )
    tokens_reidentified: Attained[float | None] = Field(
        None,
        ge=0,
        le=1,
        description="For a source of token embeddings, the share of tokens of unseen samples whose "
        "embedding is the nearest to what ridge regression makes of the noisy tensor, among those "
        "of the whole vocabulary.",
    )
    recoverable_dof: Predicted[Levels | None] = None
    bits: Predicted[Levels | None] = None
    van_trees_mse: Bounding[float | None] = Field(
        None,
        description="Lower bound on any attacker's mean squared error per source coordinate, in "
        "source units squared, if sources are Gaussian with the prior's covariance.",
    )
    van_trees_share: Bounding[float | None] = Field(
        None, description="The same, per prior variance."
    )
    dfil: Measured[Levels | None] = None
    unbiased_mse: Bounding[float | None] = Field(
        None, description="Lower bound on an unbiased attacker's error, at the worst sample."
    )


class ActivationRecord(Record):
    """The tensor's values over the samples."""

    rms: Measured[float | None]
    max_abs: Measured[float | None]
    non_finite: int


class ClassRecord(Record):
    """How tightly the tensor's values of a class lie together."""

    classes: int = Field(description="Classes with at least 2 samples.")
    radius: Measured[float] = Field(
        description="Intra-class mean-squared radius: mean squared distance of a sample from the "
        "mean of its class, over all of those, per element, in units of the tensor squared."
    )
    share: Measured[float | None] = Field(
        description="The same, relative to the tensor's total variance."
    )


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
    lower_bounds: list[str] = Field(
        default_factory=list,
        description="Figures, by dotted name, that are certified lower bounds here: the Jacobian "
        "was seen through fewer directions than the source has.",
    )
    activations: ActivationRecord | None = None
    dof: DofRecord | None = None
    jacobian: JacobianRecord | None = None
    release: list[ReleaseRecord] = Field(default_factory=list)
    noise_for: Predicted[dict[str, float | None]] = Field(
        default_factory=dict,
        description="By share of the source's variance, the smallest s at which no more than that "
        "is recoverable, neither by prediction at the worst sample nor by the reconstruction that "
        "was tried; null if no noise can be said to be enough.",
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

    @property
    def label(self) -> str:
        """The names of its tensors."""
        return " + ".join(self.tensors)
