from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.jacobian import noise_floor
from onnxprobe.shapes import ShapeError
from onnxprobe.types import Floats


def floor_of(errors: Floats, probed: int) -> float:
    """The floor that the first columns of an error matrix give; errors has shape (outputs, k)."""
    seen = errors[:, :probed].T
    return noise_floor(seen @ seen.T, errors.shape[0], errors.shape[1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("outputs", "directions"), [(400, 100), (50, 300), (10, 64)])
def test_independent_noise_lies_below_the_floor_and_not_far(
    outputs: int, directions: int, seed: int
) -> None:
    errors = np.random.default_rng(seed).normal(size=(outputs, directions))
    norm = np.linalg.norm(errors, 2)
    assert norm <= floor_of(errors, 32) <= 6 * norm


@pytest.mark.parametrize("seed", range(5))
def test_an_error_common_to_all_directions_lies_below_the_floor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    errors = np.outer(rng.normal(size=200), rng.normal(size=500))
    errors += 0.01 * rng.normal(size=errors.shape)
    assert np.linalg.norm(errors, 2) <= floor_of(errors, 32)


def test_no_disagreement_means_no_floor() -> None:
    assert noise_floor(np.zeros((4, 4)), 10, 100) == 0.0


def test_nothing_probed_or_nothing_there_means_no_floor() -> None:
    assert noise_floor(np.zeros((0, 0)), 10, 100) == 0.0
    assert noise_floor(np.zeros((2, 2)), 0, 100) == 0.0


def test_an_infinite_disagreement_means_an_infinite_floor() -> None:
    assert noise_floor(np.full((2, 2), np.inf), 10, 100) == np.inf


def test_a_disagreement_that_is_no_gram_matrix_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"disagreement must have axes \(p, p\)"):
        noise_floor(np.zeros((2, 3)), 10, 100)
