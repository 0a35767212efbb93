"""The cells of whole networks, one after the other or side by side."""

from __future__ import annotations

import contextlib
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
from scripts.evidence.releases import unrated
from scripts.evidence.studies import exact
from scripts.evidence.suite import STUDIES, study, wanted
from scripts.evidence.summary import network_summary

__all__ = ["add_network", "be_repeatable", "compute_ahead"]


def compute_ahead(
    plans: Sequence[Plan], folder: Path, results: Path, deadline_s: float, jobs: int
) -> None:
    """Compute the cells of networks, and of studies, side by side; what is kept is read afterwards.

    Args:
        plans: What to do.
        folder: Where images lie.
        results: Where cells are kept.
        deadline_s: Begin no cell after these seconds.
        jobs: Networks or studies at a time.
    """
    # Workers begin when they begin: what they share is the time of day.
    end = time.time() + deadline_s
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        networks = [(plan, folder, results, end) for plan in plans]
        pool.starmap(_compute_network, networks, chunksize=1)
        studies = [
            (kind, plan, folder, results, end)
            for kind in STUDIES
            for plan in plans
            if wanted(kind, plan)
        ]
        pool.starmap(_compute_study, studies, chunksize=1)


def _compute_network(plan: Plan, folder: Path, results: Path, end: float) -> None:
    be_repeatable()
    store = Store(results, end - time.time())
    add_network(plan, folder, store, {"networks": {}, "missed": []})


def _compute_study(kind: str, plan: Plan, folder: Path, results: Path, end: float) -> None:
    if not present(plan.data, folder):
        return
    be_repeatable()
    store = Store(results, end - time.time())
    # What is missed is asked for again, and noted then.
    with contextlib.suppress(OutOfTimeError):
        study(kind, prepare(plan, load(plan.data, folder), store), store)
        print(f"{kind} of {plan.name}", flush=True)


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
        attacked = [
            attack(subject, depth, store, rounded=subject.is_rounded(depth))
            for depth in range(len(subject.network.names))
        ]
    except OutOfTimeError as error:
        summary["missed"].append(f"{plan.name}: {error}")
        return None
    for name in subject.network.names:
        if reason := unrated(measured.get(name)):
            summary["missed"].append(f"{plan.name}, {name}: {reason}")
    if all(unrated(measured.get(name)) for name in subject.network.names):
        return None
    summary["networks"][plan.name] = {
        **network_summary(subject, measured, attacked, others),
        "exact": derived,
    }
    print(f"{plan.name}: {time.monotonic() - begin:.0f} s", flush=True)
    return subject
