"""``onnxprobe split``: where to cut a model, and the two halves."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from onnxprobe.cli import values
from onnxprobe.cli.options import analysis_options
from onnxprobe.errors import DataError, RunError

__all__ = ["split"]

# Cuts that are looked at, and of several tensors measured as joint releases.
_MOST_CUTS, _MOST_JOINT = 5000, 64


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@analysis_options
@click.option(
    "--max-tensors",
    type=click.IntRange(1, 8),
    default=3,
    show_default=True,
    help="Tensors of a cut at most.",
)
@click.option(
    "--max-recoverable",
    type=click.FloatRange(0, 1),
    help="Share of the input's variance that a cut may give away, at the first --noise.",
)
@click.option("--max-bytes", type=values.size, help="Bytes that a cut may send for one sample.")
@click.option("--max-macs", type=values.count, help="Multiply-adds before the cut, at most.")
@click.option(
    "--at",
    "cut",
    type=values.names,
    metavar="TENSOR[,TENSOR...]",
    help="Write the halves of this cut instead of listing cuts.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The folder for the halves, or the JSON file for the list.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="List cuts that are not on the front, too.")
def split(model: Path, **options: Any) -> int:  # noqa: ANN401 (validated below)
    """List the cuts of MODEL: minimal sets of tensors that everything passes, each as one release.

    With --at, both halves are written as front.onnx and back.onnx, after they were run on samples
    and gave what the whole gives, bit for bit.

    Exit code 1: no cut is known to keep the limits.
    """  # noqa: DOC201, DOC501 (click prints this)
    if options["cut"] is not None:
        if options["output"] is None:
            raise DataError("--at writes two files: name a folder for them with -o")
        limits = ("max_recoverable", "max_bytes", "max_macs")
        if any(options[name] is not None for name in limits):
            raise DataError("limits choose among cuts; --at names one")
        _write(model, options)
        return 0
    return _list(model, options)


def _list(model: Path, options: dict[str, Any]) -> int:
    from onnxprobe.analysis import conductor
    from onnxprobe.analysis.arguments import limited
    from onnxprobe.cli.delivery import commit, show
    from onnxprobe.cli.measuring import measure, settle
    from onnxprobe.policy.splits import Constraints, NodeCost, Split, rate_cuts
    from onnxprobe.report.cuts import print_split
    from onnxprobe.report.files import AtomicFile
    from onnxprobe.report.formats import plain_json

    limits = limited(**{
        name: options[name] for name in ("memory_bytes", "timeout_s", "unit_timeout_s")
    })
    links = options["allow_linked_data"]
    paths = [options["output"]] if options["output"] else []
    with ExitStack() as stack:
        files = [stack.enter_context(AtomicFile(path)) for path in paths]
        graph = conductor.structure(model, allow_links=links, limits=limits)
        cuts, more = conductor.minimal_cuts(
            graph["parents"],
            graph["inputs"],
            graph["outputs"],
            graph["candidates"],
            max_size=options["max_tensors"],
            limit=_MOST_CUTS,
        )
        several = [cut for cut in cuts if len(cut) > 1]
        conclusion = measure(model, options, together=several[:_MOST_JOINT], written=paths)
        report = conclusion.report
        shapes = {tensor.name: tensor.shape for tensor in report.tensors}
        shapes |= {each.name: each.sample_shape for each in report.model.inputs}
        costs = conductor.costs(model, shapes, allow_links=links, limits=limits)
        nodes = [NodeCost.model_validate(each) for each in costs["nodes"]]
        constraints = Constraints(
            noise=report.run.configuration["noise"][0],
            max_recoverable=options["max_recoverable"],
            max_bytes=options["max_bytes"],
            max_macs=options["max_macs"],
        )
        found = Split(
            model=report.model.name,
            constraints=constraints,
            cuts=rate_cuts(report, cuts, nodes, graph["parents"], constraints),
            more=more,
            uncounted=sorted({each.operator for each in nodes if each.multiply_adds is None}),
        )
        failures = commit(found, [plain_json for _ in files], files)
        if not options["quiet"]:
            verbose = options["verbose"]
            failures += show(lambda console: print_split(found, console, verbose=verbose))
    settle(conclusion, delivered=not failures, quiet=options["quiet"])
    if failures:
        raise RunError("; ".join(failures))
    if conclusion.cause is not None:
        raise conclusion.cause
    return 0 if any(cut.allowed for cut in found.cuts) else 1


def _write(model: Path, options: dict[str, Any]) -> None:
    from onnxprobe.analysis import conductor
    from onnxprobe.cli import signals
    from onnxprobe.cli.measuring import configured, given_data
    from onnxprobe.cli.writing import keep_apart
    from onnxprobe.report.files import AtomicFile
    from onnxprobe.report.text import printable

    folder = options["output"]
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder} is a file; name a folder for the halves")
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / name for name in ("front.onnx", "back.onnx")]
    beside = [target.with_name(f"{target.name}.data") for target in targets]
    keep_apart([*targets, *beside], [model])
    with ExitStack() as stack:
        files, weights = (
            [stack.enter_context(AtomicFile(path)) for path in paths] for paths in (targets, beside)
        )
        found = conductor.halves(
            model,
            given_data(options),
            configured(options),
            options["cut"],
            [file.temporary for file in files],
            [path.name for path in beside],
            [file.temporary for file in weights],
        )
        keep_apart([*targets, *beside], [model.parent / name for name in found["files"]])
        signals.hold()
        for file, size_bytes in zip(weights, found["data_bytes"], strict=True):
            if size_bytes:
                file.commit()
        for file in files:
            file.commit()
    if not options["quiet"]:
        sent = ", ".join(found["sent"])
        click.echo(
            f"{printable(str(targets[0]))} and {printable(str(targets[1]))}: {printable(sent)} is "
            f"sent; equal to the whole bit for bit on {found['samples']} samples"
        )
