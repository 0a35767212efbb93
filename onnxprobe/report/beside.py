"""On a terminal, beside the reconstruction of inputs: tokens, classes, membership."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from onnxprobe.record import Report, SeparationRecord, Statistic, TensorRecord
from onnxprobe.report.text import percent, printable, shortened, significant

__all__ = ["print_beside"]

_NAME_WIDTH = 26
_STATISTICS: tuple[tuple[Statistic, str], ...] = (
    ("activation typicality", "typicality"),
    ("Jacobian energy", "energy"),
    ("Jacobian effective rank", "effective rank"),
)
_NOTHING = "–"
# What is asked for without saying so.
_DEFAULT_TARGETS = [0.05]

_Column = tuple[str, Callable[[TensorRecord], str]]


def print_beside(report: Report, console: Console, *, verbose: bool = False) -> None:
    """Print what a report says of tokens and membership, and of classes if wanted.

    Args:
        report: Any report.
        console: Where to.
        verbose: Whether classes are told of.
    """
    for title, columns in _blocks(report, verbose=verbose):
        console.print()
        console.print(Text(title), soft_wrap=not console.is_terminal)
        console.print(_table(report, columns, full=not console.is_terminal))


def _blocks(report: Report, *, verbose: bool) -> Iterator[tuple[str, Sequence[_Column]]]:
    targets = [float(each) for each in report.run.configuration.get("targets", [])]
    if targets and (verbose or targets != _DEFAULT_TARGETS):
        yield (
            "Release noise, in units of a tensor's RMS, that leaves at most so much recoverable:",
            [(f"{100 * target:g}%", _enough(target)) for target in targets],
        )
    source = report.source
    if source is not None and source.tokens:
        noises = [str(text) for text in report.run.configuration.get("noise", [])]
        title = (
            f"Tokens re-identified, of {source.tokens}, in a vocabulary of {source.vocabulary:,} "
            f"({_percent(source.tokens_guessed or 0.0)} by guessing alone):"
        )
        yield title, [(f"at {noise}", _tokens(noise)) for noise in noises]
    if verbose and any(tensor.classes for tensor in report.tensors):
        yield (
            "Intra-class radius: share of the variance within classes:",
            [("classes", _class_count), ("within", _within)],
        )
    cohorts = report.membership
    if cohorts is not None:
        title = (
            f"Members ({cohorts.members}) against non-members ({cohorts.non_members}): AUC of "
            "untrained statistics with its 95 % interval; 0.5 tells nothing."
        )
        yield title, [(header, _auc(statistic)) for statistic, header in _STATISTICS]


def _table(report: Report, columns: Sequence[_Column], *, full: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("tensor", no_wrap=True)
    for header, _ in columns:
        table.add_column(header, justify="right", no_wrap=True)
    for tensor in report.tensors:
        name = printable(tensor.name)
        cells = (Text(read(tensor)) for _, read in columns)
        table.add_row(Text(name if full else shortened(name, _NAME_WIDTH)), *cells)
    return table


def _enough(target: float) -> Callable[[TensorRecord], str]:
    def read(tensor: TensorRecord) -> str:
        known = [value for name, value in tensor.noise_for.items() if float(name) == target]
        return significant(known[0]) if known and known[0] is not None else _NOTHING

    return read


def _tokens(noise: str) -> Callable[[TensorRecord], str]:
    def read(tensor: TensorRecord) -> str:
        shares = (each.tokens_reidentified for each in tensor.release if each.noise == noise)
        share = next(shares, None)
        return _NOTHING if share is None else _percent(share)

    return read


def _percent(share: float) -> str:
    return percent(share, share)


def _class_count(tensor: TensorRecord) -> str:
    return str(tensor.classes.classes) if tensor.classes else _NOTHING


def _within(tensor: TensorRecord) -> str:
    found = tensor.classes
    return _percent(found.share) if found and found.share is not None else _NOTHING


def _auc(statistic: Statistic) -> Callable[[TensorRecord], str]:
    def read(tensor: TensorRecord) -> str:
        found = next((each for each in tensor.membership if each.statistic == statistic), None)
        return _NOTHING if found is None else _interval(found)

    return read


def _interval(found: SeparationRecord) -> str:
    return f"{found.auc:.2f} ({found.low:.2f}–{found.high:.2f})"
