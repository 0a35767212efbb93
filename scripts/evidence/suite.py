"""What a run consists of: networks, and studies of some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from scripts.evidence.attacks import Budget
from scripts.evidence.cells import Cell, Store
from scripts.evidence.controls import controls
from scripts.evidence.experiments import Plan, Subject
from scripts.evidence.further import few_directions, halves, unbiased
from scripts.evidence.membership import over_training
from scripts.evidence.studies import bounds, differences, runs, sample_sizes

__all__ = ["PLANS", "QUICK", "STUDIES", "Study", "study", "wanted"]

# Everything was designed on the first two. The others are networks and data that nobody had
# measured or attacked before that design was committed.
PLANS = (
    Plan("cnn", "digits", "development", 40),
    Plan("mlp", "mnist", "development", 12),
    Plan("mlp", "fashion", "held out", 40),
    Plan("mlp", "cifar", "held out", 15),
    Plan("vit", "faces", "held out", 60),
    Plan("vit", "photos", "held out", 40),
    Plan("resnet", "cifar", "held out", 12),
    Plan("cnn", "fashion", "held out", 40),
    Plan("vgg", "faces", "held out", 40),
)
#: One small network, attacked in a hurry.
QUICK = (
    Plan(
        "cnn",
        "digits",
        "quick",
        20,
        budget=Budget(rounds=(5, 2), stages=(30, 70), inverted=60),
    ),
)
#: By study the networks that it is of, in the order in which it matters.
STUDIES = {
    "bounds": ("digits-cnn", "mnist-mlp"),
    "controls": ("digits-cnn",),
    "differences": ("digits-cnn", "mnist-mlp"),
    "halves": ("digits-cnn",),
    "samples": ("digits-cnn", "mnist-mlp", "cifar-resnet"),
    "runs": ("digits-cnn", "cifar-mlp"),
    "directions": ("digits-cnn", "cifar-mlp"),
    "unbiased": ("digits-cnn", "fashion-cnn", "faces-vgg"),
    "membership": ("mnist-mlp", "cifar-resnet"),
}
_SHORT = ("controls", "unbiased")
_MEMBERSHIP_SEEDS = (0, 1)

Study = Callable[[Subject, Store], list[Cell]]


def wanted(kind: str, plan: Plan) -> bool:
    """Say whether a study is made of a network; a quick run makes the short ones."""
    return plan.name in STUDIES[kind] and (plan.role != "quick" or kind in _SHORT)


def study(kind: str, subject: Subject, store: Store) -> list[Cell]:
    """Make a study of a network.

    Args:
        kind: One of `STUDIES`.
        subject: The network.
        store: Keeps the cells.

    Returns:
        What was found.
    """
    return _MAKERS[kind](subject, store)


def _memberships(subject: Subject, store: Store) -> list[Cell]:
    return [
        over_training(replace(subject.plan, seed=seed), subject.images, store)
        for seed in _MEMBERSHIP_SEEDS
    ]


_MAKERS: dict[str, Study] = {
    "bounds": lambda subject, store: [bounds(subject, store)],
    "controls": lambda subject, store: controls(subject.plan, subject.images, store),
    "differences": lambda subject, store: [differences(subject, store)],
    "halves": lambda _, store: [halves(store)],
    "samples": lambda subject, store: [sample_sizes(subject, store)],
    "runs": lambda subject, store: [runs(subject, store)],
    "directions": lambda subject, store: [few_directions(subject, store)],
    "unbiased": lambda subject, store: [unbiased(subject, store)],
    "membership": _memberships,
}
