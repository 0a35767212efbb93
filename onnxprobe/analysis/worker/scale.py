"""How large the values of a tensor are, and what noise means beside them."""

from __future__ import annotations

from collections.abc import Mapping

from onnxprobe.risk import ReleaseNoise, float_noise, int8_noise

__all__ = ["Scale"]


class Scale:
    """How large a tensor's values are, and how coarsely formats round them.

    Args:
        rms: Root mean square over elements and samples.
        max_abs: Largest magnitude.
        rounding: By float format, the mean square of its rounding error.
    """

    def __init__(self, rms: float, max_abs: float, rounding: Mapping[str, float]) -> None:
        self.rms = rms
        self._max_abs = max_abs
        self._rounding = rounding

    def noise(self, asked: ReleaseNoise) -> float | None:
        """Return the noise level that was asked for.

        Args:
            asked: A number or a format.

        Returns:
            Standard deviation relative to the RMS; ``None`` for a tensor of zeros.
        """
        if self.rms == 0:
            return None
        if asked.level is not None:
            return asked.level
        if asked.format == "int8":
            return int8_noise(self._max_abs, self.rms)
        assert asked.format is not None
        return float_noise(self._rounding[asked.format], self.rms)
