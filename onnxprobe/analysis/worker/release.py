"""What an attacker gets from a released tensor, at each level of noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from onnxprobe.analysis.worker.reading import Reading, levels, weigh
from onnxprobe.analysis.worker.scale import Scale
from onnxprobe.jacobian import mean_pullback
from onnxprobe.record import ReleaseRecord, Share
from onnxprobe.risk import (
    bits,
    dfil,
    noise_for,
    parse_release_noise,
    recoverability,
    recoverable_dof,
    unbiased_error_bound,
    van_trees_bound,
)
from onnxprobe.spectrum import Prior, Spectrum

__all__ = ["noise_for_target", "release_records"]


def release_records(
    readings: Sequence[Reading],
    asked: Sequence[str],
    scale: Scale,
    prior: Prior | None,
    source_size: int,
    outputs: int,
) -> list[ReleaseRecord]:
    """Judge the release of a tensor at several noise levels.

    Args:
        readings: The tensor's Jacobians, one per sample.
        asked: Noise levels as the user wrote them.
        scale: The tensor's values.
        prior: What is known of the source beforehand.
        source_size: Elements of the source.
        outputs: Elements of the tensor.

    Returns:
        A record per level; without figures where a Jacobian is not finite or the tensor zero.
    """
    mean = _mean_spectrum(readings, prior, outputs)
    records = []
    for text in asked:
        level = scale.noise(parse_release_noise(text))
        record = ReleaseRecord(noise=text, s=level)
        if level is not None and level > 0 and all(r.energy is not None for r in readings):
            _judge(record, readings, level * scale.rms, prior, source_size, mean)
        records.append(record)
    return records


def _judge(
    record: ReleaseRecord,
    readings: Sequence[Reading],
    noise: float,
    prior: Prior | None,
    source_size: int,
    mean: Spectrum | None,
) -> None:
    energies = [reading.energy for reading in readings if reading.energy is not None]
    leakages = [dfil(energy[1], source_size, noise) for energy in energies]
    highest = max(dfil(energy[2], source_size, noise) for energy in energies)
    if all(map(math.isfinite, leakages)):
        record.dfil = levels(leakages)
    worst_error = unbiased_error_bound(highest)
    record.unbiased_mse = worst_error if math.isfinite(worst_error) else None
    weighted = [reading.weighted for reading in readings if reading.weighted is not None]
    if prior is None or len(weighted) < len(readings):
        return
    shares = [recoverability(spectrum, noise) for spectrum in weighted]
    worst = max(shares, key=lambda share: (share.high, share.low))
    record.recoverable = Share(low=worst.low, high=worst.high)
    record.recoverable_median = Share(
        low=median(share.low for share in shares), high=median(share.high for share in shares)
    )
    record.recoverable_dof = levels([recoverable_dof(spectrum, noise) for spectrum in weighted])
    record.bits = levels([bits(spectrum, noise) for spectrum in weighted])
    if mean is not None:
        record.van_trees_mse = van_trees_bound(mean, noise, prior)
        record.van_trees_share = record.van_trees_mse * source_size / prior.trace


def _mean_spectrum(
    readings: Sequence[Reading], prior: Prior | None, outputs: int
) -> Spectrum | None:
    pullbacks = [reading.pullback for reading in readings if reading.pullback is not None]
    spectra = [reading.spectrum for reading in readings if reading.spectrum is not None]
    if prior is None or not pullbacks or len(pullbacks) < len(readings):
        return None
    if len(readings) == 1:
        return readings[0].weighted
    # Errors of stacked Jacobians add up by squares, and the stack is divided by the root of N.
    floor = math.sqrt(sum(spectrum.floor**2 for spectrum in spectra) / len(spectra))
    return weigh(mean_pullback(pullbacks), prior, floor, outputs * len(readings))


def noise_for_target(readings: Sequence[Reading], scale: Scale, target: float) -> float | None:
    """Find the noise at which the source is safe at every sample.

    Args:
        readings: The tensor's Jacobians, one per sample.
        scale: The tensor's values.
        target: Share of the source's variance.

    Returns:
        The least s at which no more than that is recoverable at the worst sample; ``None`` if no
        noise can be said to be enough, or figures are missing.
    """
    weighted = [reading.weighted for reading in readings]
    if scale.rms == 0 or not weighted:
        return None
    found = [
        noise_for(spectrum, scale.rms, target) if spectrum is not None else None
        for spectrum in weighted
    ]
    return None if None in found else max(each for each in found if each is not None)
