"""Exact tangents: known spectra, and a noise floor neither optimistic nor over-cautious."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest

from onnxprobe.jacobian import (
    Directions,
    Observation,
    Part,
    Pass,
    Source,
    coordinate_directions,
    given_directions,
    observe_tangents,
    rounding_share,
)
from onnxprobe.types import Array, Floats


class _Chain:
    """Tangents of a chain of matrices, computed in float32 as a runtime does."""

    def __init__(self, matrices: list[Floats]) -> None:
        self.matrices = [matrix.astype(np.float32) for matrix in matrices]
        self.calls: list[int] = []

    @property
    def truth(self) -> Floats:
        product = np.eye(self.matrices[0].shape[1])
        for matrix in self.matrices:
            product = matrix.astype(np.float64) @ product
        return product

    def run(self, tangents: Mapping[str, Array]) -> dict[str, Array]:
        moved = tangents["x"]
        self.calls.append(len(moved))
        for matrix in self.matrices:
            moved = moved @ matrix.T
        return {"y": moved}


def _chain(seed: int, sizes: list[int], decades: float) -> _Chain:
    """Matrices whose product has singular values spread over some decades."""
    rng = np.random.default_rng(seed)
    matrices = []
    for before, after in pairwise(sizes):
        left = np.linalg.qr(rng.standard_normal((after, after)))[0]
        right = np.linalg.qr(rng.standard_normal((before, before)))[0]
        count = min(before, after)
        values = 10 ** (-decades / (len(sizes) - 1) * np.linspace(0, 1, count))
        matrices.append((left[:, :count] * values) @ right[:count])
    return _Chain(matrices)


def _observe(chain: _Chain, directions: Directions, parts: int = 1, block: int = 16) -> Observation:
    size = len(chain.truth)
    edges = np.linspace(0, size, parts + 1).astype(int)
    passes = [Pass({"y": slice(start, stop)}, {"y": size}) for start, stop in pairwise(edges)]
    source = Source((Part("x", (directions.size,)),))
    found = observe_tangents(
        chain,
        source,
        directions,
        passes,
        {"y": len(chain.matrices)},
        lambda _, observation: observation,
        block=block,
        threads=2,
    )
    return found["y"]


def _jacobian(observation: Observation) -> Floats:
    whole = observation.pullback
    assert whole.factor is not None
    return whole.factor.T


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "sizes", [[96, 64, 32], [96, 80, 64, 64, 48, 40, 32, 24], [64, *[60] * 24, 40]]
)
def test_the_floor_is_neither_optimistic_nor_over_cautious(sizes: list[int], seed: int) -> None:
    """The error's spectral norm is below it, and above a thirtieth of it."""
    chain = _chain(seed, sizes, 3.0)
    observation = _observe(chain, coordinate_directions(sizes[0]))
    error = float(np.linalg.norm(_jacobian(observation) - chain.truth, 2))
    assert error <= observation.floor
    assert observation.floor <= 30 * error
    assert observation.floor <= 1e-5 * np.linalg.norm(chain.truth, 2)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_ranks_are_those_of_the_truth_down_to_rounding(tolerance: float) -> None:
    chain = _chain(0, [96, 64, 48], 8.0)
    observation = _observe(chain, coordinate_directions(96))
    spectrum = observation.pullback.spectrum(observation.floor, complete=True)
    assert spectrum is not None
    truth = np.linalg.svd(chain.truth, compute_uv=False)
    threshold = tolerance * truth[0]
    near = (truth > threshold / 1.25) & (truth < threshold * 1.25)
    if tolerance * truth[0] > observation.floor:
        low, high = int((truth > threshold * 1.25).sum()), int((truth > threshold / 1.25).sum())
        assert low <= int((spectrum.values > threshold).sum()) <= high
    assert near.sum() <= 3, "values this close tell nothing"


def test_parts_of_a_tensor_add_up() -> None:
    """Wider than there are directions, so that Gram matrices are added."""
    chain = _chain(1, [24, 64], 2.0)
    whole = _observe(chain, coordinate_directions(24))
    split = _observe(chain, coordinate_directions(24), parts=3)
    assert whole.pullback.gram is not None
    assert split.pullback.gram is not None
    np.testing.assert_allclose(split.pullback.gram, whole.pullback.gram, rtol=1e-6, atol=1e-9)
    assert split.floor == pytest.approx(whole.floor, rel=1e-6)


def test_directions_that_are_not_coordinates() -> None:
    chain = _chain(2, [96, 32], 2.0)
    directions = given_directions(96, 40, np.random.default_rng(0))
    observation = _observe(chain, directions)
    assert directions.matrix is not None
    main = directions.matrix[:40].astype(np.float64)
    truth = np.linalg.svd(chain.truth @ main.T, compute_uv=False)
    found = np.linalg.svd(_jacobian(observation), compute_uv=False)
    np.testing.assert_allclose(found, truth, atol=observation.floor)
    assert len(observation.energies) == directions.total - 40


def test_blocks_do_not_matter_and_are_kept() -> None:
    chain = _chain(3, [50, 20], 1.0)
    observation = _observe(chain, coordinate_directions(50), block=16)
    assert chain.calls == [16, 16, 16, 2, 16]
    other = _observe(chain, coordinate_directions(50), block=7)
    np.testing.assert_allclose(_jacobian(other), _jacobian(observation), rtol=1e-5, atol=1e-7)


def test_no_tangent_anywhere_is_flat() -> None:
    chain = _Chain([np.zeros((5, 8))])
    observation = _observe(chain, coordinate_directions(8))
    assert observation.is_flat
    assert observation.floor == 0


def test_rounding_grows_like_a_random_walk() -> None:
    assert rounding_share("float32", 100) == pytest.approx(10 * rounding_share("float32", 1))
    assert rounding_share("float64", 1) < 1e-8 * rounding_share("float32", 1)
    assert rounding_share("float32", 0) == rounding_share("float32", 1)
