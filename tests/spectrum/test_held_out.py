"""How much of new inputs the principal components of others span."""

from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.spectrum import held_out_share


def test_it_is_what_projections_say() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 20)) * np.geomspace(1, 0.05, 20) + 3
    for limit in (1, 5, 100):
        spanned = total = 0.0
        for fold in range(4):
            held = np.arange(50) % 4 == fold
            centre = x[~held].mean(axis=0)
            _, _, right = np.linalg.svd(x[~held] - centre, full_matrices=False)
            along = (x[held] - centre) @ right[:limit].T
            spanned += np.sum(along**2)
            total += np.sum((x[held] - centre) ** 2)
        assert held_out_share(x @ x.T, limit) == pytest.approx(spanned / total, abs=1e-9)


def test_noise_in_many_dimensions_is_hardly_spanned() -> None:
    x = np.random.default_rng(1).normal(size=(40, 5000))
    share = held_out_share(x @ x.T, 40)
    assert share is not None
    assert share < 0.05


def test_near_copies_of_each_other_make_samples_look_better_known_than_they_are() -> None:
    """Parts are taken by index, whatever belongs together: thirty pictures, seven of each."""
    rng = np.random.default_rng(2)
    pictures, count = rng.normal(size=(30, 3000)), 210
    owners = rng.permutation(np.arange(count) % 30)
    x = pictures[owners] + 0.1 * rng.normal(size=(count, 3000))
    share = held_out_share(x @ x.T, count)
    assert share is not None
    assert share > 0.95
    # The same pictures, one of each: nothing is known of any other.
    alone = held_out_share(pictures @ pictures.T, count)
    assert alone is not None
    assert alone < 0.1


def test_without_samples_or_variance_there_is_none() -> None:
    assert held_out_share(np.eye(7), 3) is None
    assert held_out_share(np.ones((20, 20)), 3) is None
    assert held_out_share(np.full((20, 20), np.nan), 3) is None


def test_copies_are_not_held_out_from_themselves() -> None:
    x = np.random.default_rng(0).normal(size=(16, 200))
    alone = held_out_share(x @ x.T, 200)
    copies = np.tile(x, (4, 1))
    assert held_out_share(copies @ copies.T, 200) == pytest.approx(alone, abs=1e-9)
    few = np.tile(x[:7], (8, 1))
    assert held_out_share(few @ few.T, 200) is None
