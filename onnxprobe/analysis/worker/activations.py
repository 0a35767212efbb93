"""Degrees of freedom: what a tensor's values over the samples span."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, get_args

import numpy as np

from onnxprobe.analysis.configuration import target_key
from onnxprobe.analysis.messages import ActivationAnswer, Attained, Layout, Part
from onnxprobe.analysis.worker.scale import Scale
from onnxprobe.analysis.worker.study import Study
from onnxprobe.analysis.worker.tokens import token_task
from onnxprobe.record import ActivationRecord, ClassRecord, DofRecord, SpectrumRecord, Status
from onnxprobe.risk import (
    MAX_SAMPLES,
    FloatFormat,
    class_radius,
    parse_release_noise,
    ridge_attack,
    rounding_moment,
)
from onnxprobe.spectrum import (
    Magnitudes,
    Spectrum,
    centred_gram,
    covariance_spectrum_from_gram,
    dof_ceiling,
    effective_rank,
    energy_rank,
    is_saturated,
    numerical_rank,
    participation_ratio,
    two_nn,
)
from onnxprobe.types import Array, Floats, Runner

__all__ = ["Moments", "dof_record", "measure_activations", "measure_moments", "spectrum_record"]

Result = TypeVar("Result")

# Values of a spectrum that the report keeps.
SPECTRUM_VALUES = 32
_SOURCE_GRAM = "source gram"
# Integers beyond 2²⁴ and doubles lose digits in float32.
_WIDE = frozenset({"float64", "int32", "int64", "uint32", "uint64"})


class Moments:
    """Sums over a tensor's elements and samples, added up part by part.

    Args:
        samples: How many samples there are.
        formats: Float formats whose rounding error is wanted.
    """

    def __init__(self, samples: int, formats: Sequence[FloatFormat]) -> None:
        self.samples = samples
        self.gram: Floats = np.zeros((samples, samples))
        self.magnitudes = Magnitudes.of(np.zeros((samples, 0)))
        self.non_finite = 0
        self.max_abs = 0.0
        self._rounding = dict.fromkeys(formats, 0.0)

    def add(self, part: Array) -> None:
        """Take some elements of every sample into account.

        Args:
            part: Shape (samples, elements).
        """
        bad = int(part.size - np.count_nonzero(np.isfinite(part)))
        self.non_finite += bad
        self.magnitudes = self.magnitudes.joined(Magnitudes.of(part))
        if bad or not part.size:
            return
        self.gram += centred_gram(part)
        self.max_abs = max(self.max_abs, float(np.abs(part).max()))
        for name in self._rounding:
            self._rounding[name] += rounding_moment(part, name) * part.size

    @property
    def rounding(self) -> dict[str, float]:
        """By float format, the mean square of its rounding error."""
        count = max(1, self.samples * self.magnitudes.features)
        return {name: total / count for name, total in self._rounding.items()}


def measure_activations(
    study: Study,
    layouts: Sequence[Layout],
    passes: Sequence[Sequence[Part]],
    rows: int,
    progress: Callable[[float], None],
) -> list[ActivationAnswer]:
    """Measure the degrees of freedom of some tensors.

    Args:
        study: The opened model.
        layouts: The tensors, all batched or none.
        passes: For each run over the samples, the parts of tensors that it collects.
        rows: Rows that share a run.
        progress: Told the tensor passes done.

    Returns:
        An answer per tensor.
    """
    _note_source(study)
    by_name = {layout.name: layout for layout in layouts}

    def answer(name: str, sums: Moments, values: Array | None) -> ActivationAnswer:
        return _answer(study, by_name[name], sums, values)

    formats = [name for name in get_args(FloatFormat) if name in study.configuration.noise]
    found = measure_moments(study, layouts, passes, rows, formats, answer, progress)
    return [found[layout.name] for layout in layouts]


def measure_moments(
    study: Study,
    layouts: Sequence[Layout],
    passes: Sequence[Sequence[Part]],
    rows: int,
    formats: Sequence[FloatFormat],
    reduce: Callable[[str, Moments, Array | None], Result],
    progress: Callable[[float], None],
) -> dict[str, Result]:
    """Add up what some tensors are over the samples.

    Args:
        study: The opened model.
        layouts: The tensors, all batched or none.
        passes: For each run over the samples, the parts of tensors that it collects.
        rows: Rows that share a run.
        formats: Float formats whose rounding error is wanted.
        reduce: Turns a tensor's sums into what is kept of them; called from several threads. It is
            also given the values themselves, shape (samples, elements), if they fit the memory.
        progress: Told the tensor passes done.

    Returns:
        By tensor, what `reduce` returned.
    """
    names = [layout.name for layout in layouts]
    batched = all(layout.batched for layout in layouts)
    runner = study.runner(study.session(names, batched=batched), layouts, batched=batched)
    count = study.samples.count
    by_name = {layout.name: layout for layout in layouts}
    moments = {name: Moments(count, formats) for name in names}
    last = {part.name: index for index, parts in enumerate(passes) for part in parts}
    results: dict[str, Result] = {}
    for index, parts in enumerate(passes):
        collected = _collect(study, runner, by_name, parts, rows, progress)

        def finish(part: Part, collected: dict[str, Array] = collected, index: int = index) -> None:
            values = collected.pop(part.name)
            moments[part.name].add(values)
            if last[part.name] == index:
                whole = values if values.shape[1] == by_name[part.name].size else None
                results[part.name] = reduce(part.name, moments.pop(part.name), whole)

        with ThreadPoolExecutor(study.settings.threads) as pool:
            list(pool.map(finish, parts))
    return results


def _collect(
    study: Study,
    runner: Runner,
    layouts: dict[str, Layout],
    parts: Sequence[Part],
    rows: int,
    progress: Callable[[float], None],
) -> dict[str, Array]:
    count = study.samples.count
    collected = {
        part.name: np.empty(
            (count, part.stop - part.start),
            np.float64 if layouts[part.name].dtype in _WIDE else np.float32,
        )
        for part in parts
    }
    for start in range(0, count, rows):
        indices = range(start, min(start + rows, count))
        outputs = runner.run(study.rows(indices))
        for part in parts:
            collected[part.name][start : indices.stop] = outputs[part.name][
                :, part.start : part.stop
            ]
        progress(len(parts) * len(indices) / count)
    return collected


def _answer(study: Study, layout: Layout, sums: Moments, values: Array | None) -> ActivationAnswer:
    finite = sums.magnitudes.is_finite
    activations = ActivationRecord(
        rms=sums.magnitudes.rms if finite else None,
        max_abs=sums.max_abs if finite else None,
        non_finite=sums.non_finite,
    )
    dtype = np.dtype(layout.dtype)
    epsilon = float(np.finfo(dtype).eps) if dtype.kind == "f" else 0.0
    dof = dof_record(sums, study.configuration.tolerance, epsilon)
    attained, enough = _attained(study, layout, sums, values)
    return ActivationAnswer(
        name=layout.name,
        activations=activations,
        dof=dof,
        attained=attained,
        noise_for=enough,
        classes=_classes(study, sums),
        rounding=sums.rounding,
    )


def _attained(
    study: Study, layout: Layout, sums: Moments, values: Array | None
) -> tuple[list[Attained], dict[str, float | None]]:
    """Reconstruct the source from the tensor, at every noise and down to every target."""
    inputs = study.cache.get(_SOURCE_GRAM)
    if inputs is None or not sums.magnitudes.is_finite:
        return [], {}
    scale = Scale(sums.magnitudes.rms, sums.max_abs, sums.rounding)
    levels = {text: scale.noise(parse_release_noise(text)) for text in study.configuration.noise}
    variances = [((level or 0.0) * scale.rms) ** 2 for level in levels.values()]
    used = slice(min(sums.samples, MAX_SAMPLES))
    attack = ridge_attack(sums.gram[used, used], inputs[used, used])
    if attack is None:
        return [Attained(noise=text, s=level, share=None) for text, level in levels.items()], {}
    floor = attack.floor(variances)
    attained = [
        Attained(noise=text, s=level, share=share)
        for (text, level), share in zip(levels.items(), floor.r2, strict=True)
    ]
    task = token_task(study)
    positions = None if task is None else task.at_positions(layout, values)
    for each, variance, penalties in zip(attained, variances, floor.penalties, strict=True):
        if task is None:
            break
        each.tokens = task.share(attack, penalties, variance)
        if positions is not None:
            told = task.told(positions, variance)
            each.tokens = max(each.tokens, told.tokens)
            each.share = max(each.share or 0.0, told.r2)
    enough: dict[str, float | None] = {}
    for target in study.configuration.targets if scale.rms > 0 else ():
        variance = attack.least_variance(target)
        if task is not None and positions is not None and math.isfinite(variance):
            variance = task.enough(positions, target, variance, scale.rms)
        enough[target_key(target)] = (
            math.sqrt(variance) / scale.rms if math.isfinite(variance) else None
        )
    return attained, enough


def _classes(study: Study, sums: Moments) -> ClassRecord | None:
    """Measure how tightly classes lie together, where the data says which is which."""
    labels = study.samples.labels
    if labels is None or not sums.magnitudes.is_finite:
        return None
    found = class_radius(sums.gram, labels)
    if found is None:
        return None
    elements = max(1, sums.magnitudes.features)
    return ClassRecord(classes=found.classes, radius=found.radius / elements, share=found.share)


def _note_source(study: Study) -> None:
    """Keep the inner products of the source's values, which every tensor is held against."""
    if _SOURCE_GRAM in study.cache or not study.source_names:
        return
    matrix = study.source_matrix()
    is_finite = bool(np.isfinite(matrix).all())
    study.cache[_SOURCE_GRAM] = centred_gram(matrix) if is_finite else None


def dof_record(sums: Moments, tolerance: float, epsilon: float) -> DofRecord:
    """Read the degrees of freedom off a tensor's sums.

    Args:
        sums: Over all of its elements and samples.
        tolerance: Relative tolerance of the covariance rank.
        epsilon: Machine epsilon of the type that it was computed in.

    Returns:
        Every linear estimate, TwoNN, and the spectrum of standard deviations.
    """
    ceiling = dof_ceiling(sums.samples, sums.magnitudes.features)
    spectrum = covariance_spectrum_from_gram(sums.gram, sums.magnitudes, epsilon=epsilon)
    if spectrum is None:
        return DofRecord(
            value=None, ceiling=ceiling, share=None, status="non-finite", samples=sums.samples
        )
    value = effective_rank(spectrum)
    status: Status = "ok"
    if spectrum.resolved_count == 0:
        status = "constant"
    elif is_saturated(value, sums.samples):
        status = "saturated"
    return DofRecord(
        value=value,
        ceiling=ceiling,
        share=None,
        status=status,
        samples=sums.samples,
        participation_ratio=participation_ratio(spectrum),
        energy_95=energy_rank(spectrum, 0.95),
        energy_99=energy_rank(spectrum, 0.99),
        rank=numerical_rank(spectrum, tolerance).value,
        two_nn=two_nn(sums.gram),
        spectrum=spectrum_record(spectrum),
    )


def spectrum_record(spectrum: Spectrum) -> SpectrumRecord:
    """Thin a spectrum out for the report.

    Args:
        spectrum: Any spectrum.

    Returns:
        At most `SPECTRUM_VALUES` of its values, evenly on a logarithmic scale of their order.
    """
    indices, values = spectrum.decimated(SPECTRUM_VALUES)
    return SpectrumRecord(
        size=len(spectrum.values),
        floor=spectrum.floor,
        complete=spectrum.complete,
        indices=indices.tolist(),
        values=values.tolist(),
    )
