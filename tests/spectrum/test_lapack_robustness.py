"""Row 16 of the goal figures: 500 matrices that LAPACK meets in the wild."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from onnxprobe.spectrum import TOLERANCES, Spectrum, gram, gram_spectrum, numerical_rank
from onnxprobe.types import Array, Floats


@dataclass(frozen=True)
class Case:
    """A matrix with singular values known by construction."""

    name: str
    matrix: Floats
    values: Floats


def _build(values: Floats, shape: tuple[int, int], rng: np.random.Generator) -> Floats:
    m, n = shape
    r = len(values)
    left = np.linalg.qr(rng.standard_normal((m, r)))[0]
    right = np.linalg.qr(rng.standard_normal((n, r)))[0]
    product: Floats = left * values @ right.T
    return product


def _cases() -> list[Case]:
    rng = np.random.default_rng(16)
    cases = []
    for index in range(500):
        kind = index % 10
        m, n = (int(size) for size in rng.integers(1, 40, size=2))
        if kind == 0:
            m = 1
        elif kind == 1:
            n = 1
        elif kind == 2:
            m, n = (0, n) if index % 20 == 2 else (m, 0)
        most = min(m, n)
        values: Floats
        if kind == 3:  # every rank from none to full, all values equal
            values = np.ones(int(rng.integers(0, most + 1)))
        else:  # condition numbers from 1 to 1e30
            condition = 10.0 ** (index % 31)
            values = np.geomspace(1, 1 / condition, most) if most else np.zeros(0)
        if kind == 4:
            values = values * 1e150
        elif kind == 5:
            values = values * 1e-310
        elif kind == 6:
            values = values * 1e-140
        cases.append(Case(f"{index}: {m}x{n} kind {kind}", _build(values, (m, n), rng), values))
    return cases


CASES = _cases()


def _spectrum(matrix: Array) -> Spectrum:
    smaller = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    spectrum = gram_spectrum(gram(smaller))
    assert spectrum is not None
    return spectrum


def _far_from(values: Floats, threshold: float) -> bool:
    """Whether no value is so close to the threshold that rounding may move it across."""
    return bool(np.all(np.abs(values / threshold - 1) > 1e-3)) if threshold > 0 else True


def test_there_are_500_matrices_of_every_kind() -> None:
    assert len(CASES) == 500
    shapes = {case.matrix.shape for case in CASES}
    assert any(0 in shape for shape in shapes)
    assert any(shape[0] == 1 for shape in shapes)
    assert any(shape[1] == 1 for shape in shapes)


def test_none_raises_and_every_spectrum_is_finite() -> None:
    for case in CASES:
        spectrum = _spectrum(case.matrix)
        assert spectrum.values.size == min(case.matrix.shape), case.name


@pytest.mark.parametrize("tolerance", TOLERANCES)
def test_the_rank_is_right_wherever_it_is_not_at_least(tolerance: float) -> None:
    """Condition numbers to 1e30: what the floor hides is said, the rest is exact."""
    exact = 0
    for case in CASES:
        if case.values.size and case.values[0] < 1e-150:
            continue  # squares of denormal numbers vanish, which the docstring of gram says
        rank = numerical_rank(_spectrum(case.matrix), tolerance)
        largest = float(case.values.max(initial=0.0))
        if not _far_from(case.values, tolerance * largest):
            continue
        truth = int(np.count_nonzero(case.values > tolerance * largest))
        assert rank.value <= truth, case.name
        assert rank.at_least or rank.value == truth, case.name
        exact += not rank.at_least
    assert exact >= 300


def test_denormal_matrices_are_never_given_too_high_a_rank() -> None:
    for case in CASES:
        if case.values.size and case.values[0] < 1e-150:
            assert numerical_rank(_spectrum(case.matrix)).value <= case.values.size


def test_float32_and_float64_agree_on_almost_every_rank() -> None:
    """Reported, not required to be 1: rounding to float32 fills the null space at 1e-8 of σ_1."""
    agree = compared = 0
    for case in CASES:
        if case.values.size == 0 or not 1e-30 < case.values[0] < 1e30:
            continue
        single = case.matrix.astype(np.float32)
        for tolerance in TOLERANCES[:4]:
            if _far_from(case.values, tolerance * float(case.values[0])):
                compared += 1
                double = numerical_rank(_spectrum(case.matrix), tolerance).value
                agree += numerical_rank(_spectrum(single), tolerance).value == double
    assert compared > 800
    assert agree / compared > 0.99


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("shape", [(3, 3), (1, 5), (5, 1), (40, 30)])
def test_a_matrix_with_one_wrong_number_has_no_spectrum(
    shape: tuple[int, int], wrong: float
) -> None:
    matrix = np.ones(shape)
    matrix[0, -1] = wrong
    assert gram_spectrum(gram(matrix)) is None


def test_a_matrix_whose_squares_overflow_has_no_spectrum() -> None:
    assert gram_spectrum(gram(np.full((2, 2), 1e200))) is None
