"""``onnxprobe verify``: does a report say of a model what a new analysis finds?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onnxprobe.cli import values
from onnxprobe.cli.limits import limits
from onnxprobe.cli.options import further_options

__all__ = ["verify"]


@click.command()
@click.argument("report", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=values.named_path,
    metavar="[NAME=]PATH",
    multiple=True,
    help="The samples of the report; none if it was made without.",
)
@further_options
@click.option(
    "--device",
    type=click.Choice(["auto", "cuda", "cpu"]),
    help="Where to run. [default: as the report says]",
)
@limits
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="List differences that noise explains, too.")
def verify(report: Path, model: Path, **options: Any) -> int:  # noqa: ANN401 (validated below)
    """Measure MODEL again as REPORT says it was, and confirm digests and figures.

    \b
    Exit codes:  0 confirmed, byte for byte or within the noise floors;
                 1 the files, the data or the figures are others.
    """  # noqa: D301, DOC201 (click prints this, and reads \b as "keep these lines")
    from onnxprobe.cli.delivery import show
    from onnxprobe.cli.measuring import measure_as
    from onnxprobe.policy.verification import verify as verify_reports
    from onnxprobe.record import Report
    from onnxprobe.report.changes import print_verification

    claimed = Report.read(report)
    found = measure_as(claimed, model, options)
    verification = verify_reports(claimed, found)
    if not options["quiet"]:
        verbose = options["verbose"]
        show(lambda console: print_verification(verification, console, verbose=verbose))
    return 0 if verification.confirmed else 1
