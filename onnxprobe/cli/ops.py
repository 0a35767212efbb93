"""``onnxprobe ops``: which operators are differentiated exactly."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import click

__all__ = ["ops"]


@click.command()
@click.option("--markdown", is_flag=True, help="As a Markdown table.")
def ops(markdown: bool) -> None:
    """Print how each operator is differentiated, by the opset since which it is as it is.

    rule and expansion are exact; numerical is by central differences of the node alone; zero is
    what does not move when its inputs move a little.
    """
    from onnxprobe.analysis import conductor

    rows = conductor.operators()
    lines = []
    for (domain, operator), versions in groupby(rows, lambda row: (row[0], row[1])):
        kinds = [
            f"{how} {', '.join(str(row[2]) for row in group)}"
            for how, group in groupby(versions, lambda row: row[3])
        ]
        lines.append((f"{domain}.{operator}" if domain else operator, "; ".join(kinds)))
    if markdown:
        click.echo("| operator | how, since opset |\n|---|---|")
        for name, kinds_text in lines:
            click.echo(f"| {name} | {kinds_text} |")
        return
    width = max(len(name) for name, _ in lines)
    for name, kinds_text in lines:
        click.echo(f"{name:{width}}  {kinds_text}")
    counts = Counter(row[3] for row in rows)
    click.echo(", ".join(f"{count} {how}" for how, count in counts.most_common()))
