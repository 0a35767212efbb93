"""The source over the samples: its degrees of freedom, its prior, and the directions through it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from onnxprobe.analysis.messages import Layout, SourceAnswer
from onnxprobe.analysis.worker.activations import Moments, dof_record
from onnxprobe.analysis.worker.study import Study
from onnxprobe.analysis.worker.tokens import token_task
from onnxprobe.errors import DataError
from onnxprobe.inputs import Geometry, ImageOptions, picture_moments
from onnxprobe.jacobian import Directions, coordinate_directions, given_directions
from onnxprobe.record import PriorRecord
from onnxprobe.spectrum import (
    ChannelAxis,
    ImageLayout,
    Prior,
    data_prior,
    held_out_share,
    image_prior,
    isotropic_prior,
    join_priors,
)
from onnxprobe.types import Array

__all__ = ["PRIOR_DIRECTIONS", "collect_inner", "measure_source", "source_directions"]

# Principal directions kept of a prior. What they leave out is counted as known to the attacker.
PRIOR_DIRECTIONS = 2048
# Fewer samples than this say nothing about a covariance.
MIN_SAMPLES = 8


def measure_source(
    study: Study,
    layout: Layout | None,
    rows: int,
    directions: int,
    progress: Callable[[float], None],
) -> SourceAnswer:
    """Measure the source over the samples, and settle the prior.

    Args:
        study: The opened model.
        layout: How an inner source lies; ``None`` where the source is inputs.
        rows: Rows that share a run.
        directions: How many directions the analysis uses.
        progress: Told when it is done.

    Returns:
        Its size, degrees of freedom and prior.
    """
    if layout is not None:
        study.inner_layout = layout
        study.inner = collect_inner(study, layout, rows)
    matrix = study.source_matrix()
    sums = Moments(study.samples.count, [])
    sums.add(matrix.astype(np.float32) if matrix.dtype == np.float16 else matrix)
    epsilon = float(np.finfo(matrix.dtype).eps) if matrix.dtype.kind == "f" else 0.0
    dof = dof_record(sums, study.configuration.tolerance, epsilon)
    if dof.value is not None:
        dof.share = 1.0
    prior = _make_prior(study, directions)
    study.prior = prior if prior.trace > 0 else None
    progress(1.0)
    record = None if study.prior is None else _record(study.prior)
    if record is not None and record.kind == "data":
        record.held_out_share = held_out_share(sums.gram, record.directions)
    if record is not None and record.kind == "image":
        options = ImageOptions(**study.configuration.images.model_dump())
        record.range_assumed = options.is_raw
    task = token_task(study)
    if task is None:
        return SourceAnswer(dof=dof, prior=record)
    return SourceAnswer(
        dof=dof,
        prior=record,
        tokens=task.count,
        vocabulary=len(task.table),
        tokens_guessed=task.guessed(),
    )


def collect_inner(study: Study, layout: Layout, rows: int) -> Array:
    """Run a model up to an inner source.

    Args:
        study: The opened model.
        layout: How the source lies.
        rows: Rows that share a run.

    Returns:
        Its value for every sample, shape (samples, n).
    """
    session = study.session([layout.name], batched=layout.batched)
    runner = study.runner(session, [layout], batched=layout.batched)
    count = study.samples.count
    wide = np.float64 if layout.dtype == "float64" else np.float32
    matrix = np.empty((count, layout.size), wide)
    for start in range(0, count, rows):
        indices = range(start, min(start + rows, count))
        matrix[start : indices.stop] = runner.run(study.rows(indices))[layout.name]
    return matrix


def _make_prior(study: Study, directions: int) -> Prior:
    """Return what an attacker is assumed to know of the source beforehand."""
    asked = study.configuration.prior
    # Where the directions do not span the source, they will be the leading ones of the prior.
    limit = min(directions, PRIOR_DIRECTIONS)
    drawn = study.samples.synthetic and not study.source_tensor
    if asked == "data" and (drawn or study.samples.count < MIN_SAMPLES):
        raise DataError(f"--prior data needs at least {MIN_SAMPLES} samples: give --data")
    if asked in {"auto", "data"} and not drawn and study.samples.count >= MIN_SAMPLES:
        return data_prior(study.source_matrix(), limit)
    options = ImageOptions(**study.configuration.images.model_dump())
    slots = {slot.name: slot for slot in study.signature.slots}
    priors = []
    for part in study.source.parts:
        slot = slots.get(part.name)
        pictures = None
        if slot is not None and asked != "isotropic":
            pictures = picture_moments(slot, options)
        if asked == "image" and pictures is None:
            raise DataError(
                f"--prior image needs an input of pictures, and {part.name!r} is none; --layout "
                "says how pictures lie in it, if it is"
            )
        if pictures is not None:
            geometry, _, deviations = pictures
            priors.append(image_prior(_layout(geometry), deviations, limit))
        else:
            variance = 1.0 if drawn else float(np.mean(study.source_matrix() ** 2.0))
            priors.append(isotropic_prior(part.size, variance))
    return join_priors(priors, limit)


def _layout(geometry: Geometry) -> ImageLayout:
    axis: ChannelAxis = {"NHWC": "last", "NHW": None}.get(geometry.layout, "first")
    return ImageLayout(
        geometry.height or 1, geometry.width or 1, geometry.channels or 1, channel_axis=axis
    )


def _record(prior: Prior) -> PriorRecord:
    return PriorRecord(
        kind=prior.kind,
        variance=prior.trace / prior.size,
        directions=prior.size if prior.directions is None else len(prior.directions),
        share=prior.share,
    )


def source_directions(study: Study, count: int) -> Directions:
    """Return the directions through which Jacobians are seen.

    Args:
        study: The opened model, its source measured.
        count: How many; all coordinates if as many as the source has.

    Returns:
        Coordinates, the prior's principal components, or random directions.
    """
    if ("directions", count) not in study.cache:
        size = study.source.size
        if count >= size:
            found = coordinate_directions(size)
        else:
            prior = study.prior
            rng = np.random.default_rng([study.configuration.seed, 1])
            principal = None if prior is None else prior.directions
            found = given_directions(size, count, rng, principal)
        study.cache["directions", count] = found
    chosen: Directions = study.cache["directions", count]
    return chosen
