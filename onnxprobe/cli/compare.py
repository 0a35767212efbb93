"""``onnxprobe compare``: what changed between two models, or two reports."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from onnxprobe.cli.options import analysis_options
from onnxprobe.errors import RunError

__all__ = ["compare"]


@click.command()
@click.argument("before", metavar="A", type=click.Path(path_type=Path))
@click.argument("after", metavar="B", type=click.Path(path_type=Path))
@analysis_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the comparison to this JSON file.",
)
@click.option(
    "--exit-code",
    is_flag=True,
    help="End with 1 if there is a significant difference, or a tensor has no partner.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="List differences that noise explains, too.")
def compare(before: Path, after: Path, **options: Any) -> int:  # noqa: ANN401 (validated below)
    """Compare A and B, each a model or a .json report of one, tensor by tensor.

    Tensors are paired by name, then by operator and shape in order.
    """  # noqa: DOC201, DOC501 (click prints this)
    from onnxprobe.cli.delivery import commit, show
    from onnxprobe.cli.measuring import reported
    from onnxprobe.cli.writing import keep_apart
    from onnxprobe.policy import compare as compare_reports
    from onnxprobe.report.changes import print_comparison
    from onnxprobe.report.files import AtomicFile
    from onnxprobe.report.formats import plain_json

    with ExitStack() as stack:
        paths = [options["output"]] if options["output"] else []
        files = [stack.enter_context(AtomicFile(path)) for path in paths]
        keep_apart(paths, [before, after])
        found = compare_reports(*(reported(path, options) for path in (before, after)))
        failures = commit(found, [plain_json for _ in files], files)
        if not options["quiet"]:
            verbose = options["verbose"]
            failures += show(lambda console: print_comparison(found, console, verbose=verbose))
    if failures:
        raise RunError("; ".join(failures))
    changed = found.significant or found.only_before or found.only_after
    return 1 if options["exit_code"] and changed else 0
