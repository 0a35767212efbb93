from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import (
    eigen,
    eigensystem,
    eigenvalues,
    orthonormal_rows,
    rounding_floor,
)
from onnxprobe.types import Floats


def _gram(size: int, seed: int = 0) -> Floats:
    rows = np.random.default_rng(seed).standard_normal((size, size + 3))
    return rows @ rows.T


def test_eigenvalues_agree_with_numpy_and_descend() -> None:
    matrix = _gram(20)
    found = eigenvalues(matrix)
    assert found is not None
    np.testing.assert_allclose(found, np.linalg.eigvalsh(matrix)[::-1], rtol=1e-12)


def test_an_eigensystem_rebuilds_its_matrix() -> None:
    matrix = _gram(20)
    system = eigensystem(matrix)
    assert system is not None
    rebuilt = system.vectors * system.values @ system.vectors.T
    np.testing.assert_allclose(rebuilt, matrix, atol=1e-12 * np.abs(matrix).max())
    np.testing.assert_allclose(system.vectors.T @ system.vectors, np.eye(20), atol=1e-13)
    assert np.all(np.diff(system.values) <= 0)


def test_rounding_below_zero_is_clipped() -> None:
    rows = np.random.default_rng(0).standard_normal((30, 2))
    found = eigenvalues(rows @ rows.T)
    assert found is not None
    assert found.min() >= 0.0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_one_wrong_number_ends_at_once_with_nothing(wrong: float) -> None:
    """The SVD of numpy would run for ever on such a matrix."""
    matrix = np.eye(3)
    matrix[1, 1] = wrong
    assert eigenvalues(matrix) is None
    assert eigensystem(matrix) is None
    assert orthonormal_rows(matrix) is None


def test_an_empty_matrix_has_no_eigenvalues() -> None:
    found = eigenvalues(np.zeros((0, 0)))
    assert found is not None
    assert found.size == 0
    system = eigensystem(np.zeros((0, 0)))
    assert system is not None
    assert system.vectors.shape == (0, 0)


def test_the_matrix_is_left_alone() -> None:
    matrix = _gram(10)
    before = matrix.copy()
    eigenvalues(matrix)
    eigensystem(matrix)
    np.testing.assert_array_equal(matrix, before)


def test_a_matrix_must_be_square() -> None:
    with pytest.raises(ShapeError, match=r"matrix must have axes \(r, r\), got shape \(2, 3\)"):
        eigenvalues(np.zeros((2, 3)))
    with pytest.raises(ShapeError, match=r"matrix must have axes \(r, r\), got shape \(2,\)"):
        eigensystem(np.zeros(2))
    with pytest.raises(ShapeError, match=r"rows must have axes \(r, n\), got shape \(2,\)"):
        orthonormal_rows(np.zeros(2))


class _Faulty:
    """A LAPACK in which some drivers do not converge, or return nonsense."""

    def __init__(self, failing: set[str], nonsense: set[str]) -> None:
        self.real = eigen._solve_by
        self.failing, self.nonsense = failing, nonsense
        self.tried: list[str] = []

    def __call__(self, driver: str, matrix: Floats, *, vectors: bool) -> tuple[Floats, Floats]:
        self.tried.append(driver)
        if driver in self.failing:
            raise np.linalg.LinAlgError("did not converge")
        values, columns = self.real(driver, matrix, vectors=vectors)
        return (np.full(len(matrix), np.nan) if driver in self.nonsense else values), columns


def test_a_driver_that_fails_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = _Faulty(failing={"numpy"}, nonsense={"evr"})
    monkeypatch.setattr(eigen, "_solve_by", faulty)
    found = eigenvalues(np.diag([1.0, 4.0]))
    assert found is not None
    assert found.tolist() == [4.0, 1.0]
    assert faulty.tried == ["numpy", "evr", "ev"]


def test_if_every_driver_fails_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eigen, "_solve_by", _Faulty(set(eigen._DRIVERS), set()))
    assert eigenvalues(np.eye(2)) is None
    assert eigensystem(np.eye(2)) is None


@pytest.mark.parametrize("driver", ["numpy", "evr", "ev"])
def test_every_driver_gives_the_same_system(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = _gram(15)
    expected = eigensystem(matrix)
    monkeypatch.setattr(eigen, "_solve_by", _Faulty(set(eigen._DRIVERS) - {driver}, set()))
    found = eigensystem(matrix)
    assert expected is not None
    assert found is not None
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-12)
    overlap = np.abs((found.vectors * expected.vectors).sum(axis=0))
    np.testing.assert_allclose(overlap, 1.0, rtol=1e-9)


def test_orthonormal_rows_keep_the_span_of_each_leading_group() -> None:
    rows = np.random.default_rng(0).standard_normal((4, 9))
    found = orthonormal_rows(rows)
    assert found is not None
    np.testing.assert_allclose(found @ found.T, np.eye(4), atol=1e-14)
    for r in range(1, 5):
        projected = rows[:r] @ found[:r].T @ found[:r]
        np.testing.assert_allclose(projected, rows[:r], atol=1e-13)


@pytest.mark.parametrize("r", [0, 1, 4, 9])
def test_orthonormal_rows_can_be_completed_to_a_basis(r: int) -> None:
    rows = np.random.default_rng(0).standard_normal((r, 9))
    found = orthonormal_rows(rows, complete=True)
    assert found is not None
    np.testing.assert_allclose(found @ found.T, np.eye(9), atol=1e-14)
    np.testing.assert_allclose(rows @ found[:r].T @ found[:r], rows, atol=1e-13)


def test_no_rows_are_orthonormal() -> None:
    found = orthonormal_rows(np.zeros((0, 3)))
    assert found is not None
    assert found.shape == (0, 3)


def test_rows_are_overwritten_only_on_request() -> None:
    rows = np.random.default_rng(0).standard_normal((3, 5))
    kept, spent = rows.copy(), rows.copy()
    expected = orthonormal_rows(kept)
    found = orthonormal_rows(spent, overwrite=True)
    assert expected is not None
    assert found is not None
    np.testing.assert_array_equal(kept, rows)
    np.testing.assert_array_equal(found, expected)


def test_the_rounding_floor_stays_below_the_finest_tolerance() -> None:
    """All directions of inputs up to 4,096 elements: rank at 1e-6 is never hidden by squaring."""
    assert rounding_floor(1.0, 4096) < 1e-6
    assert rounding_floor(4.0, 100) == pytest.approx(2 * rounding_floor(1.0, 100))


@pytest.mark.parametrize("size", [1, 2, 16, 64, 300])
@pytest.mark.parametrize("positive", [False, True])
def test_the_rounding_floor_lies_above_the_rounding(size: int, *, positive: bool) -> None:
    """A Gram matrix of rank 1 or 5: everything below must vanish under the floor."""
    rng = np.random.default_rng(size)
    rank = min(size, 5)
    left, right = rng.standard_normal((size, rank)), rng.standard_normal((rank, 20_000))
    rows = np.abs(left) @ np.abs(right) if positive else left @ right
    found = eigenvalues(rows @ rows.T)
    assert found is not None
    assert np.all(np.sqrt(found[rank:]) < rounding_floor(float(found[0]), size) / 1.5)
