"""The attacks on one tensor, cell by cell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from scripts.evidence.attacks import Budget, Gaussian, invert, refine, ridge
from scripts.evidence.cells import Cell, Store
from scripts.evidence.data import Images
from scripts.evidence.decoders import decode
from scripts.evidence.experiments import LEVELS, Subject, decided
from scripts.evidence.quality import quality, reidentified
from scripts.evidence.training import outputs

__all__ = ["ATTACKS", "attack", "best_r2"]

#: The attacks on every tensor at every level; the best of them counts.
ATTACKS = ("ridge", "decoder", "refined", "gradient")
_CODE = ("attacks", "attacking", "data", "decoders", "networks", "quality", "training")
_ROUNDED = 127
# Refining goes on as long as a stage takes this part of the error away.
_GAIN = 0.005

Floats = NDArray[np.float32]
Forward = Callable[[torch.Tensor], torch.Tensor]


def attack(
    subject: Subject,
    depth: int,
    store: Store,
    images: Images | None = None,
    *,
    levels: tuple[float, ...] = LEVELS,
    rounded: bool = False,
) -> Cell:
    """Attack one tensor at every noise level.

    Args:
        subject: The network.
        depth: Of the step whose output is released.
        store: Keeps the cell.
        images: What is attacked; the subject's own if not given.
        levels: Noise in units of the tensor's RMS, ascending.
        rounded: Whether the tensor is attacked rounded to int8 as well, without noise.

    Returns:
        ``levels``, each with the ``ATTACKS``; ``int8`` the same, if asked for.
    """
    images = images or subject.images
    decides = {
        "kind": "attack",
        "model": hashlib.sha256(subject.path.read_bytes()).hexdigest(),
        "depth": depth,
        "levels": list(levels),
        "rounded": rounded,
        "budget": asdict(subject.plan.budget),
        "seed": subject.plan.seed,
        **decided(images, _CODE),
    }
    return store.cell(decides, lambda: _attack(subject, depth, images, levels, rounded=rounded))


def _attack(
    subject: Subject, depth: int, images: Images, levels: tuple[float, ...], *, rounded: bool
) -> Cell:
    budget, seed = subject.plan.budget, subject.plan.seed
    known = outputs(subject.network, images.attacker, depth)
    unknown = outputs(subject.network, images.held_out, depth)
    rms = float(np.sqrt(np.mean(known.astype(np.float64) ** 2)))
    rng = np.random.default_rng(seed + 1)
    # The auditor's samples and the validation parts are mixed over the attacker's images.
    order = rng.permutation(len(known))
    known, learnt = known[order], images.attacker[order]
    # From the last ones no attack learns anything; they tell the attacker what is best.
    checked = min(budget.checked, len(known) // 10)
    both = np.concatenate([known[-checked:], unknown])
    truth = np.concatenate([learnt[-checked:], images.held_out])
    known, learnt = known[:-checked], learnt[:-checked]
    noises = [s * rms for s in levels]
    seen = [(both + noise * rng.standard_normal(both.shape)).astype(np.float32) for noise in noises]
    if rounded:
        # One scale for the whole tensor; the error is spread evenly over a step.
        step = float(np.abs(known).max()) / _ROUNDED
        noises = [step / 12**0.5, *noises]
        seen = [(np.round(both / step) * step).astype(np.float32), *seen]
    by_ridge = ridge(
        known.reshape(len(known), -1),
        learnt,
        [part.reshape(len(part), -1) for part in seen],
        noises,
        budget.ridge_images,
    )
    by_decoder, curves = decode(known, learnt, seen, noises, budget, seed)
    descent = _Descent(subject, depth, truth, checked, budget, learnt)
    results = []
    for place, noise in enumerate(noises):
        first = {"ridge": by_ridge[place], "decoder": by_decoder[place]}
        guesses = {key: guess.reshape(truth.shape) for key, guess in first.items()}
        start = min(guesses.values(), key=descent.error)
        guesses["refined"], refining = descent.refined(seen[place], start, noise)
        guesses["gradient"], inverting = descent.inverted(seen[place], start, noise)
        judged: Cell = {key: _judged(guess[checked:], images) for key, guess in guesses.items()}
        judged["decoder"]["curve"] = curves[place]
        judged["refined"] |= refining
        judged["gradient"] |= inverting
        results.append(judged)
    result: Cell = {"rms": rms}
    if rounded:
        result["int8"] = {"s": noises[0] / rms, **results.pop(0)}
    result["levels"] = [{"s": s, **judged} for s, judged in zip(levels, results, strict=True)]
    return result


def _judged(guess: Floats, images: Images) -> Cell:
    return {
        **quality(images.held_out, guess, images.attacker.mean(0)),
        "subject": reidentified(
            guess, images.attacker, images.held_out_labels, images.attacker_labels
        ),
    }


@dataclass
class _Descent:
    """Attacks that go through the network itself, as far as it helps the attacker's own images."""

    subject: Subject
    depth: int
    truth: Floats
    checked: int
    budget: Budget
    learnt: Floats

    def __post_init__(self) -> None:
        self.prior = Gaussian.of(self.learnt)
        gaps = [np.abs(np.diff(self.learnt, axis=axis)).mean() for axis in (2, 3)]
        self.laplacian = 1 / float(np.mean(gaps))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.subject.network.upto(image, self.depth)

    def error(self, guess: Floats) -> float:
        own = slice(0, self.checked)
        return float(np.mean((guess[own].reshape(self.truth[own].shape) - self.truth[own]) ** 2))

    def refined(self, seen: Floats, start: Floats, noise: float) -> tuple[Floats, Cell]:
        """Refine until the error on the attacker's own images falls no more."""
        best, told, done = start, [self.error(start)], 0
        stages = self.budget.stages
        guesses = refine(self.forward, seen, start, noise, self.prior, stages)
        for stage, guess in enumerate(guesses, 1):
            told.append(self.error(guess))
            if told[-1] < min(told[:-1]):
                best, done = guess.reshape(start.shape), sum(stages[:stage])
            if told[-1] > (1 - _GAIN) * min(told[:-1]):
                break
        return best, {"iterations": done, "own_mse": told}

    def inverted(self, seen: Floats, start: Floats, noise: float) -> tuple[Floats, Cell]:
        """Descend under total variation, with the weight that is best on the attacker's own."""
        own, steps = slice(0, self.checked), self.budget.inverted
        weights = {
            factor * self.laplacian: invert(
                self.forward, seen[own], start[own], noise, factor * self.laplacian, steps
            )
            for factor in self.budget.variations
        }
        weight = min(weights, key=lambda each: self.error(weights[each]))
        told = {"own_mse": [self.error(start), self.error(weights[weight])]}
        if told["own_mse"][1] >= told["own_mse"][0]:
            return start, {**told, "iterations": 0}
        return invert(self.forward, seen, start, noise, weight, steps), {
            **told,
            "iterations": steps,
            "weight": weight / self.laplacian,
        }


def best_r2(level: Cell) -> float:
    """Return the R² of the best attack at a level."""
    return max(float(level[key]["r2"]) for key in ATTACKS)
