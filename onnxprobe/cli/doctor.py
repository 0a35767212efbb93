"""``onnxprobe doctor``: what works on this machine, and what to do about what does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

__all__ = ["doctor"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """Look at versions, devices, memory and isolation; the exit code is 4 if nothing could run."""
    import json

    from onnxprobe.analysis import conductor
    from onnxprobe.report.text import printable

    found = conductor.examine()
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        for line in _lines(found):
            click.echo(printable(line))
    return 0 if any(each["works"] for each in found["providers"]) else 4


def _lines(found: dict[str, Any]) -> Iterator[str]:
    yield f"onnxprobe {found['onnxprobe']}, Python {found['python']}, {found['platform']}"
    yield ", ".join(f"{name} {version}" for name, version in found["packages"].items())
    gigabytes = found["memory_bytes"] / 2**30
    yield f"{found['processors']} processors, {gigabytes:.3g} GB of memory by default"
    yield ""
    for each in found["providers"]:
        yield f"{'works' if each['works'] else 'no   '}  {each['name']}: {each['reason']}"
    for each in found["isolation"]:
        words = {True: "works", False: "no   ", None: "?    "}
        unknown = "" if each["works"] is not None else " (not examined)"
        yield f"{words[each['works']]}  {each['what']}{unknown}"
    yield ""
    if not found["problems"]:
        yield "No problems."
    for each in found["problems"]:
        yield f"Problem: {each['what']}: {each['advice']}"
