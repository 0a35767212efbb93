from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.jacobian import Pullback, mean_pullback
from onnxprobe.types import Floats


def matrix(seed: int, k: int, m: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(k, m))


def test_gram_and_factor_give_the_same_spectrum() -> None:
    factor = matrix(0, 12, 5)
    one = Pullback(factor=factor).spectrum(0.0, complete=True)
    other = Pullback(gram=factor @ factor.T).spectrum(0.0, complete=True)
    assert one is not None
    assert other is not None
    truth = np.linalg.svd(factor, compute_uv=False)
    assert np.allclose(one.values, truth)
    assert np.allclose(other.values[:5], truth)


def test_rotation_of_gram_and_factor_agree() -> None:
    factor = matrix(1, 12, 5)
    turn, _ = np.linalg.qr(matrix(2, 12, 12))
    rotated = Pullback(factor=factor).rotated(turn[:7])
    same = Pullback(gram=factor @ factor.T).rotated(turn[:7])
    assert rotated.factor is not None
    assert same.gram is not None
    assert np.allclose(rotated.factor @ rotated.factor.T, same.gram)
    assert rotated.directions == 7


def test_the_first_directions_of_gram_and_factor_agree() -> None:
    factor = matrix(3, 9, 4)
    some = Pullback(factor=factor).first(3)
    same = Pullback(gram=factor @ factor.T).first(3)
    assert some.factor is not None
    assert same.gram is not None
    assert np.allclose(some.factor @ some.factor.T, same.gram)


@pytest.mark.parametrize("narrow", [True, False])
def test_the_mean_is_that_of_the_gram_matrices(narrow: bool) -> None:
    factors = [matrix(seed, 12, 2 if narrow else 9) for seed in range(3)]
    mean = mean_pullback([Pullback(factor=factor) for factor in factors])
    truth = sum(factor @ factor.T for factor in factors) / 3
    if narrow:
        assert mean.factor is not None
        assert np.allclose(mean.factor @ mean.factor.T, truth)
    else:
        assert mean.gram is not None
        assert np.allclose(mean.gram, truth)


def test_gram_matrices_and_factors_can_be_averaged_together() -> None:
    factor = matrix(4, 6, 3)
    mean = mean_pullback([Pullback(factor=factor), Pullback(gram=factor @ factor.T)])
    assert mean.gram is not None
    assert np.allclose(mean.gram, factor @ factor.T)


def test_a_pullback_is_held_one_way() -> None:
    with pytest.raises(ValueError, match="Gram matrix or as a factor, not both"):
        Pullback()
    with pytest.raises(ValueError, match="Gram matrix or as a factor, not both"):
        Pullback(gram=np.eye(2), factor=np.eye(2))


def test_infinite_entries_are_noticed_before_any_eigensolver() -> None:
    factor = np.full((4, 2), np.inf)
    assert not Pullback(factor=factor).is_finite
    assert Pullback(factor=factor).spectrum(0.0, complete=True) is None
    assert Pullback(gram=np.full((2, 2), np.nan)).spectrum(0.0, complete=True) is None
