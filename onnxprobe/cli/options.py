"""Options that say what to measure, shared by every command that measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from onnxprobe.cli import values
from onnxprobe.cli.limits import limits

__all__ = ["analysis_given", "analysis_options", "further_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


def analysis_options(command: Command) -> Command:
    """Add everything that decides what an analysis computes, and what it may cost.

    Args:
        command: Takes what `onnxprobe.cli.measuring` reads.

    Returns:
        The same with the options.
    """
    return _with(_OPTIONS, command)


def analysis_given() -> str:
    """Tell which options of an analysis the running command was given.

    Returns:
        The first of them as it is written; empty if none was.
    """
    context = click.get_current_context()
    known = {each.name for each in analysis_options(click.Command("any")).params}
    given = (
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in known
        and context.get_parameter_source(parameter.name) == ParameterSource.COMMANDLINE
    )
    return next(given, "")


def further_options(command: Command) -> Command:
    """Add what is given of samples beside the data.

    Args:
        command: Takes what `onnxprobe.cli.measuring` reads.

    Returns:
        The same with the options.
    """
    return _with(_FURTHER, command)


def _with(options: Sequence[Callable[[Any], Any]], command: Command) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


_FURTHER: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--labels",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="The class of each sample: a .npy or .npz. A .npz of --data may hold them itself.",
    ),
    click.option(
        "--members",
        type=values.named_path,
        metavar="[NAME=]PATH",
        multiple=True,
        help="Samples that the model was trained on, as --data: how well are they told from "
        "--non-members?",
    ),
    click.option(
        "--non-members",
        type=values.named_path,
        metavar="[NAME=]PATH",
        multiple=True,
        help="Samples that it was not trained on.",
    ),
)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--data",
        type=values.named_path,
        metavar="[NAME=]PATH",
        multiple=True,
        help="Samples: a .npz, a .npy or a folder of images; NAME=PATH for one of several inputs. "
        "Without it, samples are drawn from the declared types.",
    ),
    *_FURTHER,
    click.option("--scale", type=float, help="Input = (pixel·scale − mean)/std. [default: 1/255]"),
    click.option(
        "--mean",
        type=values.numbers,
        metavar="FLOAT[,FLOAT...]",
        help="Subtracted after scaling; one number or one per channel.",
    ),
    click.option(
        "--std",
        type=values.numbers,
        metavar="FLOAT[,FLOAT...]",
        help="Divided by; one number or one per channel.",
    ),
    click.option(
        "--layout",
        type=click.Choice(["auto", "NCHW", "NHWC", "flat"]),
        default="auto",
        show_default=True,
        help="How the model takes images.",
    ),
    click.option("--transpose", is_flag=True, help="Swap rows and columns of images."),
    click.option(
        "--channels",
        type=click.Choice(["rgb", "bgr"]),
        default="rgb",
        show_default=True,
        help="Order in which the model takes colours.",
    ),
    click.option(
        "--resize",
        type=click.Choice(["stretch", "crop"]),
        default="stretch",
        show_default=True,
        help="What to do with images of another size than the model's.",
    ),
    click.option(
        "--set",
        "sizes",
        type=values.setting,
        metavar="NAME=SIZE",
        multiple=True,
        help="Size of a symbolic dimension; INPUT[AXIS]=SIZE for one without a name.",
    ),
    click.option(
        "--data-limit",
        type=click.IntRange(2),
        help="Samples over which activations are measured, at most. [default: 2048; 512 if "
        "synthetic]",
    ),
    click.option(
        "--samples",
        type=click.IntRange(1),
        default=4,
        show_default=True,
        help="Samples at which Jacobians are taken.",
    ),
    click.option(
        "--directions",
        type=values.directions,
        metavar="auto|all|K",
        default="auto",
        show_default=True,
        help="Directions through which Jacobians are seen; auto is all up to 4,096 inputs, "
        "else 256.",
    ),
    click.option("--wrt", metavar="TENSOR", help="Differentiate with respect to this tensor."),
    click.option(
        "--include", metavar="GLOB", multiple=True, help="Only tensors of such a name or operator."
    ),
    click.option(
        "--exclude", metavar="GLOB", multiple=True, help="No tensors of such a name or operator."
    ),
    click.option(
        "--together",
        type=values.names,
        metavar="TENSOR,TENSOR...",
        multiple=True,
        help="Tensors that are released together, to be judged as one release. Repeatable.",
    ),
    click.option(
        "--jacobian",
        type=click.Choice(["auto", "jvp", "fd"]),
        default="auto",
        show_default=True,
        help="Derivatives: jvp by forward mode or not at all, fd by finite differences of the "
        "model, auto by forward mode where that is possible.",
    ),
    click.option(
        "--straight-through",
        is_flag=True,
        help="Differentiate pairs of QuantizeLinear and DequantizeLinear as if they did not round.",
    ),
    click.option(
        "--step",
        type=values.step,
        metavar="auto|FLOAT",
        default="auto",
        show_default=True,
        help="Finite-difference step in input units; auto measures which is best.",
    ),
    click.option(
        "--prior",
        type=click.Choice(["auto", "data", "image", "isotropic"]),
        default="auto",
        show_default=True,
        help="What an attacker knows of the input beforehand: the covariance of --data, that of "
        "photographs, or its variance alone; auto takes the first of these that is there.",
    ),
    click.option(
        "--noise",
        metavar="S",
        multiple=True,
        help="Release noise: a number in units of a tensor's RMS, or the rounding of float32, "
        "float16, bfloat16 or int8. Repeatable. [default: 0.1 and int8]",
    ),
    click.option(
        "--target",
        "targets",
        type=values.share,
        metavar="SHARE",
        multiple=True,
        help="How much noise leaves at most this share of the input recoverable? 0.05 or 5%. "
        "Repeatable. [default: 5%]",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cuda", "cpu"]),
        default="auto",
        show_default=True,
        help="auto takes CUDA if a session on it can be made, and says what it took.",
    ),
    limits,
    click.option(
        "--threads",
        type=click.IntRange(1),
        help="Threads, at most one per processor. [default: all]",
    ),
    click.option(
        "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of everything drawn."
    ),
    click.option(
        "--no-data-digest", is_flag=True, help="Leave the digest of the data out of the report."
    ),
    click.option(
        "--work-dir",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Keep what is measured in this folder, also when all is done. [default: a folder "
        "of the user's state, removed when all is done]",
    ),
    click.option(
        "--resume",
        is_flag=True,
        help="Go on with an unfinished analysis; nothing is measured twice.",
    ),
)
