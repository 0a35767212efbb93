from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import centred_gram, two_nn
from onnxprobe.types import Array


def _slow_two_nn(samples: Array) -> float:
    """Facco et al.'s recipe, point by point, for distinct samples."""
    ratios = []
    for i, point in enumerate(samples):
        distances = sorted(
            float(np.linalg.norm(point - other)) for j, other in enumerate(samples) if j != i
        )
        ratios.append(distances[1] / distances[0])
    n = len(ratios)
    ratios = sorted(ratios)[: int(0.9 * n)]
    x = np.log(ratios)
    y = [-np.log(1 - (i + 1) / n) for i in range(len(ratios))]
    return float(x @ y / (x @ x))


@pytest.mark.parametrize("k", [1, 2, 5])
def test_uniform_data_in_k_dimensions_have_dimension_k(k: int) -> None:
    """The estimator's own deviation at 2,000 samples is about 3 %, its bias at k = 5 as much."""
    rng = np.random.default_rng(k)
    flat = rng.uniform(size=(2000, k))
    basis = np.linalg.qr(rng.standard_normal((30, k)))[0]
    assert two_nn(centred_gram(flat @ basis.T)) == pytest.approx(k, rel=0.12)


def test_a_curved_surface_has_the_dimension_of_its_coordinates() -> None:
    rng = np.random.default_rng(0)
    u, v = rng.uniform(0, 6, (2, 1500))
    surface = np.stack([u * np.cos(u), v, u * np.sin(u)], axis=1)
    assert two_nn(centred_gram(surface)) == pytest.approx(2, rel=0.12)


@pytest.mark.parametrize("seed", range(3))
def test_the_slow_recipe_agrees(seed: int) -> None:
    samples = np.random.default_rng(seed).standard_normal((60, 4))
    assert two_nn(centred_gram(samples)) == pytest.approx(_slow_two_nn(samples), rel=1e-9)


def test_centred_or_not_is_the_same() -> None:
    samples = np.random.default_rng(0).standard_normal((60, 4)) + 3
    assert two_nn(samples @ samples.T) == pytest.approx(two_nn(centred_gram(samples)), rel=1e-6)


def test_duplicates_count_once() -> None:
    samples = np.random.default_rng(0).standard_normal((60, 4))
    doubled = np.concatenate([samples, samples[:20], samples[:20]])
    noisy = doubled * (1 + 1e-8 * np.random.default_rng(1).standard_normal(doubled.shape))
    mean = samples.mean(axis=0)
    expected = two_nn(centred_gram(samples))
    assert two_nn((doubled - mean) @ (doubled - mean).T) == pytest.approx(expected, rel=1e-9)
    assert two_nn((noisy - mean) @ (noisy - mean).T) == pytest.approx(expected, rel=1e-5)


def test_the_gram_matrix_is_left_alone() -> None:
    gram = centred_gram(np.random.default_rng(0).standard_normal((20, 4)))
    before = gram.copy()
    two_nn(gram)
    np.testing.assert_array_equal(gram, before)


@pytest.mark.parametrize("n", [0, 1, 9])
def test_too_few_samples_have_no_dimension(n: int) -> None:
    samples = np.random.default_rng(0).standard_normal((n, 4))
    assert two_nn(samples @ samples.T) is None


def test_equal_samples_have_no_dimension() -> None:
    assert two_nn(centred_gram(np.ones((50, 4)))) is None
    assert two_nn(np.zeros((50, 50))) is None


def test_points_equally_far_apart_have_no_dimension() -> None:
    assert two_nn(np.eye(30)) is None
    assert two_nn(centred_gram(np.eye(30) * 0.1)) is None


def test_a_dimension_that_so_few_samples_cannot_have_is_none() -> None:
    """Twelve points span eleven dimensions; in 100 their neighbours are almost equally far."""
    samples = np.random.default_rng(0).standard_normal((12, 100))
    assert two_nn(centred_gram(samples)) is None


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_gram_matrix_that_is_not_finite_has_no_dimension(wrong: float) -> None:
    gram = np.eye(20)
    gram[3, 3] = wrong
    assert two_nn(gram) is None


def test_a_gram_matrix_must_be_square() -> None:
    with pytest.raises(ShapeError, match=r"gram must have axes \(n, n\), got shape \(2, 3\)"):
        two_nn(np.zeros((2, 3)))
