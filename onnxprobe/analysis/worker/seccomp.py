"""A filter of system calls: no sockets, no tracing of others, no changes of files' rights."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

__all__ = ["forbid_network"]

_SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
# Where a filter finds the call's number, the architecture, and its first argument's low half.
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
# Numbers of calls from here on belong to another convention of x86, which nothing here uses.
_OTHER_CONVENTION = 0x40000000
_LOCAL_SOCKETS = 1
# What is refused beside sockets, in this order: ptrace, process_vm_readv, process_vm_writev, bpf;
# io_uring_setup, which does all that by other means; fchmod, fchmodat, fchmodat2, fchown, fchownat,
# utimensat, setxattr, lsetxattr, fsetxattr, removexattr, lremovexattr, fremovexattr; then, where
# they exist, chmod, chown, lchown, utime, utimes and futimesat.
_REFUSED = {
    "x86_64": (
        101, 310, 311, 321, 425, 91, 268, 452, 93, 260, 280, 188, 189, 190, 197, 198, 199,
        90, 92, 94, 132, 235, 261,
    ),
    "aarch64": (117, 270, 271, 280, 425, 52, 53, 452, 55, 54, 88, 5, 6, 7, 14, 15, 16),
}  # fmt: skip
# By machine: what the kernel calls it, and the number of socket.
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}


def forbid_network(*, local: bool) -> bool:
    """Refuse sockets of this thread, and of those that it starts, and changes of files' rights.

    Args:
        local: Whether sockets within the machine are allowed.

    Returns:
        Whether the kernel does so.

    Source:
        https://docs.kernel.org/userspace-api/seccomp_filter.html
    """
    if platform.machine() not in _MACHINES:
        return False
    try:
        control = ctypes.CDLL(None, use_errno=True).prctl
    except (AttributeError, OSError, TypeError):
        return False
    machine = platform.machine()
    program = _filter(*_MACHINES[machine], _REFUSED[machine], local=local)
    code = ctypes.create_string_buffer(program)
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    zero = ctypes.c_ulong(0)
    if control(_SET_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), zero, zero, zero) != 0:
        return False
    return bool(control(_SET_SECCOMP, ctypes.c_ulong(_FILTER_MODE), header, zero, zero) == 0)


def _filter(architecture: int, socket: int, refused: tuple[int, ...], *, local: bool) -> bytes:
    """Write the filter: instructions of code, jumps if true and if false, and a value."""

    def instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("=HBBI", code, yes, no, value)

    refuse = instruction(_RETURN, _REFUSE | errno.EACCES)
    parts = [
        instruction(_LOAD, _ARCHITECTURE),
        instruction(_JUMP_EQUAL, architecture, yes=1),
        refuse,
        instruction(_LOAD, _NUMBER),
        instruction(_JUMP_AT_LEAST, _OTHER_CONVENTION, no=1),
        refuse,
    ]
    for number in refused:
        parts += [instruction(_JUMP_EQUAL, number, no=1), refuse]
    if local:
        parts += [
            instruction(_JUMP_EQUAL, socket, no=3),
            instruction(_LOAD, _FIRST_ARGUMENT),
            instruction(_JUMP_EQUAL, _LOCAL_SOCKETS, yes=1),
        ]
    else:
        parts.append(instruction(_JUMP_EQUAL, socket, no=1))
    return b"".join([*parts, refuse, instruction(_RETURN, _ALLOW)])
