from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.errors import DataError
from onnxprobe.risk import (
    FloatFormat,
    NumberFormat,
    ReleaseNoise,
    equivalent_noise,
    float_noise,
    int8_noise,
    parse_release_noise,
    rounding_moment,
)
from onnxprobe.types import Floats

FLOATS: list[FloatFormat] = ["float32", "float16", "bfloat16"]
FORMATS: list[NumberFormat] = [*FLOATS, "int8"]


def _bfloat16(values: Floats) -> Floats:
    """Round to nearest even by the bits of a float32, as hardware does."""
    pattern = values.astype(np.float32).view(np.uint32)
    pattern = pattern + np.uint32(0x7FFF) + ((pattern >> np.uint32(16)) & np.uint32(1))
    rounded = (pattern & np.uint32(0xFFFF0000)).view(np.float32)
    return rounded.astype(np.float64)


def _rounded(values: Floats, name: NumberFormat) -> Floats:
    if name == "int8":
        step = float(np.abs(values).max()) / 127
        steps: Floats = np.rint(values / step)
        return steps * step
    return _bfloat16(values) if name == "bfloat16" else values.astype(name).astype(np.float64)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("shape", ["normal", "uniform", "lognormal", "sparse"])
def test_the_level_is_the_error_that_rounding_makes(name: NumberFormat, shape: str) -> None:
    """Measured on 200,000 numbers; half of the sparse ones are zeros, which rounding keeps.

    Within 3 %: where an int8 step is as wide as the numbers, its error is not quite uniform.
    """
    rng = np.random.default_rng(0)
    values = {
        "normal": rng.standard_normal(200_000),
        "uniform": rng.uniform(-3, 5, 200_000),
        "lognormal": rng.lognormal(0, 1, 200_000),
        "sparse": np.maximum(rng.standard_normal(200_000), 0),
    }[shape]
    error = np.sqrt(np.mean(np.square(_rounded(values, name) - values)))
    measured = error / np.sqrt(np.mean(np.square(values)))
    if name == "int8" and shape == "sparse":
        measured *= np.sqrt(2)  # one step for all: the formula gives zeros an error, too
    assert equivalent_noise(name, values) == pytest.approx(measured, rel=0.03)


@pytest.mark.parametrize("name", FLOATS)
def test_denormal_numbers_share_one_spacing(name: FloatFormat) -> None:
    smallest = {"float32": 2.0**-149, "float16": 2.0**-24, "bfloat16": 2.0**-133}[name]
    values = smallest * np.array([0.3, 1.0, 5.0, 100.0])
    assert rounding_moment(values, name) == pytest.approx(smallest**2 / 12, rel=1e-12)


@pytest.mark.parametrize("name", FLOATS)
def test_the_spacing_is_that_of_the_format_at_its_powers(name: FloatFormat) -> None:
    bits = {"float32": 23, "float16": 10, "bfloat16": 7}[name]
    for value, exponent in [(1.0, 0), (1.999, 0), (2.0, 1), (-3.0, 1), (0.75, -1), (4.0, 2)]:
        moment = rounding_moment(np.array([value]), name)
        assert moment * 12 == pytest.approx(4.0 ** (exponent - bits), rel=1e-12)


def test_numbers_beyond_the_range_count_as_its_largest() -> None:
    """Overflow is no protection: the noise of one broken element must not save the others."""
    assert rounding_moment(np.array([1e9]), "float16") * 12 == pytest.approx(4.0 ** (15 - 10))
    assert rounding_moment(np.array([1e300]), "float32") * 12 == pytest.approx(4.0 ** (127 - 23))


def test_zeros_are_exact() -> None:
    assert rounding_moment(np.zeros(5), "float32") == 0.0
    ones = rounding_moment(np.ones(4), "float16")
    assert rounding_moment(np.array([1.0, 0.0, 1.0, 0.0]), "float16") == ones / 2


@pytest.mark.parametrize("name", FLOATS)
def test_moments_average_over_samples(name: FloatFormat) -> None:
    samples = np.random.default_rng(0).standard_normal((5, 40)).astype(np.float32)
    mean = np.mean([rounding_moment(sample, name) for sample in samples])
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    assert float_noise(float(mean), rms) == pytest.approx(equivalent_noise(name, samples), rel=1e-9)


def test_blocks_do_not_change_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).standard_normal((3, 7, 11))
    expected = [equivalent_noise(name, values) for name in FORMATS]
    monkeypatch.setattr("onnxprobe.risk.release_noise._BLOCK_ELEMENTS", 5)
    for name, before in zip(FORMATS, expected, strict=True):
        assert equivalent_noise(name, values) == pytest.approx(before, rel=1e-12)


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
@pytest.mark.parametrize("name", ["float32", "bfloat16", "int8"])
def test_the_level_has_no_unit(name: NumberFormat, scale: float) -> None:
    values = np.random.default_rng(0).standard_normal(50)
    expected = equivalent_noise(name, values)
    assert equivalent_noise(name, values * scale) == pytest.approx(expected, rel=1e-12)


def test_coarser_formats_add_more() -> None:
    values = np.random.default_rng(0).standard_normal(1000)
    levels = [equivalent_noise(name, values) for name in ("float32", "float16", "bfloat16", "int8")]
    assert None not in levels
    assert levels == sorted(level for level in levels if level is not None)


@pytest.mark.parametrize("name", FORMATS)
def test_a_tensor_without_size_has_no_level(name: NumberFormat) -> None:
    assert equivalent_noise(name, np.zeros(4)) is None
    assert equivalent_noise(name, np.zeros(0)) is None


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite_has_no_level(name: NumberFormat, wrong: float) -> None:
    assert equivalent_noise(name, np.array([1.0, wrong])) is None


def test_streaming_numbers_that_are_not_finite_have_no_level() -> None:
    assert np.isnan(rounding_moment(np.array([np.inf]), "float16"))
    assert rounding_moment(np.zeros(0), "float16") == 0.0
    assert float_noise(np.nan, 1.0) is None
    assert float_noise(1.0, np.nan) is None
    assert float_noise(1.0, 0.0) is None
    assert int8_noise(np.inf, 1.0) is None
    assert int8_noise(1.0, 0.0) is None


@pytest.mark.parametrize("text", ["0.1", " 1e-3 ", "2"])
def test_a_number_is_a_level(text: str) -> None:
    found = parse_release_noise(text)
    assert found == ReleaseNoise(text.strip(), level=float(text))
    assert found.format is None


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_a_level_that_depends_on_the_tensor(name: NumberFormat) -> None:
    assert parse_release_noise(f" {name} ") == ReleaseNoise(name, level=None, format=name)


@pytest.mark.parametrize("text", ["", "0", "-0.1", "nan", "inf", "float64", "FLOAT32", "0,1"])
def test_anything_else_is_refused(text: str) -> None:
    message = r"is neither a number above 0 nor one of float32, float16, bfloat16, int8"
    with pytest.raises(DataError, match=message):
        parse_release_noise(text)
