from __future__ import annotations

import numpy as np
import pytest

from tests.jacobian.checker import check_jacobian
from tests.jacobian.networks import Linear, Perceptron


@pytest.mark.parametrize("name", ["a", "h", "t"])
def test_the_checker_accepts_jacobians_differentiated_by_hand(name: str) -> None:
    rng = np.random.default_rng(1)
    network = Perceptron(rng, "float64")
    x = rng.normal(size=24)
    check_jacobian(lambda z: network(z[None])[name][0], x, network.jacobian(x)[name])


@pytest.mark.parametrize("name", ["a", "h", "t"])
def test_the_checker_rejects_a_jacobian_that_is_wrong_by_a_thousandth(name: str) -> None:
    rng = np.random.default_rng(1)
    network = Perceptron(rng, "float64")
    x = rng.normal(size=24)
    wrong = 1.001 * network.jacobian(x)[name]
    with pytest.raises(AssertionError, match="off by"):
        check_jacobian(lambda z: network(z[None])[name][0], x, wrong)


def test_the_checker_rejects_a_jacobian_with_one_wrong_entry() -> None:
    rng = np.random.default_rng(2)
    network = Linear(6, 5, 5, rng, "float64")
    wrong = network.weight.copy()
    wrong[3, 2] *= 1.01
    with pytest.raises(AssertionError, match="off by"):
        check_jacobian(lambda z: network(z[None])["y"][0], rng.normal(size=5), wrong)
