"""Comparisons, trajectories and verifications on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from onnxprobe.policy import Comparison, Difference, Series, Trajectory
from onnxprobe.policy.verification import Verification
from onnxprobe.report.text import printable, shortened, significant

__all__ = ["print_comparison", "print_trajectory", "print_verification"]

_NAME_WIDTH = 28
# Problems that are listed unless all are asked for.
_LISTED = 10


def print_comparison(comparison: Comparison, console: Console, *, verbose: bool = False) -> None:
    """Print what changed.

    Args:
        comparison: Any comparison.
        console: Where to.
        verbose: Whether differences that noise explains are listed, too.
    """
    _say(console, f"{comparison.before} → {comparison.after}")
    shown = comparison.differences if verbose else comparison.significant
    if shown:
        console.print()
        table = _new_table("tensor", "measure", "before", "after", "change")
        for each in shown:
            name = each.tensor if each.tensor == each.other else f"{each.tensor} → {each.other}"
            table.add_row(
                _name(name, console),
                Text(_measure(each)),
                Text(_range(each.before)),
                Text(_range(each.after)),
                Text(_change(each), "" if each.significant else "dim"),
            )
        console.print(table)
        console.print()
    count = len(comparison.significant)
    others = len(comparison.differences) - count
    one = comparison.pairs == 1
    pairs = f"{comparison.pairs} tensor{' is' if one else 's are'} in both"
    renamed = f" ({comparison.renamed} of them paired by structure)" if comparison.renamed else ""
    _say(
        console,
        f"{pairs}{renamed}; {count} significant difference{'' if count == 1 else 's'}, "
        f"{others} that noise or unseen directions explain.",
    )
    for which, names in (("first", comparison.only_before), ("second", comparison.only_after)):
        if names:
            listed = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            _say(console, f"Only in the {which}: {len(names)} ({listed})")
    for note in comparison.notes:
        _say(console, f"Note: {note}", "yellow")


def print_trajectory(trajectory: Trajectory, console: Console) -> None:
    """Print how measures moved.

    Args:
        trajectory: Any trajectory.
        console: Where to.
    """
    first, last = trajectory.checkpoints[0], trajectory.checkpoints[-1]
    _say(console, f"{len(trajectory.checkpoints)} checkpoints, {first} → {last}")
    console.print()
    table = _new_table("tensor", "measure", "first", "lowest", "highest", "last", "CV", "MCR")
    for series in trajectory.series:
        table.add_row(
            _name(series.tensor, console),
            Text(series.measure),
            *(Text(text) for text in _course(series)),
            Text(_number(series.cv)),
            Text(_number(series.mcr)),
        )
    if not trajectory.series:
        _say(console, "No tensor is in every checkpoint.", "yellow")
        return
    console.print(table)
    console.print()
    _say(console, "CV: standard deviation over mean. MCR: largest relative change of one step.")
    if trajectory.lost:
        _say(console, f"Not in every checkpoint: {', '.join(trajectory.lost[:10])}")
    for note in trajectory.notes:
        _say(console, f"Note: {note}")


def print_verification(
    verification: Verification, console: Console, *, verbose: bool = False
) -> None:
    """Print what became of a claim.

    Args:
        verification: Any verification.
        console: Where to.
        verbose: Whether differences that noise explains are listed, too.
    """
    if verification.confirmed:
        _say(console, f"Confirmed {verification.how}.", "green")
    else:
        _say(console, "Not confirmed:", "bold red")
    shown = verification.problems if verbose else verification.problems[:_LISTED]
    for problem in shown:
        _say(console, f"  {problem}")
    if len(shown) < len(verification.problems):
        _say(console, f"  and {len(verification.problems) - len(shown)} more (-v lists them)")
    for note in verification.notes:
        _say(console, f"Note: {note}", "yellow")
    if verbose and verification.comparison.differences:
        print_comparison(verification.comparison, console, verbose=True)


def _new_table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for place, header in enumerate(headers):
        table.add_column(header, justify="left" if place < 2 else "right", no_wrap=True)
    return table


def _name(name: str, console: Console) -> Text:
    safe = printable(name)
    return Text(shortened(safe, _NAME_WIDTH) if console.is_terminal else safe)


def _measure(difference: Difference) -> str:
    at = f" at {difference.noise}" if difference.noise else ""
    if difference.target:
        at = f" {100 * float(difference.target):g}%"
    return f"{difference.measure}{at}"


def _range(ends: list[float | None]) -> str:
    low, high = ends
    if low is None and high is None:
        return "?"
    if low is None or high is None:
        return f"≥ {significant(low)}" if low is not None else f"≤ {significant(high or 0.0)}"
    texts = significant(low), significant(high)
    return texts[0] if texts[0] == texts[1] else f"{texts[0]}–{texts[1]}"


def _change(difference: Difference) -> str:
    return "" if difference.change is None else f"{100 * difference.change:+.1f}%"


def _course(series: Series) -> list[str]:
    known = [value for value in series.values if value is not None]
    ends = [series.values[0], min(known, default=None), max(known, default=None), series.values[-1]]
    return [_number(value) for value in ends]


def _number(value: float | None) -> str:
    return "–" if value is None else significant(value)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(printable(text), style), soft_wrap=not console.is_terminal)
