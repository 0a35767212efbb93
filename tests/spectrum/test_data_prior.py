from __future__ import annotations

import sys

import numpy as np
import pytest

from onnxprobe.errors import DataError
from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import centred_gram, data_prior, ledoit_wolf
from onnxprobe.types import Array, Floats


def _samples(count: int, n: int, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((n, n)) * np.geomspace(3, 0.1, n)
    return rng.standard_normal((count, n)) @ mixing.T + 5


def _shrunk(samples: Array) -> Floats:
    """The shrunk covariance, n×n, by its definition."""
    gram = centred_gram(samples)
    shrinkage = ledoit_wolf(gram, gram.diagonal(), samples.shape[1])
    n = samples.shape[1]
    covariance: Floats = np.cov(samples, rowvar=False).reshape(n, n)
    return (1 - shrinkage.intensity) * covariance + (
        shrinkage.intensity * shrinkage.target * np.eye(n)
    )


@pytest.mark.parametrize(("count", "n"), [(10, 30), (30, 10), (20, 20), (21, 20), (2, 5), (5, 1)])
def test_the_whole_basis_rebuilds_the_shrunk_covariance(count: int, n: int) -> None:
    samples = _samples(count, n)
    prior = data_prior(samples, limit=n)
    expected = _shrunk(samples)
    assert prior.directions is not None
    rebuilt = prior.directions.T * prior.variances @ prior.directions
    np.testing.assert_allclose(rebuilt, expected, atol=1e-11 * np.abs(expected).max())
    assert prior.trace == pytest.approx(np.trace(expected), rel=1e-12)
    assert prior.kind == "data"
    if prior.variances[-1] > 0:
        assert prior.share == pytest.approx(1.0, abs=1e-12)
        assert prior.is_spanned_by(n)


@pytest.mark.parametrize(("count", "n"), [(10, 30), (30, 10)])
@pytest.mark.parametrize("limit", [1, 4, 9])
def test_the_leading_directions_are_those_of_the_shrunk_covariance(
    count: int, n: int, limit: int
) -> None:
    samples = _samples(count, n)
    prior = data_prior(samples, limit)
    values, vectors = np.linalg.eigh(_shrunk(samples))
    assert prior.directions is not None
    assert prior.directions.shape == (limit, n)
    np.testing.assert_allclose(prior.variances, values[::-1][:limit], rtol=1e-9)
    overlap = np.abs(np.einsum("kn,nk->k", prior.directions, vectors[:, ::-1][:, :limit]))
    np.testing.assert_allclose(overlap, 1.0, rtol=1e-8)
    np.testing.assert_allclose(prior.directions @ prior.directions.T, np.eye(limit), atol=1e-12)
    assert prior.share == pytest.approx(values[::-1][:limit].sum() / values.sum(), rel=1e-9)


def test_directions_outside_the_samples_are_left_out_if_not_all_fit() -> None:
    prior = data_prior(_samples(6, 40), limit=20)
    assert prior.directions is not None
    assert prior.directions.shape == (5, 40)
    assert prior.share < 1


def test_float32_images_give_orthonormal_directions_down_to_the_weakest() -> None:
    """Variances over ten orders of magnitude: the dual form alone loses orthogonality."""
    rng = np.random.default_rng(0)
    spread = rng.standard_normal((60, 200)) * np.geomspace(1, 1e-5, 200)
    prior = data_prior(spread.astype(np.float32), limit=200)
    assert prior.directions is not None
    np.testing.assert_allclose(prior.directions @ prior.directions.T, np.eye(200), atol=1e-12)
    assert np.all(np.diff(prior.variances) <= 0)


def test_blocks_do_not_change_the_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    wide, tall = _samples(8, 300), _samples(300, 8)
    expected = [data_prior(wide, 5), data_prior(tall, 5)]
    for module in ("gram", "data_prior"):
        monkeypatch.setattr(sys.modules[f"onnxprobe.spectrum.{module}"], "_BLOCK_BYTES", 1)
    for samples, before in zip((wide, tall), expected, strict=True):
        after = data_prior(samples, 5)
        assert before.directions is not None
        assert after.directions is not None
        np.testing.assert_allclose(after.variances, before.variances, rtol=1e-10)
        overlap = np.abs((after.directions * before.directions).sum(axis=1))
        np.testing.assert_allclose(overlap, 1.0, rtol=1e-9)


def test_the_samples_are_left_alone() -> None:
    samples = _samples(5, 9)
    before = samples.copy()
    data_prior(samples, 9)
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4)])
def test_equal_samples_give_a_prior_without_variance(shape: tuple[int, int]) -> None:
    prior = data_prior(np.full(shape, 0.5), limit=10)
    assert (prior.trace, prior.variances.size, prior.share) == (0.0, 0, 1.0)
    assert prior.directions is not None
    assert prior.directions.shape == (0, shape[1])


def test_without_shrinkage_directions_of_no_variance_are_left_out() -> None:
    """Two samples differ along one line only, and say nothing of their own error."""
    prior = data_prior(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 2.0]]), limit=3)
    assert prior.directions is not None
    np.testing.assert_allclose(np.abs(prior.directions), [[1 / 3, 2 / 3, 2 / 3]], rtol=1e-12)
    assert prior.variances.tolist() == pytest.approx([4.5])
    assert prior.is_spanned_by(1)


@pytest.mark.parametrize("count", [0, 1])
def test_one_sample_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=f"a data prior needs at least 2 samples, got {count}"):
        data_prior(np.zeros((count, 3)), limit=3)


@pytest.mark.parametrize("shape", [(4, 7), (7, 4)])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e200])
def test_samples_that_are_not_finite_are_refused(shape: tuple[int, int], wrong: float) -> None:
    samples = np.zeros(shape)
    samples[1, 1] = wrong
    with pytest.raises(DataError, match="not finite or too large to square; remove them or scale"):
        data_prior(samples, limit=3)


def test_samples_must_be_a_matrix() -> None:
    with pytest.raises(ShapeError, match=r"samples must have axes \(N, n\), got shape \(3,\)"):
        data_prior(np.zeros(3), limit=3)
