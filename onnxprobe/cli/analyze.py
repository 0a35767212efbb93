"""``onnxprobe analyze``: the main job."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from onnxprobe.cli import signals, values
from onnxprobe.cli.limits import limits
from onnxprobe.errors import DataError, RunError

if TYPE_CHECKING:
    from onnxprobe.analysis.conductor import Workplace
    from onnxprobe.analysis.conductor.request import Subject
    from onnxprobe.analysis.configuration import Configuration
    from onnxprobe.record import Report
    from onnxprobe.report.files import AtomicFile

__all__ = ["analyze"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=values.named_path,
    metavar="[NAME=]PATH",
    multiple=True,
    help="Samples: a .npz, a .npy or a folder of images; NAME=PATH for one of several inputs. "
    "Without it, samples are drawn from the declared types.",
)
@click.option("--scale", type=float, help="Input = (pixel·scale − mean)/std. [default: 1/255]")
@click.option(
    "--mean",
    type=values.numbers,
    metavar="FLOAT[,FLOAT...]",
    help="Subtracted after scaling; one number or one per channel.",
)
@click.option(
    "--std",
    type=values.numbers,
    metavar="FLOAT[,FLOAT...]",
    help="Divided by; one number or one per channel.",
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "NCHW", "NHWC", "flat"]),
    default="auto",
    show_default=True,
    help="How the model takes images.",
)
@click.option("--transpose", is_flag=True, help="Swap rows and columns of images.")
@click.option(
    "--channels",
    type=click.Choice(["rgb", "bgr"]),
    default="rgb",
    show_default=True,
    help="Order in which the model takes colours.",
)
@click.option(
    "--resize",
    type=click.Choice(["stretch", "crop"]),
    default="stretch",
    show_default=True,
    help="What to do with images of another size than the model's.",
)
@click.option(
    "--set",
    "sizes",
    type=values.setting,
    metavar="NAME=SIZE",
    multiple=True,
    help="Size of a symbolic dimension; INPUT[AXIS]=SIZE for one without a name.",
)
@click.option(
    "--data-limit",
    type=click.IntRange(2),
    help="Samples over which activations are measured, at most. [default: 2048; 512 if synthetic]",
)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    help="Samples at which Jacobians are taken.",
)
@click.option(
    "--directions",
    type=values.directions,
    metavar="auto|all|K",
    default="auto",
    show_default=True,
    help="Directions through which Jacobians are seen; auto is all up to 4,096 inputs, else 256.",
)
@click.option("--wrt", metavar="TENSOR", help="Differentiate with respect to this tensor.")
@click.option(
    "--include", metavar="GLOB", multiple=True, help="Only tensors of such a name or operator."
)
@click.option(
    "--exclude", metavar="GLOB", multiple=True, help="No tensors of such a name or operator."
)
@click.option(
    "--jacobian",
    type=click.Choice(["auto", "jvp", "fd"]),
    default="auto",
    show_default=True,
    help="Derivatives: jvp by forward mode or not at all, fd by finite differences of the model, "
    "auto by forward mode where that is possible.",
)
@click.option(
    "--straight-through",
    is_flag=True,
    help="Differentiate pairs of QuantizeLinear and DequantizeLinear as if they did not round.",
)
@click.option(
    "--step",
    type=values.step,
    metavar="auto|FLOAT",
    default="auto",
    show_default=True,
    help="Finite-difference step in input units; auto measures which is best.",
)
@click.option(
    "--noise",
    metavar="S",
    multiple=True,
    help="Release noise: a number in units of a tensor's RMS, or the rounding of float32, float16, "
    "bfloat16 or int8. Repeatable. [default: 0.1 and int8]",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cuda", "cpu"]),
    default="auto",
    show_default=True,
    help="auto takes CUDA if a session on it can be made, and says what it took.",
)
@limits
@click.option(
    "--threads", type=click.IntRange(1), help="Threads, at most one per processor. [default: all]"
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything drawn."
)
@click.option(
    "--allow-linked-data",
    is_flag=True,
    help="Read external data through symbolic and hard links, as model hubs' caches have them.",
)
@click.option(
    "--no-data-digest", is_flag=True, help="Leave the digest of the data out of the report."
)
@click.option(
    "--work-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep what is measured in this folder, also when all is done. [default: a folder of the "
    "user's state, removed when all is done]",
)
@click.option(
    "--resume", is_flag=True, help="Go on with an unfinished analysis; nothing is measured twice."
)
@click.option(
    "-o",
    "--output",
    "outputs",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Write the report to this .json or .csv file. Repeatable.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="List what was skipped, and native messages.")
def analyze(model: Path, **options: Any) -> int:  # noqa: ANN401 (click's values, validated below)
    """Measure degrees of freedom and Jacobian rank of every intermediate tensor of MODEL."""
    from onnxprobe.analysis.conductor import conduct
    from onnxprobe.cli.progress import progress_bar
    from onnxprobe.report.files import AtomicFile
    from onnxprobe.report.formats import file_format

    configuration = _configuration(options)
    with ExitStack() as stack:
        renderers = [file_format(path) for path in options["outputs"]]
        files = [stack.enter_context(AtomicFile(path)) for path in options["outputs"]]
        with progress_bar(shown=not options["quiet"]) as progress:
            conclusion = conduct(
                model,
                _data(options["data"]),
                configuration,
                progress,
                workplace=partial(_workplace, configuration, options),
                on_measured=signals.hold,
            )
        # Whoever has interrupted the analysis waits for what was found.
        signals.hold()
        # What was found reaches the screen even if no file can take it, and the other way round.
        failures = _commit(conclusion.report, renderers, files)
        if not options["quiet"]:
            failures += _show(conclusion.report, conclusion.chatter, verbose=options["verbose"])
    # Until the report is where it was wanted, what it is made of is kept.
    if conclusion.settle(delivered=not failures) and not options["quiet"]:
        click.echo("onnxprobe: what is done is kept; go on with --resume", err=True)
    if failures:
        raise RunError("; ".join(failures))
    if conclusion.cause is not None:
        raise conclusion.cause
    return 4 if conclusion.report.coverage.failed else 0


def _commit(
    report: Report, renderers: list[Callable[[Report], bytes]], files: list[AtomicFile]
) -> list[str]:
    """Write a report to each file, and say which cannot take it."""
    failures = []
    for render, file in zip(renderers, files, strict=True):
        try:
            file.commit(render(report))
        except DataError as error:
            failures.append(str(error))
    return failures


def _configuration(options: dict[str, Any]) -> Configuration:
    from onnxprobe.analysis.arguments import configure

    pictures = ("scale", "mean", "std", "layout", "transpose", "channels", "resize")
    same = (
        "samples",
        "directions",
        "wrt",
        "include",
        "exclude",
        "jacobian",
        "straight_through",
        "step",
        "data_limit",
        "device",
        "threads",
        "seed",
        "memory_bytes",
        "timeout_s",
        "unit_timeout_s",
    )
    return configure(
        images={name: options[name] for name in pictures if options[name] is not None},
        sizes=dict(options["sizes"]),
        noise=options["noise"] or None,
        allow_links=options["allow_linked_data"],
        data_digest=not options["no_data_digest"],
        **{name: options[name] for name in same},
    )


def _workplace(
    configuration: Configuration, options: dict[str, Any], subject: Subject
) -> Workplace:
    from onnxprobe.analysis.conductor import Workplace

    if options["work_dir"] is not None:
        return Workplace.given(options["work_dir"], resume=options["resume"])
    place = Workplace.own(subject, configuration, resume=options["resume"])
    if place.older and not options["quiet"]:
        click.echo(
            "onnxprobe: an unfinished analysis of this model with these options is kept until this "
            "one is done; --resume goes on with it instead",
            err=True,
        )
    return place


def _data(given: tuple[tuple[str | None, str], ...]) -> Any:  # noqa: ANN401
    if not given:
        return None
    names = [name for name, _ in given]
    if len(set(names)) < len(names):
        raise DataError("--data is given twice for one input; write NAME=PATH for each of several")
    if names == [None]:
        return given[0][1]
    if None in names:
        raise DataError("--data needs NAME=PATH for each input where there are several")
    return {str(name): path for name, path in given}


def _show(report: Report, chatter: str, *, verbose: bool) -> list[str]:
    """Print a report, and say if the screen, or what stands for it, cannot take it."""
    from rich.console import Console

    from onnxprobe.report.console import print_report
    from onnxprobe.report.text import printable

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # Whoever reads a pipe wants whole lines.
        console.width = 10_000
    try:
        print_report(report, console, verbose=verbose)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return [f"the report cannot be printed: {error.strerror}"]
    if verbose and chatter:
        for line in chatter.splitlines():
            click.echo(f"native: {printable(line)}", err=True)
    return []
