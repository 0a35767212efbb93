"""The cells of whole networks, one after the other or side by side."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from scripts.evidence.attacking import attack
from scripts.evidence.cells import Cell, OutOfTimeError, Store
from scripts.evidence.data import load, present
from scripts.evidence.experiments import Plan, Subject, analyse, prepare
from scripts.evidence.further import beside
from scripts.evidence.studies import exact
from scripts.evidence.summary import network_summary

__all__ = ["add_network", "be_repeatable", "compute_ahead"]


def compute_ahead(
    plans: Sequence[Plan], folder: Path, results: Path, deadline_s: float, jobs: int
) -> None:
    """Compute the cells of networks side by side; what is kept is only read afterwards.

    Args:
        plans: What to do.
        folder: Where images lie.
        results: Where cells are kept.
        deadline_s: Begin no cell after these seconds.
        jobs: Networks at a time.
    """
    tasks = [(plan, folder, results, deadline_s) for plan in plans]
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        pool.starmap(_compute, tasks, chunksize=1)


def _compute(plan: Plan, folder: Path, results: Path, deadline_s: float) -> None:
    be_repeatable()
    add_network(plan, folder, Store(results, deadline_s), {"networks": {}, "missed": []})


def be_repeatable() -> None:
    """Let PyTorch compute the same on every run: one thread, and deterministic operators."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def add_network(plan: Plan, folder: Path, store: Store, summary: Cell) -> Subject | None:
    """Train, measure and attack a network, if its images are there and the time suffices.

    Args:
        plan: What to do.
        folder: Where images lie.
        store: Keeps the cells.
        summary: Gets what was found, or why nothing was.

    Returns:
        The network, if all was found.
    """
    if not present(plan.data, folder):
        summary["missed"].append(f"{plan.name}: its images are not there")
        return None
    begin = time.monotonic()
    images = load(plan.data, folder)
    try:
        subject = prepare(plan, images, store)
        measured = analyse(subject, store)["tensors"]
        derived = exact(subject, store)
        others = beside(subject, store)
        count = len(subject.network.names)
        # The last two, narrow ones are what is handed out as embeddings: rounded to int8, too.
        attacked = [
            attack(subject, depth, store, rounded=depth >= count - 2) for depth in range(count)
        ]
    except OutOfTimeError as error:
        summary["missed"].append(f"{plan.name}: {error}")
        return None
    summary["networks"][plan.name] = {
        **network_summary(subject, measured, attacked, others),
        "exact": derived,
    }
    print(f"{plan.name}: {time.monotonic() - begin:.0f} s", flush=True)
    return subject
