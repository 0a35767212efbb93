"""The attacks on one tensor, cell by cell."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.evidence.attacks import decode, invert, refine, ridge
from scripts.evidence.cells import Cell, Store
from scripts.evidence.data import Images
from scripts.evidence.experiments import LEVELS, Subject, decided
from scripts.evidence.quality import quality, reidentified
from scripts.evidence.training import outputs

__all__ = ["ATTACKS", "attack", "best_r2"]

#: The attacks on every tensor at every level; the best of them counts.
ATTACKS = ("ridge", "decoder", "refined")
_INVERTED_LEVEL = 0.1
_CODE = ("attacks", "attacking", "data", "networks", "quality", "training")


def attack(subject: Subject, depth: int, store: Store, images: Images | None = None) -> Cell:
    """Attack one tensor at every noise level.

    Args:
        subject: The network.
        depth: Of the step whose output is released.
        store: Keeps the cell.
        images: What is attacked; the subject's own if not given.

    Returns:
        ``levels``, each with ``ridge``, ``decoder`` and ``refined``, and ``gradient``.
    """
    images = images or subject.images
    decides = {
        "kind": "attack",
        "model": hashlib.sha256(subject.path.read_bytes()).hexdigest(),
        "depth": depth,
        "levels": list(LEVELS),
        "budget": asdict(subject.plan.budget),
        "seed": subject.plan.seed,
        **decided(images, _CODE),
    }
    return store.cell(decides, lambda: _attack(subject, depth, images))


def _attack(subject: Subject, depth: int, images: Images) -> Cell:
    budget, seed = subject.plan.budget, subject.plan.seed
    known = outputs(subject.network, images.attacker, depth)
    unknown = outputs(subject.network, images.held_out, depth)
    rms = float(np.sqrt(np.mean(known.astype(np.float64) ** 2)))
    noises = [s * rms for s in LEVELS]
    rng = np.random.default_rng(seed + 1)
    # The auditor's samples and the validation parts are mixed over the attacker's images.
    order = rng.permutation(len(known))
    known, learnt = known[order], images.attacker[order]
    # The last ones are no attack's to learn from; they tell the attacker what is best.
    checked = min(budget.checked, len(known) // 10)
    both = np.concatenate([known[-checked:], unknown])
    truth = np.concatenate([learnt[-checked:], images.held_out])
    noisy = [
        (both + noise * rng.standard_normal(both.shape)).astype(np.float32) for noise in noises
    ]
    flat = [part.reshape(len(part), -1) for part in noisy]
    by_ridge = ridge(known.reshape(len(known), -1), learnt, flat, noises, budget.ridge_images)
    by_decoder, curves = decode(known, learnt, noisy, noises, budget, seed)
    mean = images.attacker.mean(0)

    def forward(image: torch.Tensor) -> torch.Tensor:
        return subject.network.upto(image, depth)

    def error(guess: NDArray[np.float32]) -> float:
        return float(
            np.mean((guess[:checked].reshape(truth[:checked].shape) - truth[:checked]) ** 2)
        )

    def refined(level: int) -> tuple[NDArray[np.float32], int]:
        """Refine what is best so far, for as long as it helps the attacker's own images."""
        start = min(by_ridge[level], by_decoder[level].reshape(len(both), -1), key=error)
        guesses = refine(
            forward, noisy[level], start.reshape(truth.shape), noises[level], learnt, budget.refined
        )
        best = min(range(len(guesses)), key=lambda each: error(guesses[each]))
        return guesses[best], (0, *budget.refined)[best]

    def judge(guess: NDArray[np.float32]) -> Cell:
        guess = guess.reshape(truth.shape)[checked:]
        result: Cell = dict(quality(images.held_out, guess, mean))
        result["subject"] = reidentified(
            guess, images.attacker, images.held_out_labels, images.attacker_labels
        )
        return result

    levels: list[Cell] = []
    by_descent = []
    for level, s in enumerate(LEVELS):
        guess, iterations = refined(level)
        by_descent.append(guess)
        levels.append({
            "s": s,
            "ridge": judge(by_ridge[level]),
            "decoder": {**judge(by_decoder[level]), "curve": curves[level]},
            "refined": {**judge(guess), "iterations": iterations},
        })
    result: Cell = {"levels": levels, "rms": rms}
    if budget.inverted:
        at = LEVELS.index(_INVERTED_LEVEL)
        few = slice(checked, checked + budget.inverted)
        guess = invert(forward, noisy[at][few], mean, noises[at], budget)
        result["gradient"] = {"s": _INVERTED_LEVEL, **quality(truth[few], guess, mean)}
        best = by_descent[at].reshape(truth.shape)[few]
        result["gradient"]["best_r2"] = quality(truth[few], best, mean)["r2"]
    return result


def best_r2(level: Cell) -> float:
    """Return the R² of the best attack at a level."""
    return max(float(level[key]["r2"]) for key in ATTACKS)
