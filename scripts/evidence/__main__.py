"""`python -m scripts.evidence`: train, measure, attack, compare, and write the document."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scripts.evidence.agreement import disagreements
from scripts.evidence.attacks import Budget
from scripts.evidence.cells import Cell, OutOfTimeError, Store
from scripts.evidence.controls import controls
from scripts.evidence.document import render, write
from scripts.evidence.experiments import Plan, Subject
from scripts.evidence.further import few_directions, halves, unbiased
from scripts.evidence.membership import over_training
from scripts.evidence.running import add_network, be_repeatable, compute_ahead
from scripts.evidence.studies import bounds, differences, runs, sample_sizes
from scripts.evidence.summary import provenance, rounded

_ROOT = Path(__file__).resolve().parents[2]

# Everything was designed on the first two. The others are networks and data that nobody had
# measured or attacked before that design was committed.
PLANS = (
    Plan("cnn", "digits", "development", 40),
    Plan("mlp", "mnist", "development", 12),
    Plan("mlp", "fashion", "held out", 40),
    Plan("mlp", "cifar", "held out", 15),
    Plan("vit", "faces", "held out", 60),
    Plan("vit", "photos", "held out", 15),
    Plan("resnet", "cifar", "held out", 12),
    Plan("cnn", "photos", "held out", 12),
    Plan("cnn", "fashion", "held out", 40),
    Plan("vgg", "faces", "held out", 40),
)
_STUDIES = {
    "bounds": ("digits-cnn", "mnist-mlp"),
    "controls": ("digits-cnn",),
    "differences": ("digits-cnn", "mnist-mlp"),
    "halves": ("digits-cnn",),
    "samples": ("digits-cnn", "mnist-mlp", "photos-cnn"),
    "runs": ("digits-cnn", "cifar-mlp"),
    "directions": ("digits-cnn", "cifar-mlp"),
    "unbiased": ("digits-cnn", "photos-cnn", "fashion-cnn", "faces-vgg"),
    "membership": ("mnist-mlp", "cifar-resnet"),
}
_LONG = ("bounds", "differences", "samples", "runs", "membership", "directions", "halves")
_MEMBERSHIP_SEEDS = (0, 1)
_SHORT = Budget(rounds=(5, 2), stages=(30, 70), inverted=60)


def main() -> int:
    """Run what the command line asks for; 1 if it does not find what is expected."""
    options = _arguments()
    be_repeatable()
    start = time.monotonic()
    store = Store(options.results, options.hours * 3600)
    plans = (Plan("cnn", "digits", "quick", 20, budget=_SHORT),) if options.quick else PLANS
    if options.jobs > 1:
        # Those that take longest come last, and begin first.
        compute_ahead(
            plans[::-1], options.data_dir, options.results, options.hours * 3600, options.jobs
        )
    summary: Cell = {"networks": {}, "missed": []}
    subjects = {plan.name: add_network(plan, options.data_dir, store, summary) for plan in plans}
    _studies({name: value for name, value in subjects.items() if value}, store, summary)
    summary["provenance"] = provenance(quick=options.quick, elapsed_s=store.spent_s)
    path = options.results / ("quick.json" if options.quick else "summary.json")
    path.write_text(json.dumps(rounded(summary)) + "\n")
    # What a test holds the quick document against is free of figures.
    path.with_suffix(".md").write_text(render(json.loads(path.read_text())))
    print(f"{path}: {time.monotonic() - start:.0f} s")
    if options.document:
        write(json.loads(path.read_text()), options.document)
    if options.expect is None:
        return 0
    told = disagreements(json.loads(path.read_text()), json.loads(options.expect.read_text()))
    for sentence in told:
        print(sentence)
    return 1 if told else 0


def _studies(subjects: dict[str, Subject], store: Store, summary: Cell) -> None:
    """Add what is asked beyond the networks, in the order in which it matters."""
    makers: dict[str, Callable[[Subject], Cell | list[Cell]]] = {
        "bounds": lambda subject: bounds(subject, store),
        "controls": lambda subject: controls(subject.plan, subject.images, store),
        "differences": lambda subject: differences(subject, store),
        "halves": lambda _: halves(store),
        "samples": lambda subject: sample_sizes(subject, store),
        "runs": lambda subject: runs(subject, store),
        "directions": lambda subject: few_directions(subject, store),
        "unbiased": lambda subject: unbiased(subject, store),
        "membership": lambda subject: [
            over_training(replace(subject.plan, seed=seed), subject.images, store)
            for seed in _MEMBERSHIP_SEEDS
        ],
    }
    for study, names in _STUDIES.items():
        for name in names:
            if name not in subjects or (study in _LONG and subjects[name].plan.role == "quick"):
                continue
            try:
                found = makers[study](subjects[name])
            except OutOfTimeError as error:
                summary["missed"].append(f"{study} of {name}: {error}")
                continue
            summary.setdefault(study, []).extend(found if isinstance(found, list) else [found])
            print(f"{study} of {name}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.evidence", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small network, in minutes")
    parser.add_argument("--data-dir", type=Path, default=_ROOT.parent / "shared" / "data")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path(tempfile.gettempdir()) / "onnxprobe-evidence",
        help="folder of finished cells, outside the repository",
    )
    parser.add_argument("--hours", type=float, default=8.0, help="begin no cell after these")
    parser.add_argument("--jobs", type=int, default=1, help="networks at a time")
    parser.add_argument("--expect", type=Path, help="summary of a run that must agree")
    parser.add_argument("--document", type=Path, help="markdown file to write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
