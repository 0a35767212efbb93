from __future__ import annotations

import numpy as np
import pytest

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import (
    ImageLayout,
    Prior,
    PriorKind,
    data_prior,
    image_prior,
    isotropic_prior,
    join_priors,
)
from onnxprobe.types import Floats


def _prior(
    kind: PriorKind, size: int, variances: list[float], trace: float, seed: int = 0
) -> Prior:
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))[0]
    return Prior(kind, size, trace, basis[: len(variances)], np.array(variances))


def _covariance(prior: Prior) -> Floats:
    if prior.directions is None:
        return np.diag(prior.variances)
    return prior.directions.T * prior.variances @ prior.directions


def test_an_isotropic_prior_spreads_evenly_and_has_no_directions() -> None:
    prior = isotropic_prior(5, 0.25)
    assert (prior.kind, prior.size, prior.trace, prior.share) == ("isotropic", 5, 1.25, 1.0)
    assert prior.directions is None
    assert prior.variances.tolist() == [0.25] * 5
    assert prior.is_spanned_by(5)
    assert not prior.is_spanned_by(4)
    assert prior.leading(2) is prior


def test_the_share_is_the_variance_along_the_directions() -> None:
    prior = _prior("data", 4, [3.0, 1.0], trace=5.0)
    assert prior.share == 0.8
    assert not prior.is_spanned_by(2)
    leading = prior.leading(1)
    assert (leading.share, leading.trace, len(leading.variances)) == (0.6, 5.0, 1)
    assert prior.leading(2) is prior


def test_no_direction_outside_has_more_variance_than_is_said() -> None:
    """Whatever is kept of it, against the covariance outside what is kept."""
    rng = np.random.default_rng(0)
    whole = [
        data_prior(rng.standard_normal((5, 9)) * np.geomspace(1, 0.1, 9), 9),
        data_prior(rng.standard_normal((30, 9)) * np.geomspace(1, 0.1, 9), 9),
        image_prior(ImageLayout(3, 3, channel_axis=None), [0.25], 9),
        join_priors(
            [_prior("data", 4, [3.0, 1.0, 0.7, 0.2], trace=4.9), isotropic_prior(5, 0.8)], limit=9
        ),
    ]
    for prior in whole:
        covariance = _covariance(prior)
        for kept in range(9):
            leading = prior.leading(kept)
            assert leading.directions is not None
            outside = np.eye(9) - leading.directions.T @ leading.directions
            largest = np.linalg.eigvalsh(outside @ covariance @ outside)[-1]
            assert leading.beyond(kept) == pytest.approx(largest, rel=1e-9)
            assert prior.beyond(kept) == pytest.approx(largest, rel=1e-9)


def test_priors_that_kept_a_part_know_what_they_left_out() -> None:
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((6, 40)) * np.geomspace(1, 0.1, 40)
    for limit in (2, 5):
        whole, part = data_prior(samples, 40), data_prior(samples, limit)
        assert part.beyond(limit) == pytest.approx(whole.beyond(limit), rel=1e-9)
    layout = ImageLayout(4, 4, channel_axis=None)
    whole, part = image_prior(layout, [0.25], 16), image_prior(layout, [0.25], 7)
    assert part.beyond(7) == whole.beyond(7)
    joint = join_priors([part, isotropic_prior(2, 1e-3)], limit=18)
    assert joint.beyond(9) == part.beyond(7)


def test_what_is_not_said_follows_from_the_total() -> None:
    prior = _prior("data", 4, [3.0, 1.0], trace=4.5)
    assert prior.beyond(1) == 1.0
    assert prior.beyond(2) == 0.5
    assert _prior("data", 4, [3.0, 0.1], trace=4.5).beyond(2) == 0.1
    assert Prior("data", 3, 2.0, np.zeros((0, 3)), np.zeros(0)).beyond(0) == 2.0
    with pytest.raises(ValueError, match=r"is finite and not negative, got -1\.0 outside"):
        Prior("data", 3, 2.0, np.zeros((0, 3)), np.zeros(0), outside=-1.0)


def test_a_prior_without_variance_lacks_nothing() -> None:
    prior = Prior("data", 3, 0.0, np.zeros((0, 3)), np.zeros(0))
    assert prior.share == 1.0
    assert prior.is_spanned_by(0)


@pytest.mark.parametrize(
    ("trace", "variances", "message"),
    [
        (np.nan, [1.0, 1.0], "a total variance is finite and not negative, got nan"),
        (-1.0, [1.0, 1.0], "a total variance is finite and not negative, got -1"),
        (2.0, [np.nan, 1.0], "variances must be finite and not negative"),
        (2.0, [1.0, -1.0], "variances must be finite and not negative"),
        (9.0, [1.0, 2.0], "variances must be descending, the leading directions first"),
        (1.0, [1.0, 1.0], "directions cannot carry 2 of a total variance of 1"),
    ],
)
def test_a_prior_that_means_nothing_is_refused(
    trace: float, variances: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Prior("data", 3, trace, np.eye(3)[:2], np.array(variances))


def test_the_axes_of_a_prior_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"directions must have axes \(K, n\), K=2, n=3"):
        Prior("data", 3, 2.0, np.eye(3), np.ones(2))
    with pytest.raises(ShapeError, match=r"variances must have axes \(n\), n=3"):
        Prior("isotropic", 3, 3.0, None, np.ones(2))


def test_independent_inputs_join_to_a_block_diagonal_covariance() -> None:
    first = _prior("data", 3, [5.0, 2.0, 0.5], trace=7.5)
    second = isotropic_prior(2, 3.0)
    third = _prior("image", 4, [4.0, 1.0, 1.0, 1.0], trace=7.0, seed=1)
    joint = join_priors([first, second, third], limit=9)
    expected = np.zeros((9, 9))
    expected[:3, :3] = _covariance(first)
    expected[3:5, 3:5] = _covariance(second)
    expected[5:, 5:] = _covariance(third)
    np.testing.assert_allclose(_covariance(joint), expected, atol=1e-12)
    assert (joint.kind, joint.trace, joint.size, joint.share) == ("isotropic", 20.5, 9, 1.0)


def test_a_joint_prior_keeps_the_strongest_directions_of_all_inputs() -> None:
    first = _prior("data", 3, [5.0, 2.0], trace=7.5)
    second = _prior("image", 4, [4.0, 1.0], trace=6.0, seed=1)
    joint = join_priors([first, second], limit=3)
    assert first.directions is not None
    assert second.directions is not None
    assert joint.directions is not None
    assert joint.variances.tolist() == [5.0, 4.0, 2.0]
    np.testing.assert_array_equal(joint.directions[0], [*first.directions[0], 0, 0, 0, 0])
    np.testing.assert_array_equal(joint.directions[1], [0, 0, 0, *second.directions[0]])
    np.testing.assert_array_equal(joint.directions[2], [*first.directions[1], 0, 0, 0, 0])
    assert joint.trace == 13.5


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["data", "data"], "data"),
        (["data", "image"], "image"),
        (["image", "data"], "image"),
        (["isotropic", "data"], "isotropic"),
    ],
)
def test_a_joint_prior_is_trusted_no_further_than_its_worst_part(
    kinds: list[PriorKind], expected: PriorKind
) -> None:
    priors = [_prior(kind, 2, [1.0, 1.0], trace=2.0) for kind in kinds]
    assert join_priors(priors, limit=4).kind == expected


def test_equally_isotropic_inputs_stay_isotropic() -> None:
    joint = join_priors([isotropic_prior(2, 3.0), isotropic_prior(4, 3.0)], limit=1)
    assert joint.directions is None
    assert (joint.size, joint.trace) == (6, 18.0)


def test_one_input_keeps_its_prior_up_to_the_limit() -> None:
    prior = _prior("data", 4, [3.0, 1.0], trace=5.0)
    assert join_priors([prior], limit=2) is prior
    assert len(join_priors([prior], limit=1).variances) == 1


def test_an_input_without_variance_joins_without_directions() -> None:
    constant = Prior("data", 2, 0.0, np.zeros((0, 2)), np.zeros(0))
    joint = join_priors([constant, _prior("data", 2, [2.0, 1.0], trace=3.0)], limit=9)
    assert joint.directions is not None
    assert joint.directions.shape == (2, 4)
    assert np.all(joint.directions[:, :2] == 0)


def test_no_input_is_refused() -> None:
    with pytest.raises(ValueError, match="a joint prior needs at least one input, got none"):
        join_priors([], limit=1)
