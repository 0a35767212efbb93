"""Getting what was found to where it is wanted: files, whole or not at all, and the screen."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from onnxprobe.cli import signals
from onnxprobe.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from onnxprobe.report.files import AtomicFile

__all__ = ["commit", "native", "show"]

Content = TypeVar("Content")


def commit(
    content: Content, renderers: list[Callable[[Content], bytes]], files: list[AtomicFile]
) -> list[str]:
    """Write to each file, and say which cannot take it.

    Args:
        content: What to write.
        renderers: How, for each file.
        files: Where to.

    Returns:
        A sentence per file that could not be written.
    """
    failures = []
    for render, file in zip(renderers, files, strict=True):
        try:
            file.commit(render(content))
        except DataError as error:
            failures.append(str(error))
    return failures


def show(draw: Callable[[Console], None]) -> list[str]:
    """Print, and say if the screen, or what stands for it, cannot take it.

    Args:
        draw: Prints on a console.

    Returns:
        A sentence if it failed.
    """
    from rich.console import Console

    # Nobody has to wait for a screen that takes nothing.
    signals.rearm()
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        # Whoever reads a pipe wants whole lines.
        console.width = 10_000
    try:
        draw(console)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is left of it goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return [f"the report cannot be printed: {error.strerror}"]
    return []


def native(chatter: str) -> None:
    """Print what native code said, beside the report.

    Args:
        chatter: Lines of anything.
    """
    from onnxprobe.report.text import printable

    for line in chatter.splitlines():
        click.echo(f"native: {printable(line)}", err=True)
