"""Options that bound what a command may cost and reach, shared by all that open a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from onnxprobe.cli import values

__all__ = ["limits"]

Command = TypeVar("Command", bound=Callable[..., Any])

_SECONDS = click.FloatRange(0, min_open=True)


def limits(command: Command) -> Command:
    """Add ``--memory``, ``--timeout``, ``--unit-timeout`` and ``--allow-linked-data``.

    Args:
        command: Takes ``memory_bytes``, ``timeout_s``, ``unit_timeout_s`` and
            ``allow_linked_data``.

    Returns:
        The same with the options.
    """
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--memory",
        "memory_bytes",
        type=values.size,
        metavar="SIZE",
        help="Memory to use. [default: half of what there is, at most 8GB]",
    ),
    click.option(
        "--timeout",
        "timeout_s",
        type=_SECONDS,
        help="Seconds that everything may take; an analysis reports what is done by then. "
        "[default: any]",
    ),
    click.option(
        "--unit-timeout",
        "unit_timeout_s",
        type=_SECONDS,
        help="Seconds that a computation may take without a sign of progress. [default: 600, at "
        "most a sixth of --timeout]",
    ),
    click.option(
        "--allow-linked-data",
        is_flag=True,
        help="Read external data through symbolic and hard links, as model hubs' caches have them.",
    ),
)
