"""The report on a terminal: a table of the tensors, then what it does and does not cover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from onnxprobe.record import JacobianRecord, ReleaseRecord, Report, TensorRecord
from onnxprobe.report.beside import print_beside
from onnxprobe.report.text import percent, printable, shape_text, shortened, significant

__all__ = ["print_report"]

# Marks of ranks that are not exact, where others are.
_DIFFERENCED, _PARTLY = "*", "+"
# From this width on, a tensor takes one line.
_ONE_LINE_WIDTH = 120
_NAME_WIDTH = 26
_STYLES = {"ok": "green", "non-finite": "red", "not repeatable": "red"}


def print_report(report: Report, console: Console, *, verbose: bool = False) -> None:
    """Print a report.

    Args:
        report: Any report.
        console: Where to; its width decides the layout. Not a terminal: one line per tensor, full
            names, no colours.
        verbose: Whether skipped and failed tensors are listed one by one.
    """
    _print_head(report, console)
    if report.tensors:
        for table in _tables(report, console):
            console.print(table)
        print_beside(report, console, verbose=verbose)
    _print_coverage(report, console, verbose=verbose)
    _print_assumptions(report, console)


def _print_head(report: Report, console: Console) -> None:
    model, data = report.model, report.data
    made = f", {printable(model.producer)}" if model.producer else ""
    _say(console, f"{printable(model.name)}{made}, sha256 {model.files[0].sha256[:12]}")
    kind = "synthetic samples" if data.synthetic else "samples"
    samples = f"{data.samples} {kind}, Jacobians at {len(data.jacobian_samples)} of them"
    _say(console, f"{samples}, {report.execution.provider}" if report.execution else samples)
    if data.synthetic:
        _say(
            console,
            "No data was given: the figures describe the model on synthetic inputs, not your data.",
            "yellow",
        )
    source = report.source
    if source is None:
        _say(console, "No Jacobians: no float source.", "yellow")
    else:
        names = ", ".join(printable(name) for name in source.names)
        _say(console, f"Derivatives by {names} ({source.size} values): {printable(source.chosen)}.")
    console.print()


def _tables(report: Report, console: Console) -> Iterator[Table]:
    """Yield one table, or where it would not fit, the noises in tables of their own."""
    noises = [str(text) for text in report.run.configuration.get("noise", [])]
    every = list(range(len(noises)))
    if not console.is_terminal or _width(report, noises, every, console) <= console.width:
        yield _table(report, console, noises, every)
        return
    yield _table(report, console, noises, [])
    while every:
        count = len(every)
        while (
            count > 1 and _width(report, noises, every[:count], console, only=True) > console.width
        ):
            count -= 1
        yield _table(report, console, noises, every[:count], only=True)
        every = every[count:]


def _width(
    report: Report, noises: list[str], shown: list[int], console: Console, *, only: bool = False
) -> int:
    table = _table(report, console, noises, shown, only=only)
    width = 0
    for column in table.columns:
        texts = [str(column.header), *map(str, column.cells)]
        # A status may be broken between its words.
        parts = [
            part
            for text in texts
            for part in text.split(None if column.header == "status" else "\n")
        ]
        width += 2 + max(map(cell_len, parts), default=0)
    return width


def _table(
    report: Report, console: Console, noises: list[str], shown: list[int], *, only: bool = False
) -> Table:
    wide = not console.is_terminal or console.width >= _ONE_LINE_WIDTH
    table = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    separator = " " if wide else "\n"
    table.add_column("tensor" if wide or only else "tensor\n  operator, shape", no_wrap=True)
    if not only:
        if wide:
            table.add_column("operator", no_wrap=True)
            table.add_column("shape", no_wrap=True)
        for header in ("DoF (share)", "rank (range)", "stable rank"):
            table.add_column(header.replace(" ", separator), justify="right", no_wrap=True)
    for index in shown:
        table.add_column(f"ρ at{separator}{noises[index]}", justify="right", no_wrap=True)
    if not only:
        table.add_column("status")
    marked = len(_methods(report)) > 1
    for tensor in report.releases:
        full = not console.is_terminal
        cells = list(_cells(tensor, shown, wide=wide, full=full, marked=marked))
        if only:
            ranges = cells[len(cells) - 1 - len(shown) : -1]
            cells = [Text(shortened(printable(tensor.name), _NAME_WIDTH)), *ranges]
        table.add_row(*cells)
    return table


def _cells(
    tensor: TensorRecord, shown: list[int], *, wide: bool, full: bool, marked: bool
) -> Iterator[Text]:
    name, operator = printable(tensor.name), printable(tensor.op_type)
    shape = shape_text(tensor.shape, tensor.batch_axis)
    if wide:
        yield Text(name if full else shortened(name, 40))
        yield Text(operator if full else shortened(operator, 24))
        yield Text(shape)
    else:
        cell = Text(shortened(name, _NAME_WIDTH))
        operator = shortened(operator, max(3, _NAME_WIDTH - 3 - len(shape)))
        yield cell.append(f"\n  {operator} {shape}", "dim")
    yield _dof(tensor, wide=wide)
    yield _rank(tensor.jacobian, wide=wide, marked=marked)
    yield Text(_stable_rank(tensor.jacobian))
    for index in shown:
        yield _share(tensor.release[index] if index < len(tensor.release) else None, wide=wide)
    yield Text(tensor.status, _STYLES.get(tensor.status, "yellow"))


def _share(release: ReleaseRecord | None, *, wide: bool) -> Text:
    """What is predicted to be recoverable, and in brackets what was recovered."""
    share = release.recoverable if release else None
    cell = Text(percent(share.low, share.high) if share else "–")
    if release is not None and release.attained is not None:
        attained = percent(release.attained, release.attained)
        cell.append(f"{' ' if wide else chr(10)}({attained})", "dim")
    return cell


def _dof(tensor: TensorRecord, *, wide: bool) -> Text:
    dof = tensor.dof
    if dof is None or dof.value is None:
        return Text("–")
    cell = Text(f"{significant(dof.value)}/{dof.ceiling}")
    if dof.share is not None:
        cell.append(f"{' ' if wide else chr(10)}({100 * dof.share:.0f}%)", "dim")
    return cell


def _rank(jacobian: JacobianRecord | None, *, wide: bool, marked: bool) -> Text:
    if jacobian is None or jacobian.rank is None:
        return Text("–")
    rank = jacobian.rank
    sign = "≥" if rank.at_least else ""
    of = min(jacobian.outputs, jacobian.inputs)
    mark = _method(jacobian)[1] if marked else ""
    cell = Text(f"{sign}{rank.median:g}/{of}{mark}")
    if rank.min != rank.max:
        cell.append(f"{' ' if wide else chr(10)}({rank.min}–{rank.max})", "dim")
    return cell


def _stable_rank(jacobian: JacobianRecord | None) -> str:
    if jacobian is None or jacobian.stable_rank is None:
        return "–"
    text = significant(jacobian.stable_rank.median)
    # Through some directions only, it is no property of the whole Jacobian.
    return text if jacobian.complete else f"({text})"


def _print_coverage(report: Report, console: Console, *, verbose: bool) -> None:
    coverage = report.coverage
    console.print()
    style = "red" if coverage.failed else None
    _say(
        console,
        f"{coverage.analysed} of {coverage.tensors} tensors analysed, {len(coverage.skipped)} "
        f"skipped, {len(coverage.failed)} failed.",
        style,
    )
    for what, omissions in (("skipped", coverage.skipped), ("failed", coverage.failed)):
        for reason, count in Counter(each.reason for each in omissions).most_common():
            _say(console, f"  {count} {what}: {printable(reason)}")
            if verbose:
                for each in omissions:
                    if each.reason == reason:
                        _say(console, f"      {printable(each.name)}", "dim")
    methods = _methods(report)
    if methods:
        taken = (
            f"{count} by {method}{f' ({mark})' if mark and len(methods) > 1 else ''}"
            for (method, mark), count in methods.most_common()
        )
        _say(console, f"Jacobians: {', '.join(taken)}.")
    if report.self_check is not None and report.self_check.failed:
        _say(
            console,
            f"Self-check: {len(report.self_check.failed)} of {report.self_check.checked} ranks "
            "exceed what the chain rule allows.",
            "red",
        )
    missing = [name for name, works in (report.run.isolation or {}).items() if not works]
    if missing:
        _say(
            console,
            f"This system does not confine what runs the model ({', '.join(missing)}); onnxprobe "
            "doctor says what that takes.",
            "yellow",
        )
    if report.run.interrupted:
        _say(console, f"Ended early: {printable(report.run.interrupted)}", "red")


def _methods(report: Report) -> Counter[tuple[str, str]]:
    """Count how Jacobians were taken."""
    jacobians = (each.jacobian for each in report.tensors)
    return Counter(_method(each) for each in jacobians if each and each.method)


def _method(jacobian: JacobianRecord) -> tuple[str, str]:
    """Say how a Jacobian was taken, and how that is marked."""
    if jacobian.numerical_nodes:
        return "forward mode with some nodes differenced", _PARTLY
    exact = jacobian.method == "forward mode"
    return str(jacobian.method), "" if exact else _DIFFERENCED


def _print_assumptions(report: Report, console: Console) -> None:
    prior = report.prior
    if prior is not None:
        article = "a" if prior.kind == "data" else "an"
        share = f", {100 * prior.share:.0f}% of its variance" if prior.share < 0.9995 else ""
        held = prior.held_out_share
        share += (
            f", {100 * held:.0f}% of that of held-out samples" if held and held < 0.9995 else ""
        )
        sentence = (
            "ρ: share of the input's variance that an attacker recovers at the worst sample, "
            f"knowing the model and {article} {prior.kind} prior "
            f"({prior.directions} direction{'' if prior.directions == 1 else 's'}{share})."
        )
        _say(console, sentence)
    if any(each.attained is not None for tensor in report.tensors for each in tensor.release):
        _say(
            console, "In brackets: what ridge regression recovers of samples that it has not seen."
        )
    for sentence in report.assumptions:
        _say(console, f"Assumed: {printable(sentence)}")


def _say(console: Console, text: str, style: str | None = None) -> None:
    # Soft wrapping leaves the line to the terminal; text is never read as markup.
    console.print(Text(text, style or ""), soft_wrap=not console.is_terminal)
