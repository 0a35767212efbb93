"""Limits that the worker puts on itself before it reads a byte of anybody's model."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

from onnxprobe.analysis.confinement import Confinement, has_cuda_device
from onnxprobe.analysis.worker.landlock import restrict_files
from onnxprobe.analysis.worker.seccomp import restrict_calls

__all__ = ["confine", "leave_no_trace", "limit_memory"]

_PR_SET_PDEATHSIG = 1
# Stacks of threads, and what else is reserved and hardly ever touched.
_SLACK_BYTES = 112 * 2**20
# Below this, sessions themselves do not fit.
_LEAST_BYTES = 2**26


def leave_no_trace() -> None:
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


def confine(confinement: Confinement) -> dict[str, bool]:
    """Give up what the work does not need; nothing brings it back.

    Args:
        confinement: What it needs.

    Returns:
        By feature, whether the system does so.
    """
    os.chdir(confinement.scratch)
    if sys.platform != "linux":
        return dict.fromkeys(("files", "network", "memory"), False)
    readable = ["/"] if confinement.readable is None else confinement.readable
    return {
        "files": restrict_files(readable, [*confinement.writable, confinement.scratch]),
        # CUDA's driver speaks to a service of its own.
        "network": restrict_calls(alone=not has_cuda_device()),
        "memory": _can_limit_memory(),
    }


def _can_limit_memory() -> bool:
    """Whether the kernel counts what is allocated: not before Linux 4.7, nor in some sandboxes."""
    import mmap
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    held = _held_bytes()
    if not held:
        return False
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (held + 2**20, hard))
        try:
            mmap.mmap(-1, 2**26, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
        except OSError:
            return True
        return False
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def limit_memory(memory_bytes: int) -> None:
    """Turn a memory bomb into an allocation error.

    What the interpreter and its libraries hold already comes on top. Not for CUDA, whose driver
    reserves memory by the hundred gigabytes.

    Args:
        memory_bytes: The budget of the analysis.
    """
    if sys.platform != "linux":
        return
    import resource

    limit = max(memory_bytes, _LEAST_BYTES) + _held_bytes() + _SLACK_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or hard > limit:
        # The hard limit stays, so that more can be allowed once weights are known.
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _held_bytes() -> int:
    """Return the bytes of this process that count as data: private, and not of a file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return 1024 * int(line.split()[1])
    return 0
