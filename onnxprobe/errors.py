"""Everything that can go wrong for a user, grouped by who can act on it.

::

    OnnxProbeError            what was given, what was expected, what to do next
    ├── ModelError      3     unreadable, invalid, unsafe, unsupported
    ├── RunError        4     provider missing, session failed, child crashed, limit reached
    │   ├── ExposureError     the rewritten model is not the one that was given
    │   ├── TooLargeError     it does not fit the memory
    │   └── UnrunnableError   the model runs on none of the inputs tried
    ├── DataError       2     wrong shape, dtype, count; unreadable or unwritable file
    └── PolicyError     2     a policy file that cannot mean anything

Foreign exceptions become one of these at one place per room, with ``from`` kept. Numerical outcomes
are statuses in the report, not errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import ClassVar

__all__ = [
    "DataError",
    "ExposureError",
    "ModelError",
    "OnnxProbeError",
    "PolicyError",
    "RunError",
    "TooLargeError",
    "UnrunnableError",
    "did_you_mean",
]

# Names beyond these are not compared letter by letter: that takes the product of their lengths.
_COMPARED, _SEARCHED = 200, 10_000


class OnnxProbeError(Exception):
    """A failure that the user can act on; its message is one clear sentence.

    Attributes:
        exit_code: What the command line returns when this error ends it.
    """

    exit_code: ClassVar[int] = 5


class ModelError(OnnxProbeError):
    """The model file is unreadable, invalid, unsafe or unsupported."""

    exit_code = 3


class RunError(OnnxProbeError):
    """The analysis could not be completed: provider, session, child process, time or memory."""

    exit_code = 4


class ExposureError(RunError):
    """The rewritten model is not the model that was given: nothing measured on it counts."""


class TooLargeError(RunError):
    """What was tried does not fit the memory; less of it may."""


class UnrunnableError(RunError):
    """The model runs on none of the inputs that were tried; parts of it may."""


class DataError(OnnxProbeError):
    """The data, an option or an output path does not fit the model or cannot be used."""

    exit_code = 2


class PolicyError(OnnxProbeError):
    """A policy cannot mean anything."""

    exit_code = 2


def did_you_mean(name: str, names: Iterable[str], likeness: float = 0.3) -> str:
    """Say which names are near one that there is not.

    Args:
        name: What was given.
        names: What there is.
        likeness: How near they have to be: 0 for anything, 1 for the same.

    Returns:
        Words to put behind it; empty if none is near.

    Example:
        >>> did_you_mean("rleu", ["relu", "logits"])
        " (did you mean 'relu'?)"
    """
    from difflib import get_close_matches

    if len(name) > _COMPARED:
        return ""
    short = dict.fromkeys(each for each in islice(names, _SEARCHED) if len(each) <= _COMPARED)
    near = get_close_matches(name, short, n=3, cutoff=likeness)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
