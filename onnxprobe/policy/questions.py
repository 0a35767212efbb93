"""Questions to a report, and what is known of their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from onnxprobe.record import Label, Levels, RankLevels, Report, TensorRecord

__all__ = ["UNKNOWN", "Measure", "Question", "Reader", "Reading", "exactly", "same_noise"]

UNKNOWN = "the report has no figure for it"


@dataclass(frozen=True)
class Question:
    """Which figure of a report is asked for.

    Attributes:
        report: The report.
        tensor: One of its tensors.
        noise: Level of release noise, where it matters.
        tolerance: Of a rank; empty for the report's own.
        target: Share of the input, where enough noise for one is asked for; empty for 5 %.
        side: Which side a limit is on: the worst sample is the highest for one from above, and the
            lowest for one from below.
        is_judged: Whether the answer decides something: then what rests on too little is withheld.
    """

    report: Report
    tensor: TensorRecord
    noise: str = ""
    tolerance: str = ""
    target: str = ""
    side: Literal["max", "min"] = "max"
    is_judged: bool = True

    def worst(self, levels: Levels | RankLevels) -> float:
        """Choose the worst sample of some.

        Args:
            levels: A measure over samples.

        Returns:
            Its value there.
        """
        return levels.max if self.side == "max" else levels.min


@dataclass(frozen=True)
class Reading:
    """What a report says of a measure, at the worst sample.

    Attributes:
        low: The measure is no smaller; ``None`` if nobody knows.
        high: It is no larger; ``None`` if nobody knows.
        reason: What would have to be done to know more.
        label: What the end is that is nearest to failing a limit from above; ``None`` for what the
            measure is.
    """

    low: float | None
    high: float | None
    reason: str = ""
    label: Label | None = None


Reader: TypeAlias = Callable[[Question], Reading]


@dataclass(frozen=True)
class Measure:
    """A measure that a policy can bound.

    Attributes:
        read: Reads it from a report.
        description: What it is.
        needs_noise: Whether it depends on release noise.
        takes_tolerance: Whether it depends on a tolerance.
        takes_target: Whether it depends on a share of the input.
        label: What kind of figure it is.
    """

    read: Reader
    description: str
    needs_noise: bool = False
    takes_tolerance: bool = False
    takes_target: bool = False
    label: Label = "measured"


def same_noise(one: str, other: str) -> bool:
    """Tell whether two spellings mean one level of release noise.

    Args:
        one: A number or a format.
        other: The other.

    Returns:
        Whether they are equal as text or as numbers.

    Example:
        >>> same_noise("0.1", "1e-1"), same_noise("int8", "float16")
        (True, False)
    """
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def exactly(value: float | None, reason: str = UNKNOWN) -> Reading:
    """Make a reading of a single value.

    Args:
        value: The measure; ``None`` if nobody knows.
        reason: Why not.

    Returns:
        The reading.
    """
    return Reading(value, value, "" if value is not None else reason)
