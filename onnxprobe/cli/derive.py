"""``onnxprobe derive``: a model that also computes exact directional derivatives."""

from __future__ import annotations

from collections.abc import Sized
from pathlib import Path
from typing import Any

import click

from onnxprobe.cli import values
from onnxprobe.cli.limits import limits
from onnxprobe.cli.writing import model_output

__all__ = ["derive"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="The file to write."
)
@click.option("--wrt", multiple=True, help="Differentiate by this tensor. [default: float inputs]")
@click.option(
    "--tensors",
    multiple=True,
    help="A tensor whose tangent becomes an output. [default: the model's float outputs]",
)
@click.option(
    "--set",
    "sizes",
    type=values.setting,
    metavar="NAME=SIZE",
    multiple=True,
    help="Fix a dimension that the model leaves open; INPUT[AXIS]=SIZE for one without a name.",
)
@click.option(
    "--straight-through",
    is_flag=True,
    help="Differentiate pairs of QuantizeLinear and DequantizeLinear as if they did not round.",
)
@limits
def derive(
    model: Path,
    output: Path,
    wrt: tuple[str, ...],
    tensors: tuple[str, ...],
    sizes: tuple[tuple[str, int], ...],
    straight_through: bool,
    allow_linked_data: bool,
    **limits: Any,  # noqa: ANN401 (click's values, validated below)
) -> None:
    """Write MODEL extended by Jacobian-vector products.

    For each source X the file has an input X@tangent of shape (k, shape of X), k directions, and
    for each tensor T an output T@tangent of shape (k, shape of T), behind the model's own outputs.
    """
    from onnxprobe.analysis import conductor
    from onnxprobe.analysis.arguments import limited
    from onnxprobe.report.text import printable

    with model_output(model, output) as written:
        found = conductor.derive(
            model,
            written.file.temporary,
            written.weights.path.name,
            written.weights.temporary,
            wrt=wrt,
            tensors=tensors,
            sizes=dict(sizes),
            straight_through=straight_through,
            allow_links=allow_linked_data,
            limits=limited(**limits),
        )
        written.commit(found)
    given, taken = ", ".join(found["tangents"].values()), ", ".join(found["sources"].values())
    click.echo(f"{printable(str(output))}: {printable(given)} from {printable(taken)}")
    for line in found["numerical"]:
        click.echo(f"  numerical: {printable(line)}")
    for name, reason in found["zero"].items():
        click.echo(f"  zero: {printable(f'{name!r}: {reason}')}")
    if found["rounding"]:
        name = printable(found["rounding"][0])
        click.echo(
            f"  rounding: what passes {name}{_more(found['rounding'])} moves in steps, whose "
            "derivative tells nothing of it; --straight-through differentiates pairs of "
            "quantisation and dequantisation as if they did not round"
        )
    ranks = found["assumed_ranks"]
    if ranks:
        name, rank = next(iter(ranks.items()))
        click.echo(
            f"  assumed: the rank {rank} of {printable(name)!r}{_more(ranks)}, as the model "
            "declares it or a run on drawn inputs showed it; at others the file refuses to run"
        )
    if found["refusal"]:
        click.echo(f"  not opened, and neither was the model itself: {printable(found['refusal'])}")


def _more(things: Sized) -> str:
    return f" and {len(things) - 1} more" if len(things) > 1 else ""
