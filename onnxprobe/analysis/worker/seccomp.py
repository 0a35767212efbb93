"""A filter of system calls: no sockets, no other processes, no changes of files' rights."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Mapping

__all__ = ["restrict_calls"]

_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Where a filter finds the call's number, the architecture, and its first argument's low half.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
# Numbers of calls from here on belong to another convention of x86, which nothing here uses.
_OTHER_CONVENTION = 0x40000000
_LOCAL_SOCKETS = 1
_CLONE_THREAD = 0x00010000
# What the kernel calls a machine.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Numbers of calls by machine; what one lacks is left out. First, what nothing here needs.
_REFUSED: Mapping[str, tuple[int, int | None]] = {
    # Looks into other processes, and ways around this filter.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "kcmp": (312, 272), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "unshare": (272, 97),
    "setns": (308, 268), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    # Rights, owners, times and attributes of files.
    "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "fchown": (93, 55),
    "fchownat": (260, 54), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fremovexattr": (199, 16), "chmod": (90, None), "chown": (92, None), "lchown": (94, None),
    "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
}  # fmt: skip
# What CUDA's driver may need: processes, priorities, and memory that outlives a process.
_REFUSED_ALONE: Mapping[str, tuple[int, int | None]] = {
    "fork": (57, None), "vfork": (58, None), "setpriority": (141, 140),
    "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274), "ioprio_set": (251, 30), "shmget": (29, 194),
    "msgget": (68, 186), "semget": (64, 190),
}  # fmt: skip
# Calls that are about a process: allowed for this one.
_OWN: Mapping[str, tuple[int, int]] = {"kill": (62, 129), "tgkill": (234, 131)}
# The same, where 0 stands for this one.
_LIMITS = (302, 261)
_TKILL, _SOCKET, _CLONE, _CLONE3 = (200, 130), (41, 198), (56, 220), (435, 435)


def restrict_calls(*, alone: bool) -> bool:
    """Refuse sockets, other processes and changes of files' rights, to all threads from here on.

    Threads can still be started, and this process limited and ended.

    Args:
        alone: Whether there is no driver beside it that needs local sockets and processes.

    Returns:
        Whether the kernel does so.

    Source:
        https://docs.kernel.org/userspace-api/seccomp_filter.html
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    try:
        control = ctypes.CDLL(None, use_errno=True).prctl
    except (AttributeError, OSError, TypeError):
        return False
    program = _filter(machine, alone=alone)
    code = ctypes.create_string_buffer(program)
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    zero = ctypes.c_ulong(0)
    if control(_SET_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), zero, zero, zero) != 0:
        return False
    return bool(control(_SET_SECCOMP, ctypes.c_ulong(_FILTER_MODE), header, zero, zero) == 0)


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _filter(machine: str, *, alone: bool) -> bytes:
    """Write the filter: instructions of code, jumps if true and if false, and a value."""
    place = list(_ARCHITECTURES).index(machine)
    refuse = _instruction(_RETURN, _REFUSE | errno.EACCES)
    # glibc takes the older call, whose flags can be seen, where this one does not exist.
    missing = _instruction(_RETURN, _REFUSE | errno.ENOSYS)
    allow = _instruction(_RETURN, _ALLOW)
    first = _instruction(_LOAD, _FIRST_ARGUMENT)

    def only(number: int, test: int, value: int) -> list[bytes]:
        """Allow a call where its first argument passes a test, and refuse it else."""
        return [
            _instruction(_JUMP_EQUAL, number, no=4),
            first,
            _instruction(test, value, no=1),
            allow,
            refuse,
        ]

    parts = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_JUMP_EQUAL, _ARCHITECTURES[machine], yes=1),
        refuse,
        _instruction(_LOAD, _NUMBER),
        _instruction(_JUMP_AT_LEAST, _OTHER_CONVENTION, no=1),
        refuse,
    ]
    calls = {**_REFUSED, **(_REFUSED_ALONE if alone else {})}
    for numbers in calls.values():
        if (number := numbers[place]) is not None:
            parts += [_instruction(_JUMP_EQUAL, number, no=1), refuse]
    for pair in (*_OWN.values(), _LIMITS):
        own = 0 if pair is _LIMITS else os.getpid()
        parts += only(pair[place], _JUMP_EQUAL, own)
    parts += [_instruction(_JUMP_EQUAL, _TKILL[place], no=1), refuse]
    if alone:
        parts += only(_CLONE[place], _JUMP_ANY_BIT, _CLONE_THREAD)
        parts += [_instruction(_JUMP_EQUAL, _CLONE3[place], no=1), missing]
        parts += [_instruction(_JUMP_EQUAL, _SOCKET[place], no=1), refuse]
    else:
        parts += only(_SOCKET[place], _JUMP_EQUAL, _LOCAL_SOCKETS)
    return b"".join([*parts, allow])
