"""``onnxprobe schema``: what reports, verdicts and policies look like."""

from __future__ import annotations

import json

import click

__all__ = ["schema"]


@click.command()
@click.argument("kind", type=click.Choice(["report", "verdict", "policy"]), default="report")
def schema(kind: str) -> None:
    """Print the JSON Schema of the report, of the verdict of a check, or of a policy.

    A policy is TOML; its schema is of what TOML says.
    """
    from onnxprobe.policy import Judgement
    from onnxprobe.policy.schema import policy_schema
    from onnxprobe.record import Report

    if kind == "policy":
        found = policy_schema()
    else:
        found = (Report if kind == "report" else Judgement).model_json_schema()
    click.echo(json.dumps(found, indent=1))
