"""A verdict on a terminal: a line per rule, and what breaks it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from onnxprobe.policy import Finding, Judgement, RuleResult, Verdict
from onnxprobe.report.text import printable, shortened, significant

__all__ = ["finding_text", "print_judgement"]

_STYLES: dict[Verdict, str] = {
    "pass": "green",
    "warn": "yellow",
    "fail": "bold red",
    "inconclusive": "magenta",
    "not applicable": "dim",
}
# Findings of a rule that are listed unless all are asked for.
_LISTED = 5
_NAME_WIDTH = 48
_INDENT = 16


def print_judgement(judgement: Judgement, console: Console, *, verbose: bool = False) -> None:
    """Print a verdict.

    Args:
        judgement: Any verdict.
        console: Where to.
        verbose: Whether every finding is listed.
    """
    head = f"{judgement.model}, policy {judgement.policy.name!r}"
    console.print(Text(printable(head)), soft_wrap=True)
    console.print()
    for rule in judgement.rules:
        _print_rule(rule, console, verbose=verbose)
    for note in judgement.notes:
        console.print(Text(f"Note: {printable(note)}", "yellow"), soft_wrap=True)
    counts = dict.fromkeys(_STYLES, 0)
    for rule in judgement.rules:
        counts[rule.verdict] += 1
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    line = Text("Verdict: ")
    line.append(judgement.verdict, _STYLES[judgement.verdict])
    line.append(f" ({said})")
    console.print(line, soft_wrap=True)


def _print_rule(rule: RuleResult, console: Console, *, verbose: bool) -> None:
    line = Text(printable(rule.name))
    line.append(_tally(rule), "dim")
    _say(line, console, Text(f"{rule.verdict:>{_INDENT - 2}}  ", _STYLES[rule.verdict]))
    shown = rule.findings if verbose else rule.findings[:_LISTED]
    for finding in shown:
        width = _NAME_WIDTH if console.is_terminal and not verbose else 10_000
        _say(Text(finding_text(finding, width), _STYLES[finding.verdict]), console)
    if len(shown) < len(rule.findings):
        more = f"and {len(rule.findings) - len(shown)} more (-v lists them)"
        _say(Text(more, "dim"), console)


def _say(text: Text, console: Console, label: Text | None = None) -> None:
    """Print behind a label, or as far to the right; on a terminal, lines go on there as well."""
    label = label or Text(" " * _INDENT)
    if not console.is_terminal:
        console.print(label + text, soft_wrap=True)
        return
    grid = Table.grid()
    grid.add_column(width=_INDENT, no_wrap=True)
    grid.add_column()
    grid.add_row(label, text)
    console.print(grid)


def _tally(rule: RuleResult) -> str:
    count = len(rule.tensors)
    return f"  ({count} tensor{'' if count == 1 else 's'})"


def finding_text(finding: Finding, width: int = 10_000) -> str:
    """Say what was found, in a sentence without a full stop.

    Args:
        finding: At a tensor.
        width: Letters of the tensor's name at most.

    Returns:
        Safe to print.
    """
    name = shortened(printable(finding.tensor), width)
    at = f" at noise {finding.noise}" if finding.noise else ""
    if finding.tolerance:
        at += f" at tolerance {finding.tolerance}"
    if finding.target:
        at += f" for a share of {finding.target}"
    side = "at most" if finding.bound == "max" else "at least"
    kind = "" if finding.label in {None, "measured"} else f" ({finding.label})"
    parts = [
        f"{name}: {finding.measure}{at} {_value(finding)}{kind}, {side} {finding.limit:g} allowed"
    ]
    if finding.reason:
        parts.append(finding.reason)
    if finding.known:
        parts.append("no worse than in the baseline")
    if finding.waived is not None:
        parts.append(f"waived: {finding.waived}")
    return printable("; ".join(parts))


def _value(finding: Finding) -> str:
    low, high = finding.low, finding.high
    if low is None and high is None:
        return "is unknown"
    if low is None or high is None:
        known = low if low is not None else high
        assert known is not None
        word = "at least" if low is not None else "at most"
        return f"is {word} {significant(known)}"
    if significant(low) == significant(high):
        return f"is {significant(low)}"
    return f"lies between {significant(low)} and {significant(high)}"
