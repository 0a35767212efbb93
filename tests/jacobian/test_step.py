from __future__ import annotations

import numpy as np

from onnxprobe.jacobian import LADDER, StepTrial, choose_step, coordinate_directions, try_steps
from onnxprobe.types import Array
from tests.jacobian.networks import Function, Linear, NumpyRunner, Perceptron, point


def trials(
    function: Function, inputs: int, names: list[str], seed: int = 0
) -> dict[str, StepTrial]:
    rng = np.random.default_rng(seed)
    at = point(rng.normal(size=inputs))
    return try_steps(NumpyRunner(function), at, coordinate_directions(inputs), names, block=8)


def test_a_linear_function_is_given_a_long_step() -> None:
    found = trials(Linear(20, 16, 8, np.random.default_rng(1)), 16, ["y"])
    step = choose_step(found)
    assert step is not None
    assert step >= 0.1


def test_a_function_with_curvature_is_given_a_shorter_step_than_a_linear_one() -> None:
    def curved(x: Array) -> dict[str, Array]:
        return {"y": np.sin(20 * x)}

    curved_step = choose_step(trials(curved, 16, ["y"]))
    linear_step = choose_step(trials(Linear(16, 16, 16, np.random.default_rng(2)), 16, ["y"]))
    assert curved_step is not None
    assert linear_step is not None
    assert curved_step < linear_step / 8


def test_the_measured_noise_of_a_float32_function_is_that_of_float32() -> None:
    found = trials(Perceptron(np.random.default_rng(3)), 24, ["t"])
    assert 1e-9 < found["t"].noise < 1e-6


def test_added_noise_is_measured() -> None:
    rng = np.random.default_rng(4)

    def noisy(x: Array) -> dict[str, Array]:
        return {"y": x + 1e-3 * rng.normal(size=x.shape)}

    found = trials(noisy, 64, ["y"])
    assert 0.5e-3 < found["y"].noise < 2e-3


def test_a_staircase_disagrees_with_itself_at_every_short_step() -> None:
    def stairs(x: Array) -> dict[str, Array]:
        return {"y": np.round(4 * x) / 4}

    found = trials(stairs, 256, ["y"])
    known = [each for each in found["y"].disagreements[:8] if each is not None]
    assert min(known) > 0.3


def test_no_step_is_chosen_if_nothing_moves() -> None:
    def constant(x: Array) -> dict[str, Array]:
        return {"y": np.ones((len(x), 3), np.float32)}

    found = trials(constant, 8, ["y"])
    assert choose_step(found) is None
    assert found["y"].disagreements == (None,) * (len(LADDER) - 1)


def ladder(*disagreements: float) -> StepTrial:
    """A trial with these disagreements, the last repeated up to the end of the ladder."""
    rest = (disagreements[-1],) * (len(LADDER) - 1 - len(disagreements))
    return StepTrial((*disagreements, *rest), 1e-7)


def test_the_bottom_of_a_valley_is_chosen() -> None:
    valley = ladder(0.08, 0.04, 0.02, 0.01, 0.009, 0.01, 0.02, 0.04, 0.08, 0.16)
    assert choose_step({"y": valley}) == LADDER[3]


def test_a_step_well_before_a_cliff_is_chosen() -> None:
    cliff = ladder(1e-2, 5e-3, 2e-3, 1e-3, 5e-4, 2e-4, 1e-4, 0.1, 0.2)
    assert choose_step({"y": cliff}) == LADDER[4], "two steps before the last good one"


def test_the_median_tensor_decides() -> None:
    early, late = ladder(1e-3, 1.0), ladder(*[1.0] * 8, 1e-3)
    assert choose_step({"a": early, "b": late, "c": late}) == LADDER[8]
