"""``onnxprobe inspect``: what is in a model, and what can be measured of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from onnxprobe.cli.limits import limits

__all__ = ["inspect"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@limits
def inspect(
    model: Path,
    allow_linked_data: bool,
    as_json: bool,
    **limits: Any,  # noqa: ANN401 (click's values, validated below)
) -> None:
    """List inputs, outputs and every tensor of MODEL, and why a tensor cannot be measured."""
    import json

    from onnxprobe.analysis import conductor
    from onnxprobe.analysis.arguments import limited

    found = conductor.inspect(model, allow_links=allow_linked_data, limits=limited(**limits))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for line in _lines(found):
        click.echo(line)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    from onnxprobe.report.text import printable

    opsets = ", ".join(f"{domain} {version}" for domain, version in found["opsets"].items())
    made = f"{found['producer']}, " if found["producer"] else ""
    yield printable(f"{found['name']}: {made}IR {found['ir_version']}, opset {opsets}")
    yield printable(f"sha256 {found['sha256']}")
    if found["local_functions"]:
        yield f"{found['local_functions']} local functions inlined"
    for what in ("inputs", "outputs"):
        yield ""
        yield f"{what}:"
        for value in found[what]:
            yield printable(f"  {value['name']}  {_type(value)}")
    tensors = found["tensors"]
    yield ""
    yield f"{len(tensors)} tensors:"
    for tensor in tensors:
        mark = " (output)" if tensor["is_output"] else ""
        reason = f"  not measured: {tensor['skip']}" if tensor["skip"] else ""
        made_by = f"{tensor['op_type']} {tensor['node']}"
        yield printable(f"  {tensor['name']}{mark}  {_type(tensor)}  from {made_by}{reason}")


def _type(value: dict[str, Any]) -> str:
    shape = value["shape"]
    sizes = "unknown shape" if shape is None else f"({', '.join(str(s or '?') for s in shape)})"
    return f"{value['dtype'] or 'unknown type'} {sizes}"
