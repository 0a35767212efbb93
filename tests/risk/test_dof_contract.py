"""One contract for every estimator of degrees of freedom, and proof that it catches wrong ones.

An estimator joins by two lines: how it counts samples, and how its slow twin does from the dense
covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxprobe.risk import bits, recoverable_dof
from onnxprobe.spectrum import (
    Spectrum,
    centred_gram,
    covariance_spectrum,
    effective_rank,
    energy_rank,
    numerical_rank,
    participation_ratio,
    stable_rank,
    two_nn,
)
from onnxprobe.types import Array, Floats

Count = Callable[[Array], float]


@dataclass(frozen=True)
class Estimator:
    """An estimator beside its slow twin."""

    name: str
    count: Count
    twin: Callable[[Floats], float] | None  # of the eigenvalues of the covariance, descending
    is_linear: bool = True


def _of_spectrum(measure: Callable[[Spectrum], float]) -> Count:
    def count(samples: Array) -> float:
        spectrum = covariance_spectrum(samples)
        assert spectrum is not None
        return measure(spectrum)

    return count


def _relative_noise(spectrum: Spectrum) -> float:
    return 0.1 * float(np.sqrt(spectrum.energy))


def _energy_twin(share: float) -> Callable[[Floats], float]:
    def twin(variances: Floats) -> float:
        count = 0
        while variances[:count].sum() < share * variances.sum() * (1 - 1e-12):
            count += 1
        return count

    return twin


def _entropy_twin(variances: Floats) -> float:
    shares = [v / variances.sum() for v in variances if v > 0]
    return float(np.exp(-sum(p * np.log(p) for p in shares)))


def _pair_twin(variances: Floats) -> float:
    """1/P(two draws of energy fall on the same direction)."""
    shares = variances / variances.sum()
    return float(1 / sum(p * p for p in shares))


def _smoother_twin(variances: Floats) -> float:
    """The trace of the ridge smoother itself."""
    covariance = np.diag(variances)
    ridge = 0.01 * variances.sum() * np.eye(len(variances))
    return float(np.trace(np.linalg.solve(covariance + ridge, covariance)))


def _bits_twin(variances: Floats) -> float:
    whole = np.eye(len(variances)) + np.diag(variances) / (0.01 * variances.sum())
    return float(np.linalg.slogdet(whole)[1] / np.log(4))


def _dimension(samples: Array) -> float:
    dimension = two_nn(centred_gram(samples))
    return -1.0 if dimension is None else dimension  # none must stay none under every change


ESTIMATORS = [
    Estimator("effective rank", _of_spectrum(effective_rank), _entropy_twin),
    Estimator("participation ratio", _of_spectrum(participation_ratio), _pair_twin),
    Estimator("stable rank", _of_spectrum(stable_rank), lambda v: float(v.sum() / v.max())),
    Estimator("energy-95", _of_spectrum(lambda s: energy_rank(s, 0.95)), _energy_twin(0.95)),
    Estimator("energy-99", _of_spectrum(lambda s: energy_rank(s, 0.99)), _energy_twin(0.99)),
    Estimator(
        "numerical rank",
        _of_spectrum(lambda s: numerical_rank(s, 1e-2).value),
        lambda v: sum(value > 1e-4 * v.max() for value in v),
    ),
    Estimator(
        "recoverable",
        _of_spectrum(lambda s: recoverable_dof(s, _relative_noise(s))),
        _smoother_twin,
    ),
    Estimator("bits", _of_spectrum(lambda s: bits(s, _relative_noise(s))), _bits_twin, False),
    Estimator("two-nn", _dimension, None, False),
]


def check_contract(estimator: Estimator, samples: Array, rng: np.random.Generator) -> None:
    """Assert everything that degrees of freedom must satisfy.

    The tolerance 1e-6 is float64 rounding of the Gram matrix, seen through values at the edge of
    what it resolves; counts of whole directions are exact.
    """
    n, d = samples.shape
    expected = estimator.count(samples)
    rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
    same = {
        "repeated": samples.copy(),
        "rotated": samples @ rotation,
        "samples permuted": samples[rng.permutation(n)],
        "features permuted": samples[:, rng.permutation(d)],
        "shifted": samples + rng.standard_normal(d),
        "scaled up": samples * 1e6,
        "scaled down": samples * -1e-6,
        "padded with constants": np.hstack([samples, np.ones((n, 2))]),
    }
    for change, changed in same.items():
        found = estimator.count(changed)
        assert found == pytest.approx(expected, rel=1e-6), f"not invariant: {change}"
    assert estimator.count(samples) == expected, "not deterministic"
    if estimator.is_linear:
        assert 0 <= expected <= min(n - 1, d) * (1 + 1e-9), "above the ceiling"
    if estimator.twin is not None:
        variances = np.linalg.eigvalsh(np.cov(samples, rowvar=False))[::-1]
        slow = estimator.twin(np.maximum(variances, 0.0)[: min(n - 1, d)])
        assert expected == pytest.approx(slow, rel=1e-6), "not its slow twin"


def _samples(seed: int, n: int, d: int, decay: float) -> tuple[Array, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) * decay ** np.arange(d), rng


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: estimator.name)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(12, 40),
    d=st.integers(2, 40),
    decay=st.floats(0.8, 1.0),
)
def test_every_estimator_keeps_the_contract(
    estimator: Estimator, seed: int, n: int, d: int, decay: float
) -> None:
    check_contract(estimator, *_samples(seed, n, d, decay))


@pytest.mark.parametrize(
    "estimator", [e for e in ESTIMATORS if e.is_linear], ids=lambda estimator: estimator.name
)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 8))
def test_no_estimator_counts_more_than_the_dimensions_of_a_flat(
    estimator: Estimator, seed: int, k: int
) -> None:
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal((30, k)) @ rng.standard_normal((k, 20))
    assert estimator.count(flat) <= k * (1 + 1e-9)


def _entropy_of_values(spectrum: Spectrum) -> float:
    p = spectrum.resolved / spectrum.resolved.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def _absolute_rank(spectrum: Spectrum) -> float:
    return float(np.count_nonzero(spectrum.values > 1e-2))


def _uncentred(samples: Array) -> float:
    return participation_ratio(Spectrum.of(np.linalg.svd(samples, compute_uv=False)))


def _first_feature(samples: Array) -> float:
    variances = samples.var(axis=0)
    return float(variances.sum() / variances[0])


class _Forgetful:
    """An estimator that draws from a generator of its own."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __call__(self, samples: Array) -> float:
        return _of_spectrum(participation_ratio)(samples) + float(self.rng.uniform(0, 0.1))


WRONG = [
    (Estimator("σ for σ²", _of_spectrum(_entropy_of_values), _entropy_twin), "not its slow twin"),
    (
        Estimator(
            "a pair too many", _of_spectrum(lambda s: participation_ratio(s) * 1.001), _pair_twin
        ),
        "not its slow twin",
    ),
    (Estimator("absolute", _of_spectrum(_absolute_rank), None), "not invariant: scaled"),
    (Estimator("not centred", _uncentred, None), "not invariant: shifted"),
    (Estimator("one feature", _first_feature, None), "not invariant: rotated"),
    (Estimator("random", _Forgetful(), None), "not invariant: repeated"),
    (Estimator("too many", lambda samples: float(len(samples)), None), "above the ceiling"),
]


@pytest.mark.parametrize(("wrong", "complaint"), WRONG, ids=lambda item: getattr(item, "name", ""))
def test_the_contract_catches_a_wrong_estimator(wrong: Estimator, complaint: str) -> None:
    """Test of the tests: each of these is wrong in one way, and the contract names it."""
    with pytest.raises(AssertionError, match=complaint):
        check_contract(wrong, *_samples(3, 20, 12, 0.9))
