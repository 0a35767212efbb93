"""A verdict as bytes of a file, in every format that machines ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

from onnxprobe.errors import DataError
from onnxprobe.policy import Judgement
from onnxprobe.record import Report
from onnxprobe.report.formats import FORMATS, plain_json, render_csv, render_json

__all__ = ["VERDICT_FORMATS", "verdict_formats"]

Renderer: TypeAlias = Callable[[tuple[Judgement, Report]], bytes]


def _render_verdict(content: tuple[Judgement, Report]) -> bytes:
    return plain_json(content[0])


def _of_report(render: Callable[[Report], bytes]) -> Renderer:
    return lambda content: render(content[1])


def _later(module: str, function: str) -> Renderer:
    """Import a renderer, and the library behind it, when it is needed."""

    def render(content: tuple[Judgement, Report]) -> bytes:
        found: bytes = getattr(import_module(f"onnxprobe.report.{module}"), function)(*content)
        return found

    return render


# By format: the ending that stands for it, and how it is written. Longer endings come first.
VERDICT_FORMATS: dict[str, tuple[str, Renderer]] = {
    "heatmap": (".heatmap.json", _of_report(FORMATS[".heatmap.json"])),
    "report": (".report.json", _of_report(render_json)),
    "in-toto": (".intoto.json", _later("statement", "render_statement")),
    "cyclonedx": (".cdx.json", _later("bill", "render_bill")),
    "json": (".json", _render_verdict),
    "sarif": (".sarif", _later("sarif", "render_sarif")),
    "junit": (".xml", _later("junit", "render_junit")),
    "csv": (".csv", _of_report(render_csv)),
}


def verdict_formats(paths: Sequence[Path], formats: Sequence[str]) -> list[Renderer]:
    """Choose how to render a verdict for each file.

    Args:
        paths: The files to write.
        formats: Names of formats: none, to go by the endings; one, for files whose endings do not
            tell; or one for each file.

    Returns:
        A renderer for each.

    Raises:
        DataError: If a format is unknown, or an ending does not tell.
    """
    for name in formats:
        if name not in VERDICT_FORMATS:
            raise DataError(f"there is no format {name!r}; there are {', '.join(VERDICT_FORMATS)}")
    if len(formats) not in {0, 1, len(paths)}:
        raise DataError(
            f"{len(formats)} --format were given for {len(paths)} -o; give one, or one for each"
        )
    if len(formats) == len(paths):
        return [VERDICT_FORMATS[name][1] for name in formats]
    return [_by_ending(path, formats[0] if formats else None) for path in paths]


def _by_ending(path: Path, otherwise: str | None) -> Renderer:
    if path.name.lower().endswith(".cdx.xml"):
        raise DataError(f"{path}: CycloneDX is written as JSON; use .cdx.json")
    if path.name.lower().endswith(".sarif.json"):
        return VERDICT_FORMATS["sarif"][1]
    for ending, renderer in VERDICT_FORMATS.values():
        if path.name.lower().endswith(ending):
            return renderer
    if otherwise is not None:
        return VERDICT_FORMATS[otherwise][1]
    known = ", ".join(ending for ending, _ in VERDICT_FORMATS.values())
    raise DataError(f"the ending of {path} tells no format: use {known}, or give --format")
