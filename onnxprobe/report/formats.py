"""The report as bytes of a file: JSON with everything, CSV with a row per tensor."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

from onnxprobe.errors import DataError
from onnxprobe.record import Report
from onnxprobe.record.base import Record
from onnxprobe.report.text import printable

__all__ = ["FORMATS", "file_format", "plain_json", "render_csv", "render_json"]

# A spreadsheet computes what starts like this.
_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def render_json(report: Report) -> bytes:
    """Render a report as strict JSON.

    Args:
        report: Any report.

    Returns:
        UTF-8, keys in the order of the schema.
    """
    return plain_json(report)


def plain_json(record: Record) -> bytes:
    """Render a record as strict JSON.

    Args:
        record: Any record.

    Returns:
        UTF-8, keys in the order of the schema.
    """
    plain = record.model_dump(mode="json")
    # Names may hold lone surrogates; escaped, they survive.
    return json.dumps(plain, indent=1, allow_nan=False).encode() + b"\n"


def render_csv(report: Report) -> bytes:
    """Render the tensors of a report as a table.

    Args:
        report: Any report.

    Returns:
        UTF-8, a header and a row per analysed tensor. Control characters in names are written as
        their codes, and what a spreadsheet would take for a formula is quoted.
    """
    rows = report.to_rows()
    buffer = io.StringIO(newline="")
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["name"]
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _quoted(value) for key, value in row.items()})
    return buffer.getvalue().encode("utf-8", "backslashreplace")


def _quoted(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = printable(value)
    # A spreadsheet also computes behind blanks, and full-width signs.
    return f"'{text}" if text.strip().startswith(_FORMULA_STARTS) else text


def _render_heatmap(report: Report) -> bytes:
    from onnxprobe.report.heatmap import render_heatmap

    return render_heatmap(report)


# By ending, the longest of those that fit counts.
FORMATS: dict[str, Callable[[Report], bytes]] = {
    ".heatmap.json": _render_heatmap,
    ".json": render_json,
    ".csv": render_csv,
}


def file_format(path: Path) -> Callable[[Report], bytes]:
    """Choose how to render a report by a file's ending.

    Args:
        path: The file to write.

    Returns:
        The renderer.

    Raises:
        DataError: If the ending is unknown.
    """
    ending = _ending(path, FORMATS)
    if ending is None:
        known = " or ".join(FORMATS)
        raise DataError(f"the report file {path} ends in {path.suffix or 'nothing'!r}; use {known}")
    return FORMATS[ending]


def _ending(path: Path, known: Iterable[str]) -> str | None:
    return next((each for each in known if path.name.lower().endswith(each)), None)
