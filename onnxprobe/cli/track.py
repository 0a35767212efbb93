"""``onnxprobe track``: how degrees of freedom and rank move over a training."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from onnxprobe.cli.options import analysis_options
from onnxprobe.errors import DataError, RunError

__all__ = ["track"]


@click.command()
@click.argument("checkpoints", metavar="CHECKPOINT...", type=click.Path(path_type=Path), nargs=-1)
@analysis_options
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the trajectory to this JSON file.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def track(checkpoints: tuple[Path, ...], **options: Any) -> None:  # noqa: ANN401 (validated below)
    """Follow the tensors of a model through its training checkpoints, in the order given.

    Each CHECKPOINT is a model, or a .json report of one. CV is the coefficient of variation of a
    measure over them, MCR its largest relative change from one to the next.
    """  # noqa: DOC501 (click prints this)
    from onnxprobe.cli.delivery import commit, show
    from onnxprobe.cli.measuring import reported
    from onnxprobe.cli.writing import keep_apart
    from onnxprobe.policy import follow
    from onnxprobe.report.changes import print_trajectory
    from onnxprobe.report.files import AtomicFile
    from onnxprobe.report.formats import plain_json

    if len(checkpoints) < 2:
        raise DataError("give two checkpoints or more, in the order of training")
    with ExitStack() as stack:
        paths = [options["output"]] if options["output"] else []
        files = [stack.enter_context(AtomicFile(path)) for path in paths]
        keep_apart(paths, checkpoints)
        found = follow([reported(path, options) for path in checkpoints])
        failures = commit(found, [plain_json for _ in files], files)
        if not options["quiet"]:
            failures += show(lambda console: print_trajectory(found, console))
    if failures:
        raise RunError("; ".join(failures))
