"""``onnxprobe analyze``: the main job."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from onnxprobe.cli.options import analysis_options
from onnxprobe.errors import RunError

__all__ = ["analyze"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@analysis_options
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Write the report to this .json or .csv file, or as a heat-map for Model Explorer to a "
    ".heatmap.json file. Repeatable.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="List what was skipped, and native messages.")
def analyze(model: Path, **options: Any) -> int:  # noqa: ANN401 (click's values, validated below)
    """Measure degrees of freedom and Jacobian rank of every intermediate tensor of MODEL."""
    from onnxprobe.cli.delivery import commit, native, show
    from onnxprobe.cli.measuring import measure, settle
    from onnxprobe.report.console import print_report
    from onnxprobe.report.files import AtomicFile
    from onnxprobe.report.formats import file_format

    verbose, quiet = options["verbose"], options["quiet"]
    with ExitStack() as stack:
        renderers = [file_format(path) for path in options["outputs"]]
        files = [stack.enter_context(AtomicFile(path)) for path in options["outputs"]]
        conclusion = measure(model, options, written=options["outputs"])
        report = conclusion.report
        # What was found reaches the screen even if no file can take it, and the other way round.
        failures = commit(report, renderers, files)
        if not quiet:
            failures += show(lambda console: print_report(report, console, verbose=verbose))
    if verbose and not quiet:
        native(conclusion.chatter)
    # Until the report is where it was wanted, what it is made of is kept.
    settle(conclusion, delivered=not failures, quiet=quiet)
    if failures:
        raise RunError("; ".join(failures))
    if conclusion.cause is not None:
        raise conclusion.cause
    return 4 if report.coverage.failed else 0
