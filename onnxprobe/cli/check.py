"""``onnxprobe check``: a verdict, and an exit code for CI."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxprobe.cli.options import analysis_given, analysis_options
from onnxprobe.errors import DataError, RunError

if TYPE_CHECKING:
    from onnxprobe.analysis.conductor import Conclusion
    from onnxprobe.policy import Policy, PolicyFile
    from onnxprobe.record import Report

__all__ = ["check"]


@click.command()
@click.argument("models", metavar="[MODEL]...", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--policy",
    required=True,
    metavar="FILE|NAME",
    help="A TOML file, or a policy that onnxprobe has: embedding-release or split-inference.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    help="Judge this .json report of an earlier analysis instead of a model.",
)
@click.option(
    "--baseline",
    type=click.Path(path_type=Path),
    help="A .json report: what broke a rule there, and no less, is a warning.",
)
@analysis_options
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Write the verdict to this file: .sarif, .xml (JUnit), .json, .intoto.json, "
    ".cdx.json (CycloneDX); or the report: .report.json, .csv, "
    ".heatmap.json. Repeatable.",
)
@click.option(
    "--format",
    "formats",
    multiple=True,
    help="Format of an -o whose ending does not tell: heatmap, report, in-toto, cyclonedx, json, "
    "sarif, junit or csv; one for all, or one for each in order.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="List every finding, and native messages.")
def check(models: tuple[Path, ...], **options: Any) -> int:  # noqa: ANN401 (validated below)
    """Hold each MODEL, or an earlier --report, against a policy.

    \b
    Exit codes:  0 it passes, with or without warnings, or no rule applies;
                 1 it fails; 4 it is inconclusive, or the analysis incomplete.
    """  # noqa: D301, DOC201, DOC501 (click prints this, and reads \b as "keep these lines")
    from onnxprobe.cli.writing import keep_apart
    from onnxprobe.policy import read_policy
    from onnxprobe.record import Report

    if bool(models) == (options["report"] is not None):
        raise DataError("give a MODEL or a --report, one of them")
    if options["report"] is not None and (idle := analysis_given()):
        raise DataError(f"a --report is judged as it is; {idle} would change nothing")
    if options["formats"] and not options["outputs"]:
        raise DataError("--format says how an -o is written; give one")
    if len(models) > 1 and options["outputs"]:
        raise DataError(f"one file cannot hold the verdicts on {len(models)} models: check each")
    read = [options["report"], options["baseline"], Path(options["policy"])]
    keep_apart(options["outputs"], [path for path in read if path is not None])
    file = read_policy(options["policy"])
    baseline = Report.read(options["baseline"]) if options["baseline"] else None
    codes = [_check(each, file, baseline, options) for each in models or [None]]
    return 1 if 1 in codes else max(codes)


def _check(
    model: Path | None, file: PolicyFile, baseline: Report | None, options: dict[str, Any]
) -> int:
    """Judge one model, or the report if there is none."""
    from datetime import UTC, datetime

    from onnxprobe.cli.delivery import commit, native, show
    from onnxprobe.cli.measuring import settle
    from onnxprobe.policy import judge
    from onnxprobe.report.files import AtomicFile
    from onnxprobe.report.verdict import print_judgement
    from onnxprobe.report.verdict_formats import verdict_formats

    verbose, quiet = options["verbose"], options["quiet"]
    with ExitStack() as stack:
        renderers = verdict_formats(options["outputs"], options["formats"])
        files = [stack.enter_context(AtomicFile(path)) for path in options["outputs"]]
        report, conclusion = _reported(model, options, file.policy)
        today = datetime.now(UTC).date()
        judgement = judge(report, file, today, baseline, measured=conclusion is not None)
        failures = commit((judgement, report), renderers, files)
        if not quiet:
            failures += show(lambda console: print_judgement(judgement, console, verbose=verbose))
    if conclusion is not None:
        if verbose and not quiet:
            native(conclusion.chatter)
        settle(conclusion, delivered=not failures, quiet=quiet)
    if failures:
        raise RunError("; ".join(failures))
    if conclusion is not None and conclusion.cause is not None and judgement.exit_code != 1:
        raise conclusion.cause
    return judgement.exit_code


def _reported(
    model: Path | None, options: dict[str, Any], policy: Policy
) -> tuple[Report, Conclusion | None]:
    from onnxprobe.cli.measuring import measure
    from onnxprobe.record import Report

    if model is None:
        return Report.read(options["report"]), None
    conclusion = measure(model, options, policy, written=options["outputs"])
    return conclusion.report, conclusion
