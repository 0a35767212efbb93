from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import centred_gram, gram, gram_spectrum, scatter
from onnxprobe.types import Array, Floats

Product: TypeAlias = Callable[[Array], Floats]

SHAPES = [(1, 1), (1, 7), (7, 1), (5, 300), (300, 5), (40, 40)]


def _samples(shape: tuple[int, int], dtype: str = "float32") -> Array:
    return (np.random.default_rng(0).standard_normal(shape) * 3 + 5).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_gram_is_the_product_of_rows(shape: tuple[int, int], dtype: str) -> None:
    rows = _samples(shape, dtype)
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(gram(rows), exact @ exact.T, rtol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_centred_gram_is_the_product_of_centred_samples(shape: tuple[int, int]) -> None:
    samples = _samples(shape)
    centred = samples - samples.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(centred_gram(samples), centred @ centred.T, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_scatter_is_the_covariance_times_its_divisor(shape: tuple[int, int]) -> None:
    samples = _samples(shape)
    centred = samples - samples.mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(scatter(samples), centred.T @ centred, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("function", [gram, centred_gram, scatter])
def test_every_memory_layout_gives_the_same_product(function: Product) -> None:
    samples = _samples((6, 50))
    expected = function(samples)
    np.testing.assert_allclose(function(np.asfortranarray(samples)), expected, rtol=1e-12)
    np.testing.assert_allclose(
        function(np.repeat(samples, 2, axis=1)[:, ::2]), expected, rtol=1e-12
    )


@pytest.mark.parametrize("function", [gram, centred_gram, scatter])
def test_blocks_add_up(function: Product, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 64 columns, the smallest, against one block."""
    samples = _samples((9, 1000)) if function is not scatter else _samples((1000, 9))
    expected = function(samples)
    monkeypatch.setattr(sys.modules["onnxprobe.spectrum.gram"], "_BLOCK_BYTES", 1)
    np.testing.assert_allclose(function(samples), expected, rtol=1e-12)


@pytest.mark.parametrize("function", [gram, centred_gram])
def test_products_of_disjoint_features_add_up(function: Product) -> None:
    samples = _samples((9, 100))
    parts = function(samples[:, :30]) + function(samples[:, 30:])
    np.testing.assert_allclose(parts, function(samples), rtol=1e-12)


@pytest.mark.parametrize("function", [gram, centred_gram, scatter])
def test_the_result_is_symmetric_to_the_bit(function: Product) -> None:
    found = function(_samples((30, 40)))
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("function", [gram, centred_gram, scatter])
def test_the_samples_are_left_alone(function: Product) -> None:
    samples = _samples((5, 6), "float64")
    before = samples.copy()
    function(samples)
    np.testing.assert_array_equal(samples, before)


@pytest.mark.parametrize(("shape", "sizes"), [((0, 3), (0, 3)), ((3, 0), (3, 0)), ((0, 0), (0, 0))])
def test_without_elements_the_product_is_zero(
    shape: tuple[int, int], sizes: tuple[int, int]
) -> None:
    n, d = sizes
    np.testing.assert_array_equal(gram(np.zeros(shape)), np.zeros((n, n)))
    np.testing.assert_array_equal(centred_gram(np.zeros(shape)), np.zeros((n, n)))
    np.testing.assert_array_equal(scatter(np.zeros(shape)), np.zeros((d, d)))


def test_centring_first_keeps_digits_that_centring_afterwards_loses() -> None:
    """A spread of 1e-3 on a mean of 1e5: double-centred, half of what is left is rounding."""
    rng = np.random.default_rng(0)
    offsets = rng.standard_normal((20, 50)) * 1e-3
    samples = 1e5 + offsets
    exact = offsets - offsets.mean(axis=0)
    truth = exact @ exact.T
    centring = np.eye(20) - 1 / 20
    double = centring @ (samples @ samples.T) @ centring
    assert np.abs(double - truth).max() > 0.1 * np.abs(truth).max()
    assert np.abs(centred_gram(samples) - truth).max() < 1e-6 * np.abs(truth).max()


@pytest.mark.parametrize("function", [gram, centred_gram, scatter])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_wrong_number_goes_through_without_a_warning(function: Product, wrong: float) -> None:
    """The eigensolver's gate reports it."""
    samples = _samples((3, 4))
    samples[1, 2] = wrong
    found = function(samples)
    assert not np.isfinite(found).all()
    assert gram_spectrum(found) is None


def test_rows_must_be_a_matrix() -> None:
    with pytest.raises(ShapeError, match=r"rows must have axes \(r, d\), got shape \(3,\)"):
        gram(np.zeros(3))
    with pytest.raises(ShapeError, match=r"samples must have axes \(n, d\), got shape \(3,\)"):
        centred_gram(np.zeros(3))
    with pytest.raises(ShapeError, match=r"samples must have axes \(n, d\), got shape \(3,\)"):
        scatter(np.zeros(3))
    with pytest.raises(ShapeError, match=r"gram must have axes \(r, r\), got shape \(2, 3\)"):
        gram_spectrum(np.zeros((2, 3)))


def test_a_gram_matrix_has_the_singular_values_of_its_rows() -> None:
    rows = _samples((8, 20), "float64")
    spectrum = gram_spectrum(gram(rows), floor=1e-3, complete=False, bound=99.0)
    assert spectrum is not None
    np.testing.assert_allclose(spectrum.values, np.linalg.svd(rows, compute_uv=False), rtol=1e-10)
    assert (spectrum.floor, spectrum.complete, spectrum.bound) == (1e-3, False, 99.0)


def test_a_gram_spectrum_knows_its_own_rounding() -> None:
    spectrum = gram_spectrum(gram(np.outer(np.ones(5), np.arange(9.0))))
    assert spectrum is not None
    assert spectrum.resolved_count == 1


def test_an_empty_gram_matrix_has_an_empty_spectrum() -> None:
    spectrum = gram_spectrum(np.zeros((0, 0)))
    assert spectrum is not None
    assert (spectrum.values.size, spectrum.floor) == (0, 0.0)


def test_a_zero_gram_matrix_has_no_floor() -> None:
    """So that its rank is exactly 0, not at least 0."""
    spectrum = gram_spectrum(np.zeros((3, 3)))
    assert spectrum is not None
    assert spectrum.floor == 0.0
