"""`python -m scripts.evidence`: train, measure, attack, compare, and write the document."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from scripts.evidence.agreement import disagreements
from scripts.evidence.cells import Cell, OutOfTimeError, Store
from scripts.evidence.document import render, write
from scripts.evidence.experiments import Subject
from scripts.evidence.running import add_network, be_repeatable, compute_ahead
from scripts.evidence.suite import PLANS, QUICK, STUDIES, study, wanted
from scripts.evidence.summary import provenance, rounded

_ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run what the command line asks for; 1 if it does not find what is expected."""
    options = _arguments()
    be_repeatable()
    start = time.monotonic()
    store = Store(options.results, options.hours * 3600)
    plans = QUICK if options.quick else PLANS
    if options.jobs > 1:
        # Those that take longest come last, and begin first.
        compute_ahead(
            plans[::-1], options.data_dir, options.results, options.hours * 3600, options.jobs
        )
    summary: Cell = {"networks": {}, "missed": []}
    subjects = {plan.name: add_network(plan, options.data_dir, store, summary) for plan in plans}
    _studies({name: value for name, value in subjects.items() if value}, store, summary)
    summary["provenance"] = provenance(
        quick=options.quick, jobs=options.jobs, elapsed_s=store.spent_s
    )
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
    """Add what is asked beyond the networks."""
    for kind in STUDIES:
        for subject in subjects.values():
            if not wanted(kind, subject.plan):
                continue
            try:
                found = study(kind, subject, store)
            except OutOfTimeError as error:
                summary["missed"].append(f"{kind} of {subject.plan.name}: {error}")
                continue
            summary.setdefault(kind, []).extend(found)
            print(f"{kind} of {subject.plan.name}", flush=True)


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
    parser.add_argument("--jobs", type=int, default=1, help="networks or studies at a time")
    parser.add_argument("--expect", type=Path, help="summary of a run that must agree")
    parser.add_argument("--document", type=Path, help="markdown file to write")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
