"""Release noise: what an owner adds to a tensor, or what its number format adds anyway."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from onnxprobe.errors import DataError
from onnxprobe.shapes import axes
from onnxprobe.types import Array, Floats

__all__ = [
    "FloatFormat",
    "NumberFormat",
    "ReleaseNoise",
    "equivalent_noise",
    "float_noise",
    "int8_noise",
    "parse_release_noise",
    "rounding_moment",
]

FloatFormat: TypeAlias = Literal["float32", "float16", "bfloat16"]
NumberFormat: TypeAlias = Literal["float32", "float16", "bfloat16", "int8"]

_FORMATS: tuple[NumberFormat, ...] = get_args(NumberFormat)

#: Fraction bits, smallest and largest exponent of a normal number.
_PRECISIONS: dict[FloatFormat, tuple[int, int, int]] = {
    "float32": (23, -126, 127),
    "float16": (10, -14, 15),
    "bfloat16": (7, -126, 127),
}

_INT8_STEPS = 127
_BLOCK_ELEMENTS = 2**20


@dataclass(frozen=True)
class ReleaseNoise:
    """A level of noise, given as a number or by a number format.

    Attributes:
        label: What the user wrote.
        level: Standard deviation in units of the tensor's RMS; ``None`` for a format, whose level
            depends on the tensor.
        format: The number format; ``None`` for a number.
    """

    label: str
    level: float | None = None
    format: NumberFormat | None = None


def parse_release_noise(text: str) -> ReleaseNoise:
    """Read a level of noise as the user wrote it.

    Args:
        text: A number above 0, or ``float32``, ``float16``, ``bfloat16`` or ``int8``.

    Returns:
        The level, its label without surrounding spaces.

    Raises:
        DataError: If it is neither.

    Example:
        >>> parse_release_noise("0.1")
        ReleaseNoise(label='0.1', level=0.1, format=None)
        >>> parse_release_noise("int8")
        ReleaseNoise(label='int8', level=None, format='int8')
    """
    label = text.strip()
    for name in _FORMATS:
        if label == name:
            return ReleaseNoise(label, format=name)
    try:
        level = float(label)
    except ValueError:
        level = math.nan
    if not (math.isfinite(level) and level > 0):
        raise DataError(
            f"release noise {label!r} is neither a number above 0 nor one of {', '.join(_FORMATS)}"
        )
    return ReleaseNoise(label, level=level)


def rounding_moment(array: Array, name: FloatFormat) -> float:
    """Compute the mean squared error of rounding real numbers to a floating-point format.

    The spacing of a format with p fraction bits around x is
    ``ulp(x) = 2^(max(⌊log2|x|⌋, e_min) − p)``, and the rounding error uniform in ±ulp/2, of
    variance ``ulp²/12``. Zero is exact. Beyond the format's range the spacing stays that of its
    largest numbers: overflow destroys single elements, but is no noise to rely on.

    Args:
        array: Elements in any shape, one or several samples.
        name: The format.

    Returns:
        ``mean(ulp²)/12``, which may be averaged over arrays of equal size; 0 for an empty array,
        not a number if an element is not finite.

    Source:
        Widrow & Kollár 2008, "Quantization Noise", ch. 12.

    Example:
        >>> rounding_moment(np.array([1.0, 1.5]), "float32") * 12 == 2.0**-46
        True
    """
    (size,) = axes(array.reshape(-1), "elements", of="array")
    if size == 0:
        return 0.0
    fraction, lowest, highest = _PRECISIONS[name]
    total = 0.0
    for block in _blocks(array):
        if not np.isfinite(block).all():
            return math.nan
        exponents = np.frexp(block)[1] - 1  # frexp's fraction lies in [½, 1)
        spacing = np.clip(exponents, lowest, highest) - fraction
        total += float(np.ldexp(1.0, 2 * spacing[block != 0]).sum())
    return total / size / 12


def float_noise(moment: float, rms: float) -> float | None:
    """Express the rounding of a floating-point format as release noise.

    Args:
        moment: Mean squared rounding error, :func:`rounding_moment`, averaged over samples.
        rms: Root mean square of the same elements.

    Returns:
        Standard deviation in units of the RMS; ``None`` for a tensor of zeros or one that is not
        finite.

    Example:
        >>> float_noise(moment=0.04, rms=2.0)
        0.1
    """
    return _relative(math.sqrt(moment), rms)


def int8_noise(max_abs: float, rms: float) -> float | None:
    """Express symmetric int8 quantisation, one scale per tensor, as release noise.

    The step is ``max|x|/127``, the error uniform in ± half of it: its deviation is step/√12.

    Args:
        max_abs: Largest magnitude of the tensor.
        rms: Root mean square of the tensor.

    Returns:
        Standard deviation in units of the RMS; ``None`` for a tensor of zeros or one that is not
        finite.

    Source:
        Jacob et al. 2018 (per-tensor quantisation); Bennett 1948 (uniform error).

    Example:
        >>> round(int8_noise(max_abs=4.0, rms=1.0), 6)
        0.009092
    """
    return _relative(max_abs / _INT8_STEPS / math.sqrt(12), rms)


def equivalent_noise(name: NumberFormat, array: Array) -> float | None:
    """Express the rounding of a number format as release noise on one tensor.

    Args:
        name: The format.
        array: The tensor's elements, in any shape.

    Returns:
        Standard deviation in units of the RMS; ``None`` for a tensor of zeros or one that is not
        finite.

    Example:
        >>> round(equivalent_noise("float16", np.array([1.0, -1.0])) / 2**-10 * 12**0.5, 6)
        1.0
    """
    (size,) = axes(array.reshape(-1), "elements", of="array")
    if size == 0:
        return None
    square = math.fsum(float(np.vdot(block, block)) for block in _blocks(array))
    rms = math.sqrt(square / size)
    if name == "int8":
        return int8_noise(float(np.abs(array).max()), rms)
    return float_noise(rounding_moment(array, name), rms)


def _relative(deviation: float, rms: float) -> float | None:
    if not (math.isfinite(deviation) and math.isfinite(rms) and rms > 0):
        return None
    return deviation / rms


def _blocks(array: Array) -> Iterator[Floats]:
    flat = array.reshape(-1)
    for i in range(0, flat.size, _BLOCK_ELEMENTS):
        yield flat[i : i + _BLOCK_ELEMENTS].astype(np.float64)
