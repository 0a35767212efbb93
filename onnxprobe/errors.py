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
]


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
