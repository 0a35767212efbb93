"""Linear maps of known singular values under priors of known variances, against closed forms.

``J = U·diag(σ)·P`` for the prior's directions P and variances λ: whitened direction i has
``a = σ²λ/N²`` and weighs ``λ/Σλ``. Sums are Python's, exact to a rounding, and share nothing with
the package; nothing is as far off as 1e-6, the widest condition number of J·L being 7,000.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from onnxprobe.risk import (
    bits,
    dfil,
    noise_for,
    recoverability,
    recoverable_dof,
    unbiased_error_bound,
    van_trees_bound,
)
from onnxprobe.spectrum import (
    ImageLayout,
    Prior,
    Spectrum,
    gram,
    image_prior,
    isotropic_prior,
    prior_spectrum,
    prior_spectrum_of_factor,
)
from onnxprobe.types import Floats
from tests.closed_forms import Truth

N = 24
NOISES = (1e-3, 0.01, 0.1, 1.0, 10.0)
TARGETS = (0.01, 0.05, 0.2, 0.5, 0.9, 0.99)
SPECTRA = {
    "falling": [100 ** (-i / (N - 1)) for i in range(N)],
    "flat": [0.7] * N,
    "rank 5": [1.0, 0.6, 0.3, 0.2, 0.1] + [0.0] * (N - 5),
}


def _basis(n: int, seed: int) -> Floats:
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def _data() -> Prior:
    variances = np.geomspace(3, 6e-4, N)
    return Prior("data", N, float(variances.sum()), _basis(N, 1), variances)


PRIORS = {
    "data": _data(),
    "image": image_prior(ImageLayout(4, 6, channel_axis=None), [0.25], N),
    "isotropic": isotropic_prior(N, 0.3),
}


def _case(spectrum: str, prior: Prior, outputs: int) -> tuple[Floats, Truth]:
    values = SPECTRA[spectrum][:outputs] + [0.0] * (N - outputs)
    variances = [float(v) for v in prior.variances]
    directions = _basis(N, 2) if prior.directions is None else prior.directions
    rows = min(outputs, N)
    jacobian = _basis(outputs, 3)[:, :rows] * np.array(values[:rows]) @ directions[:rows]
    gains = [s * s * v for s, v in zip(values, variances, strict=True)]
    total = math.fsum(variances)
    return jacobian, Truth(gains, [v / total for v in variances], total)


def _by_gram(tangents: Floats, prior: Prior) -> Spectrum | None:
    return prior_spectrum(gram(tangents), prior, outputs=tangents.shape[1])


@pytest.mark.parametrize("weigh", [_by_gram, prior_spectrum_of_factor])
@pytest.mark.parametrize("outputs", [6, N, 40])
@pytest.mark.parametrize("kind", PRIORS)
@pytest.mark.parametrize("name", SPECTRA)
def test_every_measure_is_its_closed_form(
    name: str, kind: str, outputs: int, weigh: Callable[[Floats, Prior], Spectrum | None]
) -> None:
    prior = PRIORS[kind]
    jacobian, truth = _case(name, prior, outputs)
    directions = _basis(N, 2) if prior.directions is None else prior.directions
    spectrum = weigh(directions @ jacobian.T, prior)
    assert spectrum is not None
    for noise in NOISES:
        found = recoverability(spectrum, noise)
        assert found.low == pytest.approx(truth.rho(noise), rel=1e-6)
        assert found.high == pytest.approx(truth.rho(noise), rel=1e-6)
        assert recoverable_dof(spectrum, noise) == pytest.approx(truth.dof(noise), rel=1e-6)
        assert bits(spectrum, noise) == pytest.approx(truth.bits(noise), rel=1e-6)
        least = truth.least_error(noise)
        assert van_trees_bound(spectrum, noise, prior) == pytest.approx(least, rel=1e-6)
        leakage = dfil(float(np.square(jacobian).sum()), N, noise)
        energy = math.fsum(s * s for s in SPECTRA[name][:outputs])
        assert leakage == pytest.approx(energy / N / noise**2, rel=1e-6)
        assert unbiased_error_bound(leakage) == pytest.approx(N * noise**2 / energy, rel=1e-6)
    for target in TARGETS:
        level = noise_for(spectrum, rms=2.0, target=target)
        # None is needed where the rank allows no more; a zero is known to the floor of squaring.
        known = spectrum.floor if 0.0 in truth.gains else 0.0
        assert level == pytest.approx(truth.noise_for(target) / 2.0, rel=1e-6, abs=known)


def test_what_squaring_hides_is_added_to_squares() -> None:
    """A value of 1e-6 beside 1: taken as an error of the map, 1e-7 would add a fifth to it."""
    prior = Prior("data", 2, 2.0, np.eye(2), np.ones(2))
    spectrum = prior_spectrum_of_factor(np.diag([1.0, 1e-6]), prior)
    assert spectrum is not None
    assert spectrum.error == 0.0
    assert 1e-8 < spectrum.floor < 1e-7
    truth = (1 / (1 + 1e-14) + 0.01 / 1.01) / 2
    assert truth <= recoverability(spectrum, 1e-5).high <= truth * (1 + 1e-4)


def test_an_error_of_the_map_above_that_of_squaring_is_the_floor() -> None:
    prior = Prior("data", 2, 2.0, np.eye(2), np.ones(2))
    spectrum = prior_spectrum_of_factor(np.eye(2), prior, floor=1e-3)
    assert spectrum is not None
    assert spectrum.error is None
    assert spectrum.floor == 1e-3
    less = prior_spectrum_of_factor(np.eye(2), prior, floor=1e-9)
    assert less is not None
    assert less.error == 1e-9
