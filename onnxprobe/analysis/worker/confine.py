"""Limits that the worker puts on itself before it reads a byte of anybody's model."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["confine", "limit_memory"]

# What the interpreter and the runtime's libraries take of the address space by themselves.
_LIBRARIES_BYTES = 6 * 2**30
_PR_SET_PDEATHSIG = 1


def confine() -> None:
    """Leave no core dump, and die with the parent."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The parent decides what an interrupt means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == 1:
            sys.exit(1)


def limit_memory(memory_bytes: int) -> None:
    """Turn a memory bomb into an allocation error.

    Not for CUDA, whose driver reserves address space by the hundred gigabytes.

    Args:
        memory_bytes: The budget of the analysis.
    """
    if sys.platform == "win32":
        return
    import resource

    limit = memory_bytes + _LIBRARIES_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
