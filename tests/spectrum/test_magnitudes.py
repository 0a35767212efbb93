from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import Magnitudes


@pytest.mark.parametrize("block_bytes", [1, 2**25])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8"])
def test_magnitudes_are_sums_of_squares(
    block_bytes: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxprobe.spectrum.magnitudes._BLOCK_BYTES", block_bytes)
    samples = (np.random.default_rng(0).standard_normal((10, 300)) * 9).astype(dtype)
    exact = samples.astype(np.float64) ** 2
    found = Magnitudes.of(samples)
    np.testing.assert_allclose(found.samples, exact.sum(axis=1), rtol=1e-14)
    assert found.largest_feature == pytest.approx(exact.sum(axis=0).max(), rel=1e-14)
    assert found.rms == pytest.approx(np.sqrt(exact.mean()), rel=1e-14)
    assert found.features == 300


def test_magnitudes_of_disjoint_features_join() -> None:
    samples = np.random.default_rng(0).standard_normal((10, 30))
    whole = Magnitudes.of(samples)
    joined = Magnitudes.of(samples[:, :7]).joined(Magnitudes.of(samples[:, 7:]))
    np.testing.assert_allclose(joined.samples, whole.samples, rtol=1e-14)
    assert joined.largest_feature == whole.largest_feature
    assert joined.features == whole.features


def test_magnitudes_of_other_samples_do_not_join() -> None:
    with pytest.raises(ShapeError, match="samples of the other features must have axes"):
        Magnitudes.of(np.ones((2, 2))).joined(Magnitudes.of(np.ones((3, 2))))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_without_elements_every_magnitude_is_zero(shape: tuple[int, int]) -> None:
    found = Magnitudes.of(np.zeros(shape))
    assert (found.rms, found.largest_feature, found.rounding_norm(1.0)) == (0.0, 0.0, 0.0)
    assert found.is_finite


@pytest.mark.parametrize("wrong", [np.nan, np.inf, 1e200])
@pytest.mark.parametrize("column", [0, 99])
def test_a_wrong_number_is_never_lost(
    wrong: float, column: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even a NaN in an early block, which a maximum might drop."""
    monkeypatch.setattr("onnxprobe.spectrum.magnitudes._BLOCK_BYTES", 1)
    samples = np.ones((3, 100))
    samples[1, column] = wrong
    found = Magnitudes.of(samples)
    assert not found.is_finite
    assert not np.isfinite(found.largest_feature)
    assert not np.isfinite(found.samples[1])


def test_samples_must_be_a_matrix() -> None:
    with pytest.raises(ShapeError, match=r"samples must have axes \(n, d\), got shape \(3,\)"):
        Magnitudes.of(np.zeros(3))


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("shape", [(300, 40), (40, 300), (150, 150)])
def test_rounding_errors_have_no_larger_norm(shape: tuple[int, int], spread: float) -> None:
    """Features from one size to sizes over six orders of magnitude."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal(shape) * 10.0 ** rng.uniform(-spread, spread, shape[1])
    errors = samples.astype(np.float32) - samples
    norm = np.linalg.norm(errors, 2)
    bound = Magnitudes.of(samples).rounding_norm(2.0**-23)
    assert bound / 6 < norm < bound
