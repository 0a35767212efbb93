"""ρ seen through part of the directions, against the posterior of all: a thousand random cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from onnxprobe.risk import Range, frobenius_interval, recoverability
from onnxprobe.spectrum import (
    ImageLayout,
    Prior,
    data_prior,
    gram,
    image_prior,
    isotropic_prior,
    prior_spectrum,
    prior_spectrum_of_factor,
    unseen_energies,
)
from onnxprobe.types import Array, Floats

CASES = 1000
KINDS = ("data", "image", "isotropic")
# Of the dense oracle, whose matrices have condition numbers up to 1e8.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Case:
    """A map, what is known of its input, and how much of it is looked at.

    Attributes:
        jacobian: The truth, shape (m, n).
        error: What was measured beside it, of a norm equal to the floor.
        floor: Noise floor.
        whole: The prior, all of its directions.
        basis: Its directions, or any orthonormal basis where it has none.
        seen: How many are looked at, fewer than n.
        noise: Of the release.
        by_gram: Whether the map is given by its Gram matrix.
    """

    jacobian: Floats
    error: Floats
    floor: float
    whole: Prior
    basis: Array
    seen: int
    noise: float
    by_gram: bool


def _prior(kind: str, n: int, rng: np.random.Generator) -> Prior:
    if kind == "isotropic":
        return isotropic_prior(n, rng.uniform(0.01, 5))
    if kind == "image":
        height = int(rng.choice([each for each in range(1, n + 1) if n % each == 0]))
        return image_prior(ImageLayout(height, n // height, channel_axis=None), [0.25], n)
    count = int(rng.integers(3, 60))
    spread = np.geomspace(1, 10.0 ** -rng.uniform(0, 4), n)
    turned = np.linalg.qr(rng.standard_normal((n, n)))[0]
    return data_prior(rng.standard_normal((count, n)) * spread @ turned, n)


def _jacobian(m: int, n: int, rng: np.random.Generator) -> Floats:
    """Full or of low rank, flat or falling, aligned with the coordinates or not."""
    rank = int(rng.integers(1, min(m, n) + 1)) if rng.random() < 0.5 else min(m, n)
    falling = 10.0 ** rng.uniform(-rng.choice([0, 3]), 0, rank)
    made: Floats = rng.standard_normal((m, rank)) * falling @ rng.standard_normal((rank, n))
    return np.asarray(made * 10.0 ** rng.uniform(-2, 2))


def _case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    n, kind = int(rng.integers(2, 40)), KINDS[seed % len(KINDS)]
    m = int(rng.integers(1, 2 * n + 1))
    whole, jacobian = _prior(kind, n, rng), _jacobian(m, n, rng)
    basis = whole.directions
    if basis is None:
        basis = np.linalg.qr(rng.standard_normal((n, n)))[0]
    elif len(basis) < n:  # two equal samples, or three on a line: nothing is known of the rest
        return _case(seed + CASES)
    norm = float(np.linalg.norm(jacobian, 2))
    floor = 0.0 if rng.random() < 0.3 else norm * 10.0 ** rng.uniform(-8, -0.5)
    error = rng.standard_normal((m, n))
    error *= floor / np.linalg.norm(error, 2)
    typical = np.linalg.norm(jacobian) * np.sqrt(whole.trace / n / m)
    noise = typical * 10.0 ** rng.uniform(-6, 1)
    seen, by_gram = int(rng.integers(0, n)), bool(rng.random() < 0.5)
    return Case(jacobian, error, floor, whole, basis, seen, noise, by_gram)


def _truth(case: Case) -> float:
    """1 − tr(posterior)/tr(prior), every matrix dense."""
    covariance = case.basis.T * case.whole.variances @ case.basis
    jacobian = case.jacobian
    outputs = jacobian @ covariance @ jacobian.T + case.noise**2 * np.eye(len(jacobian))
    gain = np.linalg.solve(outputs, jacobian @ covariance)
    posterior = covariance - covariance @ jacobian.T @ gain
    return 1 - float(np.trace(posterior) / np.trace(covariance))


def _unseen(case: Case) -> float:
    """What the other directions add to the outputs that those looked at move."""
    tangents = (case.jacobian + case.error) @ case.basis[: case.seen].T
    outputs, values, _ = np.linalg.svd(tangents, full_matrices=False)
    outputs = outputs[:, values > 1e-12 * values.max(initial=0.0)]
    rest = case.jacobian @ case.basis[case.seen :].T
    return float(np.square(outputs.T @ rest).sum())


def _found(case: Case, unseen: float | None) -> Range:
    part = case.whole.leading(case.seen)
    tangents = case.basis[: case.seen] @ (case.jacobian + case.error).T
    if case.by_gram:
        m = len(case.jacobian)
        squares = gram(tangents)
        spectrum = prior_spectrum(squares, part, floor=case.floor, outputs=m, unseen=unseen)
    else:
        spectrum = prior_spectrum_of_factor(tangents, part, floor=case.floor, unseen=unseen)
    assert spectrum is not None
    return recoverability(spectrum, case.noise)


def test_the_interval_holds_the_full_value_in_a_thousand_cases_of_a_thousand() -> None:
    widths = []
    for seed in range(CASES):
        case = _case(seed)
        assert case.seen < case.jacobian.shape[1]
        found, truth = _found(case, _unseen(case)), _truth(case)
        assert found.certified
        assert found.low - ROUNDING <= truth <= found.high + ROUNDING, f"case {seed}"
        widths.append(found.high - found.low)
    # From no direction at all to nearly all of them: the half of what could be, in the middle.
    assert np.median(widths) <= 0.55
    assert np.quantile(widths, 0.1) <= 0.1


def test_random_directions_bound_what_is_unseen() -> None:
    """As an analysis knows it: 95 of 100 such bounds hold for sure, and here nearly all do."""
    held, cases = 0, 200
    for seed in range(cases):
        case, rng = _case(seed), np.random.default_rng([seed, 1])
        n = case.jacobian.shape[1]
        probes = np.linalg.qr(rng.standard_normal((n, min(8, n))))[0].T
        main = case.basis[: case.seen]
        tangents = np.vstack([main, probes]) @ (case.jacobian + case.error).T
        energies = unseen_energies(gram(tangents), probes @ main.T)
        assert energies is not None
        unseen = frobenius_interval(energies, n).high
        held += _found(case, unseen).low <= _truth(case) + ROUNDING
    assert held >= 0.95 * cases


def test_without_a_bound_what_is_unseen_may_hide_what_was_seen() -> None:
    """Why a bound is needed: the same cases, judged by what was seen alone."""
    wrong = 0
    for seed in range(200):
        case = _case(seed)
        found = _found(case, None)
        assert found.certified == (case.whole.kind == "isotropic")
        wrong += found.low > _truth(case) + ROUNDING
    assert wrong > 20


@pytest.mark.parametrize("floor", [1e-6, 0.01, 0.3])
def test_all_directions_with_an_error_below_the_floor_hold_the_value_too(floor: float) -> None:
    """The error that lies along the map itself makes every value look larger by the floor."""
    rng = np.random.default_rng(0)
    prior = data_prior(rng.standard_normal((40, 6)) * [3, 2, 1, 1, 0.5, 0.1], 6)
    assert prior.directions is not None
    left, values, right = np.linalg.svd(rng.standard_normal((9, 6)), full_matrices=False)
    for sign in (1.0, -1.0):
        case = Case(
            jacobian=left * values @ right,
            error=sign * floor * left @ right,
            floor=floor,
            whole=prior,
            basis=prior.directions,
            seen=6,
            noise=0.2,
            by_gram=False,
        )
        found, truth = _found(case, None), _truth(case)
        assert found.certified
        assert found.low - ROUNDING <= truth <= found.high + ROUNDING
        assert found.high - found.low < 5 * floor
