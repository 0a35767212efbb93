"""``onnxprobe expose``: every intermediate tensor an output."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import click

from onnxprobe.cli.limits import limits
from onnxprobe.cli.writing import model_output

__all__ = ["expose"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write."
)
@limits
def expose(
    model: Path,
    output: Path,
    allow_linked_data: bool,
    **limits: Any,  # noqa: ANN401 (click's values, validated below)
) -> None:
    """Write MODEL with every intermediate tensor as an output.

    The model's own outputs keep their place; the others follow under their own names and types.
    Local functions are inlined. Weights that do not fit one file go into OUTPUT.data beside it.
    """
    from onnxprobe.analysis import conductor
    from onnxprobe.analysis.arguments import limited
    from onnxprobe.report.text import printable

    with model_output(model, output) as written:
        found = conductor.expose(
            model,
            written.file.temporary,
            written.weights.path.name,
            written.weights.temporary,
            allow_links=allow_linked_data,
            limits=limited(**limits),
        )
        written.commit(found)
    added = found["outputs"] - found["before"]
    click.echo(
        f"{printable(str(output))}: {added} tensors exposed beside {found['before']} outputs"
    )
    for reason, count in Counter(found["left_out"].values()).items():
        click.echo(f"  {count} {printable(reason)}")
