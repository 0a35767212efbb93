"""Members of the training set and others: the same model, on samples of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from onnxprobe.analysis.worker.study import Study
from onnxprobe.errors import DataError
from onnxprobe.graph import index_limits
from onnxprobe.inputs import Data, ImageOptions, Samples, Signature, load_samples, spread_indices
from onnxprobe.risk import LEAST_SAMPLES

__all__ = ["jacobian_samples", "open_cohorts"]

# Samples of either kind, at most: over those activations are measured, and at some of these
# Jacobians.
_ACTIVATION_SAMPLES, _JACOBIAN_SAMPLES = 512, 128


def open_cohorts(study: Study, members: Data, non_members: Data) -> tuple[Study, int]:
    """Load members and non-members for an opened model.

    Args:
        study: The model, with samples of its own.
        members: Samples that it was trained on, as data is given.
        non_members: Samples that it was not trained on.

    Returns:
        The model on members and then non-members, and how many are members.

    Raises:
        DataError: If there are too few of either, or they are no samples of this model.
    """
    fitting = study.configuration.memory_bytes // 8 // max(1, study.signature.sample_bytes)
    limit = min(study.configuration.data_limit or _ACTIVATION_SAMPLES, _ACTIVATION_SAMPLES)
    limit = max(LEAST_SAMPLES, min(limit, fitting))
    loaded = [
        _load(study, members, "--members", limit),
        _load(study, non_members, "--non-members", limit),
    ]
    arrays = {
        name: np.concatenate([each.arrays[name] for each in loaded])
        for name in study.samples.arrays
    }
    both = set.intersection(
        *({each.subset(np.array([row])).digest for row in range(each.count)} for each in loaded)
    )
    if both:
        raise DataError(
            f"{len(both)} samples stand in both --members and --non-members: give sets that share "
            "none"
        )
    counts = [each.count for each in loaded]
    samples = Samples(arrays, sum(counts), np.arange(sum(counts)))
    # Directions must not depend on which samples are which: they are random ones, without a prior.
    cohorts = replace(
        study,
        samples=samples,
        prior=None,
        inner=None,
        cache={},
        configuration=study.configuration.model_copy(update={"samples": sum(counts)}),
    )
    return cohorts, counts[0]


def _load(study: Study, data: Data, option: str, limit: int) -> Samples:
    configuration = study.configuration
    known = {slot.name: slot.shape for slot in study.signature.slots}
    try:
        signature, samples = load_samples(
            [kind for kind in study.graph.inputs if kind.name in known],
            data,
            rng=np.random.default_rng(configuration.seed),
            options=ImageOptions(**configuration.images.model_dump()),
            sizes=configuration.sizes,
            limit=limit,
            integer_limits=index_limits(study.graph),
        )
    except DataError as error:
        raise DataError(f"{option}: {error}") from error
    _check_shapes(signature, known, option)
    if samples.count < LEAST_SAMPLES:
        raise DataError(
            f"{option} holds {samples.count} samples; membership needs at least {LEAST_SAMPLES}"
        )
    return samples


def _check_shapes(signature: Signature, known: dict[str, tuple[int, ...]], option: str) -> None:
    for slot in signature.slots:
        if slot.shape != known[slot.name]:
            raise DataError(
                f"{option} holds samples of shape {_spelled(slot.shape)} for input {slot.name!r}, "
                f"and the data has {_spelled(known[slot.name])}; give samples of one shape"
            )


def _spelled(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "one number"


def jacobian_samples(study: Study) -> list[int]:
    """Choose the samples of either kind at which Jacobians are taken.

    Args:
        study: The model.

    Returns:
        Indices among the cohorts' samples, members first, spread evenly over either kind; none if
        there are no cohorts.
    """
    if study.cohorts is None:
        return []
    count, members = study.cohorts.samples.count, study.members
    first = spread_indices(members, _JACOBIAN_SAMPLES)
    others = members + spread_indices(count - members, _JACOBIAN_SAMPLES)
    return [*first.tolist(), *others.tolist()]
