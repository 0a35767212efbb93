"""``onnxprobe schema``: what the JSON report looks like."""

from __future__ import annotations

import json

import click

__all__ = ["schema"]


@click.command()
def schema() -> None:
    """Print the JSON Schema of the report."""
    from onnxprobe.record import Report

    click.echo(json.dumps(Report.model_json_schema(), indent=1))
