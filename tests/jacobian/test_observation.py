"""Finite differences against Jacobians known by heart."""

from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.jacobian import (
    Directions,
    Observation,
    Pass,
    Point,
    choose_step,
    coordinate_directions,
    given_directions,
    observe,
    try_steps,
)
from onnxprobe.spectrum import numerical_rank
from onnxprobe.types import Array, Floats
from tests.jacobian.checker import check_jacobian
from tests.jacobian.networks import Function, Linear, NumpyRunner, Perceptron, point, whole


def look(
    function: Function,
    at: Point,
    directions: Directions,
    *,
    passes: list[Pass] | None = None,
    step: float | None = None,
    block: int = 16,
) -> dict[str, Observation]:
    """Observe with the step that the ladder recommends."""
    runner = NumpyRunner(function)
    every = passes or [whole(function, at)]
    if step is None:
        step = choose_step(try_steps(runner, at, directions, list(every[0].columns), block=block))
        assert step is not None
    lengths = step * at.source.scales(at.vector)
    return observe(
        runner, at, directions, lengths, every, lambda _, found: found, block=block, threads=2
    )


def jacobian_of(found: Observation) -> Floats:
    """The Jacobian itself, where the observation holds it as a factor."""
    assert found.whole.factor is not None
    return found.whole.factor.T


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("outputs", "inputs", "rank"), [(40, 64, 13), (300, 64, 20), (100, 150, 100), (50, 50, 1)]
)
def test_the_rank_of_a_linear_layer_is_exact(
    outputs: int, inputs: int, rank: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    layer = Linear(outputs, inputs, rank, rng)
    found = look(layer, point(rng.normal(size=inputs)), coordinate_directions(inputs))["y"]
    spectrum = found.pullback.spectrum(found.floor, complete=True)
    assert spectrum is not None
    assert spectrum.resolved_count == rank
    assert numerical_rank(spectrum, 1e-4).value == rank
    assert not numerical_rank(spectrum, 1e-4).at_least


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", ["a", "h", "t"])
def test_singular_values_of_a_network_are_within_the_stated_floor(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = Perceptron(rng)
    at = point(rng.normal(size=24))
    found = look(network, at, coordinate_directions(24))[name]
    spectrum = found.pullback.spectrum(found.floor, complete=True)
    assert spectrum is not None
    truth = np.linalg.svd(network.jacobian(at.vector)[name], compute_uv=False)
    assert np.abs(spectrum.values - truth[: len(spectrum.values)]).max() <= spectrum.floor


def test_a_jacobian_in_float64_is_good_enough_for_the_checker() -> None:
    rng = np.random.default_rng(3)
    network = Linear(10, 24, 10, rng, "float64")
    at = point(rng.normal(size=24), "float64")
    found = look(network, at, coordinate_directions(24))["y"]
    check_jacobian(lambda z: network(z[None])["y"][0], at.vector, jacobian_of(found))


def test_a_narrow_jacobian_itself_is_within_its_floor() -> None:
    rng = np.random.default_rng(4)
    layer = Linear(10, 64, 10, rng)
    at = point(rng.normal(size=64))
    found = look(layer, at, coordinate_directions(64))["y"]
    error = jacobian_of(found) - layer.jacobian(at.vector)["y"]
    assert np.linalg.norm(error, 2) <= found.floor


def test_random_directions_give_the_jacobian_restricted_to_their_span() -> None:
    rng = np.random.default_rng(5)
    layer = Linear(200, 100, 100, rng)
    at = point(rng.normal(size=100))
    directions = given_directions(100, 30, rng)
    found = look(layer, at, directions)["y"]
    spectrum = found.pullback.spectrum(found.floor, complete=False)
    assert spectrum is not None
    basis, _ = np.linalg.qr(directions.take(range(30)).T)
    truth = np.linalg.svd(layer.weight.astype(np.float64) @ basis, compute_uv=False)
    # Rounding tilts the perturbations by about 1e-7/step; the derivative is along the tilted ones.
    assert np.allclose(spectrum.values, truth, rtol=1e-4)


def test_singular_values_through_some_directions_never_exceed_the_true_ones() -> None:
    rng = np.random.default_rng(6)
    layer = Linear(50, 80, 40, rng)
    found = look(layer, point(rng.normal(size=80)), given_directions(80, 25, rng))["y"]
    spectrum = found.pullback.spectrum(found.floor, complete=False)
    assert spectrum is not None
    truth = np.linalg.svd(layer.weight.astype(np.float64), compute_uv=False)
    assert np.all(spectrum.values <= truth[:25] * (1 + 1e-4))


def test_probe_energies_estimate_the_frobenius_norm() -> None:
    rng = np.random.default_rng(7)
    layer = Linear(60, 400, 60, rng)
    found = look(layer, point(rng.normal(size=400)), given_directions(400, 40, rng))["y"]
    truth = float(np.sum(layer.weight.astype(np.float64) ** 2))
    assert found.energies.shape == (32,)
    assert 0.5 * truth <= 400 * found.energies.mean() <= 2 * truth


def test_principal_components_are_taken_as_given() -> None:
    rng = np.random.default_rng(8)
    components, _ = np.linalg.qr(rng.normal(size=(60, 60)))
    directions = given_directions(60, 10, rng, components)
    assert directions.kind == "principal components"
    assert np.allclose(directions.take(range(10)), components[:10], atol=1e-6)


def test_a_tensor_collected_in_parts_has_the_same_spectrum() -> None:
    rng = np.random.default_rng(9)
    layer = Linear(90, 32, 20, rng)
    at = point(rng.normal(size=32))
    once = look(layer, at, coordinate_directions(32), step=0.1)["y"]
    parts = [Pass({"y": slice(start, start + 30)}, {"y": 90}) for start in (0, 30, 60)]
    thrice = look(layer, at, coordinate_directions(32), passes=parts, step=0.1)["y"]
    first = once.pullback.spectrum(once.floor, complete=True)
    second = thrice.pullback.spectrum(thrice.floor, complete=True)
    assert first is not None
    assert second is not None
    assert np.allclose(first.values, second.values, rtol=1e-6, atol=1e-6)
    assert thrice.floor == pytest.approx(once.floor)


def test_the_block_size_changes_nothing() -> None:
    rng = np.random.default_rng(10)
    layer = Linear(20, 32, 20, rng)
    at = point(rng.normal(size=32))
    alone = look(layer, at, coordinate_directions(32), step=0.1, block=1)["y"]
    together = look(layer, at, coordinate_directions(32), step=0.1, block=32)["y"]
    # Kernels round differently for other batch sizes: by what the floor allows.
    difference = jacobian_of(alone) - jacobian_of(together)
    assert np.linalg.norm(difference, 2) <= alone.floor


def test_a_constant_tensor_is_flat_and_a_moving_one_is_not() -> None:
    def network(x: Array) -> dict[str, Array]:
        return {"constant": np.ones((len(x), 3), np.float32), "moving": x[:, :3]}

    rng = np.random.default_rng(11)
    found = look(network, point(rng.normal(size=8)), coordinate_directions(8))
    assert found["constant"].is_flat
    assert not found["moving"].is_flat


def test_an_infinite_output_makes_the_observation_infinite_and_not_slow() -> None:
    def network(x: Array) -> dict[str, Array]:
        y = x.copy()
        y[:, 0] = np.inf
        with np.errstate(invalid="ignore"):
            return {"y": np.concatenate([y, y], axis=1)}

    rng = np.random.default_rng(12)
    with np.errstate(invalid="ignore"):
        found = look(network, point(rng.normal(size=8)), coordinate_directions(8), step=0.1)["y"]
    assert not found.whole.is_finite
    assert found.pullback.spectrum(0.0, complete=True) is None


def test_large_coordinates_are_moved_by_more_than_their_rounding() -> None:
    rng = np.random.default_rng(13)
    layer = Linear(4, 6, 4, rng)
    x = rng.normal(size=6)
    x[2] = 1e6
    found = look(layer, point(x), coordinate_directions(6), step=1e-8)["y"]
    assert np.isfinite(jacobian_of(found)).all()


def test_rows_that_are_fed_beside_the_source_are_repeated() -> None:
    at = point(np.array([1.0, 2.0]))
    beside = Point(at.source, at.vector, {"mask": np.array([[True, False]])})
    feed = beside.rows(np.zeros((3, 2)))
    assert feed["mask"].shape == (3, 2)
    assert feed["x"].dtype == np.float32
