"""Options that mean nothing, and spectra that say nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from onnxprobe import DataError, analyze
from onnxprobe.analysis.worker.reading import Reading, jacobian_record
from onnxprobe.jacobian import coordinate_directions
from onnxprobe.spectrum import Spectrum
from tests.analysis import networks
from tests.analysis.test_conduct import normal


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"step": -1.0}, "option step is -1.0; expected"),
        ({"step": float("nan")}, "option step is nan; expected"),
        ({"directions": -3}, "option directions is -3; expected"),
        ({"noise": "0.1"}, r"option noise is '0.1'; expected a list, such as \['0.1'\]"),
        ({"noise": 0.1}, r"option noise is 0.1; expected a list, such as \[0.1\]"),
        ({"include": "relu"}, "option include is 'relu'; expected a list"),
        ({"images": {"scale": float("nan")}}, "option images.scale is nan; expected a finite"),
    ],
)
def test_options_that_mean_nothing_are_refused_in_python_too(
    options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(DataError, match=f"^{sentence}"):
        analyze(networks.linear(), normal(40, 12), **options)


def test_a_spectrum_below_its_floor_has_no_shape() -> None:
    """No measure of at least 1 is averaged with a 0 that stands for nothing."""
    below = Reading(
        Spectrum.of(np.array([1e-3]), floor=1.0), None, None, None, resolved=False, is_flat=False
    )
    above = Reading(
        Spectrum.of(np.array([2.0]), floor=1.0), None, None, None, resolved=False, is_flat=False
    )
    directions = coordinate_directions(1)
    both = jacobian_record([below, above], [0, 1], directions, 1, [1e-3])
    assert both.stable_rank is not None
    assert both.stable_rank.min == 1.0
    alone = jacobian_record([below], [0], directions, 1, [1e-3])
    assert alone.stable_rank is None
    assert alone.rank is not None
    assert alone.rank.at_least
