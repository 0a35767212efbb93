"""The half of an analysis that stays in the caller's process: plan, restarts, assembly."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import ValidationError

from onnxprobe.analysis.conductor.assembly import assemble_report
from onnxprobe.analysis.conductor.child import CannotStartError, reused_workers
from onnxprobe.analysis.conductor.cuts import minimal_cuts
from onnxprobe.analysis.conductor.doctor import examine
from onnxprobe.analysis.conductor.journal import JournalError
from onnxprobe.analysis.conductor.link import (
    NONSENSE,
    InternalError,
    OutOfTimeError,
    WorkerLostError,
)
from onnxprobe.analysis.conductor.questions import (
    costs,
    derive,
    expose,
    halves,
    inspect,
    operators,
    structure,
)
from onnxprobe.analysis.conductor.request import Data, Further, ModelSource, Subject
from onnxprobe.analysis.conductor.stage import Progress
from onnxprobe.analysis.conductor.story import Connect, Story
from onnxprobe.analysis.conductor.workplace import Workplace
from onnxprobe.analysis.configuration import Configuration
from onnxprobe.errors import RunError
from onnxprobe.record import Report

__all__ = [
    "Conclusion",
    "Data",
    "Further",
    "InternalError",
    "ModelSource",
    "OutOfTimeError",
    "Progress",
    "WorkerLostError",
    "Workplace",
    "conduct",
    "costs",
    "derive",
    "examine",
    "expose",
    "halves",
    "inspect",
    "minimal_cuts",
    "operators",
    "reused_workers",
    "structure",
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
    further: Further | None = None,
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
        further: Members and non-members, and labels of the data.
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
    subject = Subject.of(model, data, further)
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
