"""`python -m scripts.evidence`: train, measure, attack, compare, and write the document."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch

from scripts.evidence.attacks import Budget
from scripts.evidence.cells import Cell, OutOfTimeError, Store
from scripts.evidence.data import load, present
from scripts.evidence.experiments import Plan, analyse, attack, prepare
from scripts.evidence.summary import network_summary, provenance, rounded

_ROOT = Path(__file__).resolve().parents[2]

# The design was made on the first two alone; nothing is tuned on those that are held out.
PLANS = (
    Plan("cnn", "digits", "development", 40),
    Plan("mlp", "mnist", "development", 12),
    Plan("vit", "digits", "held out", 60),
    Plan("cnn", "mnist", "held out", 6),
    Plan("vgg", "cifar", "held out", 12),
    Plan("cnn", "faces", "held out", 40),
    Plan("vit", "cifar", "held out", 15),
    Plan("resnet", "mnist", "held out", 4),
)
_SHORT = Budget(rounds=(6, 3), inverted=2, iterations=60)


def main() -> None:
    """Run what the command line asks for."""
    options = _arguments()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    start = time.monotonic()
    store = Store(options.results, options.hours * 3600)
    plans = (Plan("cnn", "digits", "quick", 20, budget=_SHORT),) if options.quick else PLANS
    summary: Cell = {"networks": {}, "missed": []}
    for plan in plans:
        _network(plan, options.data_dir, store, summary)
    summary["provenance"] = provenance(quick=options.quick, elapsed_s=time.monotonic() - start)
    path = options.results / ("quick.json" if options.quick else "summary.json")
    path.write_text(json.dumps(rounded(summary), indent=None, sort_keys=True) + "\n")
    print(f"{path}: {time.monotonic() - start:.0f} s")
    if options.document:
        from scripts.evidence.document import write

        write(json.loads(path.read_text()), options.document)


def _network(plan: Plan, folder: Path, store: Store, summary: Cell) -> None:
    """Add a network to the summary, if its images are there and the time suffices."""
    if not present(plan.data, folder):
        summary["missed"].append(f"{plan.name}: its images are not there")
        return
    begin = time.monotonic()
    images = load(plan.data, folder)
    try:
        subject = prepare(plan, images, store)
        measured = analyse(subject, store)["tensors"]
        attacked = [attack(subject, depth, store) for depth in range(len(subject.network.names))]
    except OutOfTimeError as error:
        summary["missed"].append(f"{plan.name}: {error}")
        return
    summary["networks"][plan.name] = network_summary(subject, measured, attacked)
    print(f"{plan.name}: {time.monotonic() - begin:.0f} s", flush=True)


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
    parser.add_argument("--document", type=Path, help="markdown file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
