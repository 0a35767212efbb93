"""The cuts of a model on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from onnxprobe.policy.splits import Cut, Split
from onnxprobe.report.text import percent, printable, shortened, significant

__all__ = ["print_split"]

_NAME_WIDTH = 30
_UNITS = ("", "k", "M", "G", "T", "P")


def print_split(split: Split, console: Console, *, verbose: bool = False) -> None:
    """Print where a model could be cut.

    Args:
        split: Its cuts.
        console: Where to.
        verbose: Whether cuts that are not on the Pareto front are listed, too.
    """
    noise = split.constraints.noise
    console.print(Text(f"{printable(split.model)}, release noise {noise}"), soft_wrap=True)
    console.print()
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("cut", no_wrap=True)
    separator = "\n" if console.is_terminal else " "
    headers = ("bytes", "MACs before", "MACs after", "DoF share", "rank share")
    for header in (*headers, "recoverable", "bound"):
        table.add_column(header.replace(" ", separator), justify="right", no_wrap=True)
    shown = [cut for cut in split.cuts if verbose or cut.on_front]
    for cut in shown:
        table.add_row(*_cells(cut, console), style="" if cut.on_front else "dim")
    if shown:
        console.print(table)
        console.print()
    front = sum(cut.on_front for cut in split.cuts)
    allowed = sum(cut.allowed for cut in split.cuts)
    _say(
        console,
        f"{len(split.cuts)} cuts, {allowed} within the limits, {front} of them best in some respect"
        + (": the others with -v." if front < len(split.cuts) and not verbose else "."),
    )
    _say(
        console,
        "recoverable: share of the input's variance that an attacker recovers at most; bound: "
        "error of any attacker at least, per prior variance.",
    )
    reasons = (cut.reason for cut in shown or split.cuts if cut.reason)
    for reason in dict.fromkeys(reasons):
        _say(console, f"Note: {reason}", "yellow")
    if split.more:
        _say(console, "There are more cuts than were looked at.", "yellow")
    if split.uncounted:
        _say(console, f"Not counted among MACs: {', '.join(split.uncounted)}", "yellow")


def _cells(cut: Cut, console: Console) -> list[Text]:
    name = " + ".join(printable(each) for each in cut.tensors)
    low, high = cut.recoverable_low, cut.recoverable_high
    if low is None:
        share = "?"
    elif high is None:
        share = f"≥ {percent(low, low)}"
    else:
        share = percent(low, high)
    return [
        Text(shortened(name, _NAME_WIDTH) if console.is_terminal else name),
        Text("?" if cut.bytes is None else _scaled(cut.bytes)),
        Text("?" if cut.macs_before is None else _scaled(cut.macs_before)),
        Text("?" if cut.macs_after is None else _scaled(cut.macs_after)),
        Text("–" if cut.dof_share is None else percent(cut.dof_share, cut.dof_share)),
        Text("–" if cut.rank_share is None else percent(cut.rank_share, cut.rank_share)),
        Text(share),
        Text("–" if cut.van_trees_share is None else significant(cut.van_trees_share)),
    ]


def _scaled(value: int) -> str:
    scaled, unit = float(value), 0
    while scaled >= 1000 and unit < len(_UNITS) - 1:
        scaled, unit = scaled / 1000, unit + 1
    return f"{scaled:.3g}{_UNITS[unit]}"


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(printable(text), style), soft_wrap=not console.is_terminal)
