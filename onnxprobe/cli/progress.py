"""The progress bar, on stderr and only for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from onnxprobe.analysis.conductor import Progress as Teller

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Teller]:
    """Show how far an analysis is, and how long it will take.

    Args:
        shown: Whether to show anything.

    Yields:
        What to tell about progress.
    """
    console = Console(stderr=True, markup=False, emoji=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    bar = Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )
    with bar:
        task = bar.add_task("", total=None)

        def tell(phase: str, done: float, total: float) -> None:
            bar.update(task, description=phase, completed=done, total=total or None)

        yield tell
