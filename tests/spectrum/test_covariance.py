from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import (
    Magnitudes,
    centred_gram,
    covariance_spectrum,
    covariance_spectrum_from_gram,
    dof_ceiling,
    effective_rank,
    is_saturated,
    numerical_rank,
    participation_ratio,
)
from onnxprobe.types import Array


def _flat(n: int, d: int, k: int, seed: int = 0) -> Array:
    """Samples on a k-dimensional flat with equal sample variance along it."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, k))
    z = np.linalg.qr(z - z.mean(axis=0))[0]
    basis = np.linalg.qr(rng.standard_normal((d, k)))[0]
    flat: Array = z @ basis.T * 3 + rng.standard_normal(d)
    return flat


@pytest.mark.parametrize(("n", "d"), [(20, 50), (50, 20), (30, 30), (2, 4), (31, 30)])
def test_values_are_the_deviations_of_the_covariance(n: int, d: int) -> None:
    samples = np.random.default_rng(0).standard_normal((n, d)) + 7
    spectrum = covariance_spectrum(samples)
    assert spectrum is not None
    slow = np.linalg.eigvalsh(np.cov(samples, rowvar=False))[::-1][: min(n - 1, d)]
    np.testing.assert_allclose(spectrum.values, np.sqrt(slow), rtol=1e-9)
    assert spectrum.complete
    assert spectrum.weights is None


@pytest.mark.parametrize(("n", "d"), [(40, 100), (100, 40)])
@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_data_on_a_k_dimensional_flat_have_k_degrees_of_freedom(
    n: int, d: int, k: int, dtype: str
) -> None:
    spectrum = covariance_spectrum(_flat(n, d, k).astype(dtype))
    assert spectrum is not None
    assert numerical_rank(spectrum).value == k
    assert spectrum.resolved_count == k
    assert effective_rank(spectrum) == pytest.approx(k, rel=1e-5)
    assert participation_ratio(spectrum) == pytest.approx(k, rel=1e-5)


def test_the_smaller_side_is_chosen_and_both_agree() -> None:
    samples = np.random.default_rng(0).standard_normal((30, 10))
    direct = covariance_spectrum(samples)
    dual = covariance_spectrum_from_gram(centred_gram(samples), Magnitudes.of(samples))
    assert direct is not None
    assert dual is not None
    np.testing.assert_allclose(direct.values, dual.values, rtol=1e-9)


def test_partial_grams_give_the_spectrum_of_the_whole() -> None:
    samples = np.random.default_rng(0).standard_normal((12, 90)).astype(np.float32)
    whole = covariance_spectrum(samples)
    left, right = samples[:, :40], samples[:, 40:]
    summed = covariance_spectrum_from_gram(
        centred_gram(left) + centred_gram(right), Magnitudes.of(left).joined(Magnitudes.of(right))
    )
    assert whole is not None
    assert summed is not None
    np.testing.assert_allclose(summed.values, whole.values, rtol=1e-9)
    assert summed.floor == pytest.approx(whole.floor, rel=1e-9)


def test_a_feature_of_large_mean_raises_the_floor_that_its_rounding_needs() -> None:
    """One outlier among 768 features: the root mean square of all alone would be far too low."""
    samples = _flat(300, 768, 3)
    samples[:, 0] += 1000
    spectrum = covariance_spectrum(samples.astype(np.float32))
    assert spectrum is not None
    assert spectrum.resolved_count == 3
    rms = Magnitudes.of(samples).rms
    even = (np.sqrt(300) + np.sqrt(768)) * 2.0**-23 * rms / np.sqrt(12) / np.sqrt(299)
    assert spectrum.floor > 3 * even


@pytest.mark.parametrize(("n", "d"), [(60, 400), (400, 60), (150, 150)])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_floor_holds_what_rounding_the_samples_adds(n: int, d: int, dtype: str) -> None:
    """A flat of 3 dimensions, rounded: the fourth deviation is rounding, near below the floor."""
    samples = _flat(n, d, 3) * 10
    spectrum = covariance_spectrum(samples.astype(dtype))
    assert spectrum is not None
    assert spectrum.floor / 5 < spectrum.values[3] < spectrum.floor
    assert spectrum.resolved_count == 3


def test_the_floor_is_the_formula_of_its_docstring_where_entries_are_of_one_size() -> None:
    samples = np.where(np.random.default_rng(0).integers(0, 2, (26, 100)), 3.0, -3.0)
    e = 2.0**-23 * 3 / np.sqrt(12)
    found = covariance_spectrum_from_gram(centred_gram(samples) * 1e-30, Magnitudes.of(samples))
    assert found is not None
    assert found.floor == pytest.approx((np.sqrt(26) + 10) * e / 5, rel=1e-12)


def test_the_type_that_samples_were_computed_in_sets_the_floor() -> None:
    samples = np.random.default_rng(0).standard_normal((10, 10)).astype(np.float32)
    half = covariance_spectrum(samples, epsilon=2.0**-10)
    single = covariance_spectrum(samples)
    assert half is not None
    assert single is not None
    assert half.floor > 100 * single.floor


def test_integers_carry_no_rounding_of_their_own() -> None:
    samples = np.random.default_rng(0).integers(-9, 9, (10, 30))
    exact = covariance_spectrum(samples)
    rounded = covariance_spectrum(samples.astype(np.float16))
    assert exact is not None
    assert rounded is not None
    assert exact.floor < 1e-5 < 1e-3 < rounded.floor
    np.testing.assert_array_equal(exact.values, rounded.values)


def test_equal_samples_have_no_degrees_of_freedom() -> None:
    spectrum = covariance_spectrum(np.full((5, 8), 0.1, dtype=np.float32))
    assert spectrum is not None
    assert effective_rank(spectrum) == 0.0
    assert spectrum.values.shape == (4,)


@pytest.mark.parametrize("shape", [(1, 5), (0, 5), (5, 0), (0, 0)])
def test_too_little_data_give_an_empty_spectrum(shape: tuple[int, int]) -> None:
    spectrum = covariance_spectrum(np.zeros(shape))
    assert spectrum is not None
    assert spectrum.values.size == 0


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e200])
def test_samples_that_are_not_finite_have_no_spectrum(shape: tuple[int, int], wrong: float) -> None:
    samples = np.ones(shape)
    samples[1, 1] = wrong
    assert covariance_spectrum(samples) is None
    magnitudes = Magnitudes.of(samples)
    assert not magnitudes.is_finite
    assert covariance_spectrum_from_gram(centred_gram(samples), magnitudes) is None
    assert covariance_spectrum_from_gram(np.eye(shape[0]), magnitudes) is None


def test_the_ceiling_is_the_smaller_side_without_the_mean() -> None:
    assert [dof_ceiling(10, 3), dof_ceiling(3, 10), dof_ceiling(1, 5), dof_ceiling(0, 5)] == [
        3,
        2,
        0,
        0,
    ]


def test_saturation_begins_above_half_of_the_samples() -> None:
    assert not is_saturated(5.0, samples=11)
    assert is_saturated(5.1, samples=11)


def test_samples_must_be_a_matrix() -> None:
    with pytest.raises(ShapeError, match=r"samples must have axes \(n, d\), got shape \(3,\)"):
        covariance_spectrum(np.zeros(3))
    with pytest.raises(ShapeError, match=r"gram must have axes \(n, n\), got shape \(2, 3\)"):
        covariance_spectrum_from_gram(np.zeros((2, 3)), Magnitudes.of(np.zeros((2, 3))))
    with pytest.raises(ShapeError, match=r"magnitudes of the samples must have axes \(n\), n=2"):
        covariance_spectrum_from_gram(np.eye(2), Magnitudes.of(np.zeros((3, 3))))
