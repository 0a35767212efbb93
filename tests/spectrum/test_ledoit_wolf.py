from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf, ledoit_wolf_shrinkage

from onnxprobe.shapes import ShapeError
from onnxprobe.spectrum import Shrinkage, centred_gram, data_prior, ledoit_wolf, scatter
from onnxprobe.types import Array, Floats

DIGITS = Path(__file__).resolve().parents[2] / "models" / "digits.npz"


def _direct(samples: Array) -> float:
    """The intensity as Ledoit & Wolf 2004 write it, with every d×d matrix formed."""
    x = samples - samples.mean(axis=0)
    n, d = x.shape
    s = x.T @ x / n
    m = np.trace(s) / d
    delta2 = np.square(s - m * np.eye(d)).sum() / d
    beta2 = sum(np.square(np.outer(row, row) - s).sum() / d for row in x) / n**2
    return float(min(beta2, delta2) / delta2)


def _dual(samples: Array) -> Shrinkage:
    gram = centred_gram(samples)
    return ledoit_wolf(gram, gram.diagonal(), samples.shape[1])


@pytest.mark.parametrize(("n", "d"), [(5, 40), (20, 20), (40, 5), (200, 3), (3, 100), (2, 9)])
@pytest.mark.parametrize("seed", range(4))
def test_the_dual_form_agrees_with_the_direct_formula(n: int, d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-1, 1, d) + 4
    shrinkage = _dual(samples)
    assert shrinkage.intensity == pytest.approx(_direct(samples), rel=1e-9, abs=1e-12)
    variance = np.var(samples, axis=0, ddof=1).mean()
    assert shrinkage.target == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(5, 40), (40, 5)])
def test_gram_and_scatter_matrix_give_the_same(n: int, d: int) -> None:
    samples = np.random.default_rng(0).standard_normal((n, d))
    norms = np.square(samples - samples.mean(axis=0)).sum(axis=1)
    found = ledoit_wolf(scatter(samples), norms, d)
    expected = _dual(samples)
    assert found.intensity == pytest.approx(expected.intensity, rel=1e-9)
    assert found.target == pytest.approx(expected.target, rel=1e-12)


def _samples(name: str) -> Floats:
    rng = np.random.default_rng(0)
    with np.load(DIGITS, allow_pickle=False) as archive:
        digits = archive["images"].reshape(-1, 64) / 255
    cases: dict[str, Floats] = {
        "fewer samples": rng.standard_normal((30, 200)) * np.geomspace(3, 0.01, 200) + 7,
        "far fewer samples": rng.standard_normal((20, 600)),
        "as many samples": rng.standard_normal((50, 50)),
        "more samples": rng.standard_normal((200, 30)) * np.geomspace(3, 0.01, 30) + 7,
        "forty digits": digits[:40],
        "all digits": digits,
    }
    return cases[name]


@pytest.mark.parametrize(
    "name",
    [
        "fewer samples",
        "far fewer samples",
        "as many samples",
        "more samples",
        "forty digits",
        "all digits",
    ],
)
def test_it_is_what_scikit_learn_finds(name: str) -> None:
    """To 1e-10; scikit-learn divides by n where this package divides by n − 1."""
    samples = _samples(name)
    n, d = samples.shape
    theirs = LedoitWolf().fit(samples)
    found = _dual(samples)
    assert found.intensity == pytest.approx(theirs.shrinkage_, rel=1e-10)
    assert found.intensity == pytest.approx(ledoit_wolf_shrinkage(samples), rel=1e-10)
    target = found.target * (n - 1) / n
    assert target == pytest.approx(np.trace(theirs.covariance_) / d, rel=1e-10)
    prior = data_prior(samples, limit=d)
    assert prior.directions is not None
    covariance = prior.directions.T * prior.variances @ prior.directions * (n - 1) / n
    difference = np.linalg.norm(covariance - theirs.covariance_)
    assert difference <= 1e-10 * np.linalg.norm(theirs.covariance_)


def test_it_brings_the_covariance_closer_to_the_truth() -> None:
    """What the intensity is for: a lower expected error than without it, with less or more."""
    rng = np.random.default_rng(0)
    truth = np.diag(np.linspace(0.1, 3, 30))
    errors = np.zeros(4)
    for _ in range(40):
        samples = rng.standard_normal((25, 30)) * np.sqrt(truth.diagonal())
        s: Floats = np.cov(samples, rowvar=False)
        alpha, mu = _dual(samples).intensity, _dual(samples).target
        for i, factor in enumerate((1.0, 0.0, 0.4, min(1.6, 1 / alpha))):
            shrunk = (1 - factor * alpha) * s + factor * alpha * mu * np.eye(30)
            errors[i] += np.square(shrunk - truth).sum()
    assert errors.argmin() == 0


def test_many_samples_are_hardly_shrunk_and_spheres_fully() -> None:
    rng = np.random.default_rng(0)
    assert _dual(rng.standard_normal((5000, 3)) * [1, 2, 3]).intensity < 0.01
    assert _dual(rng.standard_normal((50, 400))).intensity > 0.9


@pytest.mark.parametrize("scale", [1e-100, 1e-30, 1e30, 1e70])
def test_the_intensity_has_no_unit(scale: float) -> None:
    samples = np.random.default_rng(0).standard_normal((10, 6))
    gram = centred_gram(samples)
    expected = _dual(samples)
    found = ledoit_wolf(gram * scale**2, gram.diagonal() * scale**2, 6)
    assert found.intensity == pytest.approx(expected.intensity, rel=1e-12)
    assert found.target == pytest.approx(expected.target * scale**2, rel=1e-12)


def test_samples_without_variance_are_not_shrunk() -> None:
    assert _dual(np.ones((4, 3))) == Shrinkage(0.0, 0.0)


def test_a_covariance_already_round_is_shrunk_fully() -> None:
    samples = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    assert _dual(samples).intensity == 1.0


def test_samples_that_all_say_the_same_are_not_shrunk() -> None:
    """Two samples: S has no error that they could tell."""
    assert _dual(np.array([[0.0, 0.0], [2.0, 4.0]])).intensity == 0.0


def test_one_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="a covariance needs at least 2 samples, got 1"):
        ledoit_wolf(np.eye(1), np.ones(1), 3)


def test_the_axes_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"squares must have axes \(r, r\)"):
        ledoit_wolf(np.zeros((2, 3)), np.ones(2), 3)
    with pytest.raises(ShapeError, match=r"squared norms must have axes \(n\)"):
        ledoit_wolf(np.eye(2), np.ones((2, 1)), 3)
