"""Networks and attacks of the evidence, where the best answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch", reason="networks are trained and attacked with PyTorch")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

# Each at the largest images that it is trained on.
SHAPES = {
    "mlp": (1, 28, 28),
    "cnn": (1, 28, 28),
    "resnet": (3, 16, 16),
    "vgg": (1, 28, 28),
    "vit": (3, 24, 24),
}


@pytest.mark.parametrize("architecture", SHAPES)
def test_every_network_has_ten_steps_and_exports_what_it_computes(
    architecture: str, tmp_path: Path
) -> None:
    from scripts.evidence.networks import build
    from scripts.evidence.training import export, outputs

    shape = SHAPES[architecture]
    network = build(architecture, shape, 10, (0.1, 0.3)).eval()
    assert len(network.names) == len(set(network.names)) == 10
    assert sum(value.numel() for value in network.parameters()) <= 80_000
    export(network, shape, tmp_path / "m.onnx")
    images = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    session = onnxruntime.InferenceSession(
        str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"]
    )
    found = session.run(network.names, {"image": images})
    for depth, value in enumerate(found):
        # Float32 sums in another order.
        np.testing.assert_allclose(outputs(network, images, depth), value, rtol=1e-3, atol=1e-4)


def test_ridge_attains_the_best_of_a_linear_gaussian_release() -> None:
    """Of y = x + τξ with variances λ, the best linear guess recovers Σ λ²/(λ + τ²) of Σ λ."""
    from scripts.evidence.attacks import ridge
    from scripts.evidence.quality import r_squared

    rng = np.random.default_rng(0)
    variances = np.array([4.0, 1.0, 0.25, 0.01])
    x = (rng.standard_normal((24_000, 4)) * np.sqrt(variances)).astype(np.float32)
    known, unknown = x[:20_000], x[20_000:]
    noises = (0.3, 1.0)
    noisy = [
        (unknown + noise * rng.standard_normal(unknown.shape)).astype(np.float32)
        for noise in noises
    ]
    for noise, guess in zip(noises, ridge(known, known, noisy, noises, 2000), strict=True):
        best = np.sum(variances**2 / (variances + noise**2)) / variances.sum()
        # 4,000 samples: R² is off by about 0.01.
        assert r_squared(unknown, guess, known.mean(0)) == pytest.approx(best, abs=0.02)


def test_both_forms_of_ridge_are_ridge_regression_written_out() -> None:
    """Of 60 elements, a limit of 90 images takes the primal form, and one of 59 the dual."""
    from scripts.evidence.attacks import ridge

    rng = np.random.default_rng(0)
    z = rng.standard_normal((100, 60)).astype(np.float32)
    x = rng.standard_normal((100, 5)).astype(np.float32)
    for limit, learnt in ((90, 90), (59, 59)):
        found = ridge(z, x, [z], [0.5], limit)[0]
        inner, outer = z[:learnt].mean(0), x[:learnt].mean(0)
        centred = z[:learnt] - inner
        guesses = [
            (z - inner)
            @ np.linalg.solve(
                centred.T @ centred + factor * learnt * 0.25 * np.eye(60),
                centred.T @ (x[:learnt] - outer),
            )
            + outer
            for factor in (0.3, 1.0, 3.0, 10.0, 100.0)
        ]
        # One of the penalties that it may choose; float32.
        assert min(np.abs(guess - found).max() for guess in guesses) < 1e-3


def test_a_decoder_learns_an_invertible_map_and_stops_at_its_best() -> None:
    from scripts.evidence.attacks import Budget
    from scripts.evidence.decoders import decode
    from scripts.evidence.quality import r_squared

    rng = np.random.default_rng(0)
    images = rng.random((600, 1, 4, 4), dtype=np.float32)
    turned = images.reshape(600, 16) @ np.linalg.qr(rng.standard_normal((16, 16)))[0]
    known = turned.astype(np.float32)
    budget = Budget(rounds=(4, 1))
    guesses, curves = decode(known[:500], images[:500], [known[500:]], [1e-3], budget, seed=0)
    assert r_squared(images[500:], guesses[0], images[:500].mean(0)) > 0.8
    assert len(curves[0]["r2"]) == 4
    assert not curves[0]["stopped"]


def test_a_decoder_stops_when_validation_gains_no_more() -> None:
    """Of noise nothing can be learnt: three times four rounds without a gain are the end."""
    from scripts.evidence.attacks import Budget
    from scripts.evidence.decoders import decode

    rng = np.random.default_rng(0)
    images = rng.random((300, 1, 4, 4), dtype=np.float32)
    known = rng.standard_normal((300, 3)).astype(np.float32)
    _, curves = decode(known, images, [known[:2]], [1.0], Budget(rounds=(40, 1)), seed=0)
    assert curves[0]["stopped"]
    assert 13 <= len(curves[0]["r2"]) < 40


def test_gradients_invert_the_identity() -> None:
    from scripts.evidence.attacks import invert

    images = np.full((2, 1, 4, 4), 0.7, dtype=np.float32)
    found = invert(lambda x: x, images, np.zeros_like(images), 0.01, 1.0, 150)
    np.testing.assert_allclose(found, images, atol=0.01)


def test_total_variation_makes_noisy_pictures_smooth() -> None:
    """Of a flat picture and noise, variation that costs much leaves the mean."""
    from scripts.evidence.attacks import invert

    rng = np.random.default_rng(0)
    noisy = (0.5 + 0.1 * rng.standard_normal((1, 1, 8, 8))).astype(np.float32)
    found = invert(lambda x: x, noisy, noisy, 0.1, 100.0, 300)
    assert found.std() < 0.2 * noisy.std()


def test_refining_ends_at_the_mode_of_a_linear_gaussian_posterior() -> None:
    """Of y = A x + τξ the mode is μ + Σ Aᵀ (A Σ Aᵀ + τ²)⁻¹ (y - A μ), wherever it starts."""
    from scripts.evidence.attacks import Gaussian, refine

    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((4, 4))
    known = (rng.standard_normal((2000, 4)) @ mixing + 1).astype(np.float32).reshape(-1, 1, 2, 2)
    prior = Gaussian.of(known)
    root, mean = prior.root.numpy().astype(np.float64), prior.mean.numpy()
    matrix, noise = rng.standard_normal((3, 4)), 0.3
    seen = known[:5].reshape(5, 4) @ matrix.T + noise * rng.standard_normal((5, 3))
    sigma = root @ root.T
    gain = sigma @ matrix.T @ np.linalg.inv(matrix @ sigma @ matrix.T + noise**2 * np.eye(3))
    mode = mean + (seen - mean @ matrix.T) @ gain.T
    operator = torch.from_numpy(matrix.astype(np.float32))

    def forward(image: Any) -> Any:
        return image.flatten(1) @ operator.T

    start = np.zeros((5, 1, 2, 2), np.float32)
    *_, last = refine(forward, seen.astype(np.float32), start, noise, prior, (200, 200))
    np.testing.assert_allclose(last, mode, atol=0.02)


def test_a_gaussian_twin_has_the_covariance_of_its_model() -> None:
    from scripts.evidence.data import Images, gaussian_twin

    rng = np.random.default_rng(0)
    flat = rng.standard_normal((5000, 4)) @ rng.standard_normal((4, 4)) + 3
    images = flat.reshape(-1, 1, 2, 2).astype(np.float32)
    labels = np.zeros(5000, np.int64)
    twin = gaussian_twin(Images("x", images, labels, images, labels, images, labels), seed=1)
    # A covariance of 5,000 samples is off by about 2/√5000 of the largest variance.
    scale = np.cov(flat.T).max()
    drawn = twin.attacker.reshape(-1, 4)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(flat.T), atol=0.1 * scale)
    assert twin.name == "x-gaussian"


def test_the_auc_counts_pairs() -> None:
    from scripts.evidence.membership import auc

    members, others = np.array([0.1, 0.2, 0.5]), np.array([0.2, 0.9])
    pairs = [(m < o) + 0.5 * (m == o) for m in members for o in others]
    assert auc(members, others) == pytest.approx(np.mean(pairs))


def test_a_probe_tells_members_where_only_theirs_tell_their_class() -> None:
    from scripts.evidence.membership import probe_auc, tensor_auc

    rng = np.random.default_rng(0)
    labels, others = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    noise = rng.standard_normal((400, 4))
    learnt = np.eye(4)[labels] * 6 + noise[:200]
    # What is not learnt looks like some class, and not like its own.
    unlearnt = np.eye(4)[rng.integers(0, 4, 200)] * 6 + noise[200:]
    assert probe_auc(learnt, labels, unlearnt, others) > 0.8
    # Without classes there is nothing to see; by chance 0.50 ± 0.03.
    assert tensor_auc(learnt, unlearnt) == pytest.approx(0.5, abs=0.1)
    assert probe_auc(noise[:200], labels, noise[200:], others) == pytest.approx(0.5, abs=0.1)


def test_studies_are_of_networks_that_there_are() -> None:
    from scripts.evidence.suite import PLANS, QUICK, STUDIES, wanted

    names = [plan.name for plan in PLANS]
    assert len(set(names)) == len(names)
    assert {name for kind in STUDIES.values() for name in kind} <= set(names)
    assert [kind for kind in STUDIES if wanted(kind, QUICK[0])] == ["controls", "unbiased"]


def test_controls_put_out_what_they_say(tmp_path: Path) -> None:
    from scripts.evidence.controls import Controls

    image = torch.rand(2, 1, 4, 4)
    turned, doubled, sine, noise = Controls(16)(image)
    assert torch.allclose(turned.norm(dim=1), image.flatten(1).norm(dim=1), atol=1e-5)
    assert torch.equal(doubled, 2 * turned)
    assert float(sine.detach().abs().max()) <= 1
    assert noise.shape == (2, 16)


def test_the_known_bound_of_a_linear_release_is_the_least_error_there_is() -> None:
    """Of y = x + τξ with variances λ, nobody errs less than λτ²/(λ + τ²) in each direction."""
    from scripts.evidence.studies import known_bounds

    variances, noises = np.array([4.0, 1.0, 0.0]), [0.5, 2.0]
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    found = known_bounds([np.eye(3)] * 2, turn @ np.diag(variances) @ turn.T, noises)
    expected = [np.mean(variances * tau**2 / (variances + tau**2)) for tau in noises]
    assert found == pytest.approx(expected)
