"""The half of an analysis that stays in the caller's process: plan, restarts, assembly."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from onnxprobe.analysis.conductor.assembly import assemble_report
from onnxprobe.analysis.conductor.child import CannotStartError, reused_workers
from onnxprobe.analysis.conductor.doctor import examine
from onnxprobe.analysis.conductor.journal import JournalError
from onnxprobe.analysis.conductor.link import (
    NONSENSE,
    InternalError,
    Link,
    OutOfTimeError,
    WorkerLostError,
)
from onnxprobe.analysis.conductor.request import Data, ModelSource, Subject
from onnxprobe.analysis.conductor.stage import Progress
from onnxprobe.analysis.conductor.story import Connect, Story
from onnxprobe.analysis.conductor.workplace import Workplace
from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.confinement import Confinement
from onnxprobe.errors import RunError
from onnxprobe.record import Report

__all__ = [
    "Conclusion",
    "Data",
    "InternalError",
    "ModelSource",
    "OutOfTimeError",
    "Progress",
    "WorkerLostError",
    "Workplace",
    "conduct",
    "derive",
    "examine",
    "expose",
    "inspect",
    "operators",
    "reused_workers",
]


class Conclusion:
    """How an analysis ended.

    Attributes:
        report: What was found; partial if the analysis was cut short.
        cause: What cut it short: an error, or an interrupt.
        chatter: What native code printed.
    """

    def __init__(
        self, report: Report, cause: BaseException | None, chatter: str, place: Workplace
    ) -> None:
        self.report = report
        self.cause = cause
        self.chatter = chatter
        self._place = place

    def settle(self, *, delivered: bool) -> bool:
        """Leave what was kept of the analysis, and remove it if nobody needs it any more.

        Args:
            delivered: Whether the report is where it was wanted.

        Returns:
            Whether the analysis can be resumed.
        """
        return self._place.finish(complete=delivered and self.cause is None)


# What ends an analysis as a whole, and leaves a report of what was done until then.
_CUT_SHORT = (
    KeyboardInterrupt,
    SystemExit,
    RunError,
    OutOfTimeError,
    JournalError,
    CannotStartError,
)


def _ignore(phase: str, done: float, total: float) -> None:
    """Take no note of progress."""


def conduct(
    model: ModelSource,
    data: Data,
    configuration: Configuration,
    progress: Progress = _ignore,
    *,
    workplace: Callable[[Subject], Workplace] | None = None,
    connect: Connect | None = None,
    on_measured: Callable[[], None] = lambda: None,
) -> Conclusion:
    """Analyse a model.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        data: Samples; ``None`` to draw them.
        configuration: What is asked for.
        progress: Told how far it is.
        workplace: Where to keep what is measured until it is done, if anywhere.
        connect: Makes what does the work, given whom to tell of progress; ``None`` for a worker in
            a process of its own.
        on_measured: Called when nothing is left to measure.

    Returns:
        The report, also of an analysis that was cut short once the model was open.

    Raises:
        OnnxProbeError: If the model cannot be opened.
        RunError: If the worker answers what makes no sense.
    """
    subject = Subject.of(model, data)
    place = workplace(subject) if workplace else Workplace(None, is_kept=False)
    story = Story(subject, configuration, progress, place.journal, connect)
    started, clock = datetime.now(UTC), time.monotonic()
    cause: BaseException | None = None
    try:
        try:
            story.run()
        except ValidationError as error:
            raise RunError(NONSENSE) from error
        on_measured()
    except BaseException as error:
        if story.stage.findings.opening is None or not isinstance(error, _CUT_SHORT):
            place.finish(complete=False)
            raise
        cause = error
        said = "terminated" if isinstance(error, SystemExit) else str(error)
        story.stage.findings.interrupted = said or "interrupted"
    finally:
        story.stage.link.link.close()
    elapsed_s = time.monotonic() - clock
    report = assemble_report(
        story.stage.findings,
        configuration,
        subject.paths,
        started,
        elapsed_s,
        story.stage.link.link.features,
    )
    return Conclusion(report, cause, story.stage.link.link.chatter, place)


def expose(
    model: ModelSource,
    out: Path,
    data_name: str,
    data_out: Path,
    *,
    allow_links: bool = False,
    silence_s: float = 600.0,
) -> dict[str, Any]:
    """Write a model whose every intermediate tensor is an output.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        out: Where to write it.
        data_name: How the model refers to a file of weights, where one file does not hold them.
        data_out: Where to write that file.
        allow_links: Whether external data may be reached through links.
        silence_s: How long the child process may say nothing.

    Returns:
        What was written: counts, and reasons of tensors that were left out.
    """
    params = {
        "out": str(out.absolute()),
        "data_name": data_name,
        "data_out": str(data_out.absolute()),
        "allow_links": allow_links,
    }
    return _ask("expose", model, params, silence_s, (out, data_out))


def derive(
    model: ModelSource,
    out: Path,
    data_name: str,
    data_out: Path,
    *,
    wrt: Sequence[str] = (),
    tensors: Sequence[str] = (),
    sizes: Mapping[str, int] | None = None,
    straight_through: bool = False,
    allow_links: bool = False,
    silence_s: float = 600.0,
) -> dict[str, Any]:
    """Write a model that also computes tangents.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        out: Where to write it.
        data_name: How the model refers to a file of weights, where one file does not hold them.
        data_out: Where to write that file.
        wrt: Sources; every float input if empty.
        tensors: Whose tangents become outputs; the model's float outputs if empty.
        sizes: Sizes of open dimensions, by symbol or ``INPUT[AXIS]``.
        straight_through: Whether derivatives pass straight through rounding.
        allow_links: Whether external data may be reached through links.
        silence_s: How long the child process may say nothing.

    Returns:
        Names of the tangents, and nodes without an exact rule.
    """
    params = {
        "out": str(out.absolute()),
        "data_name": data_name,
        "data_out": str(data_out.absolute()),
        "wrt": list(wrt),
        "tensors": list(tensors),
        "sizes": dict(sizes or {}),
        "straight_through": straight_through,
        "allow_links": allow_links,
    }
    return _ask("derive_model", model, params, silence_s, (out, data_out))


def inspect(
    model: ModelSource, *, allow_links: bool = False, silence_s: float = 600.0
) -> dict[str, Any]:
    """List a model's inputs, outputs and tensors.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        allow_links: Whether external data may be reached through links.
        silence_s: How long the child process may say nothing.

    Returns:
        Plain data.
    """
    return _ask("inspect", model, {"allow_links": allow_links}, silence_s)


def operators(silence_s: float = 60.0) -> list[tuple[str, str, int, str]]:
    """List how every operator is differentiated.

    Args:
        silence_s: How long the child process may say nothing.

    Returns:
        Domain, operator, version and manner, sorted.
    """
    link = Link(Confinement.of, silence_s)
    try:
        rows = link.call("operators", {})
    finally:
        link.close()
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def _ask(
    method: str,
    model: ModelSource,
    params: dict[str, Any],
    silence_s: float,
    writable: Sequence[Path] = (),
) -> dict[str, Any]:
    subject = Subject.of(model)
    confine = subject.confine(allow_links=params["allow_links"], writable=writable)
    link = Link(confine, silence_s)
    try:
        answer: dict[str, Any] = link.call(method, {**subject.header, **params}, subject.blobs)
    finally:
        link.close()
    return answer
