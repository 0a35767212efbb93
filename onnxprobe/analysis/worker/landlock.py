"""Landlock: what a Linux process may touch of the file system, which it can never widen again."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress

__all__ = ["landlock_version", "restrict_files"]

# The same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
# Removing and making files of every kind.
_CHANGE = sum(1 << bit for bit in range(4, 13))
_TCP = 3
_SCOPES = 3
# From which version on which of these exist.
_REFER_SINCE, _TRUNCATE_SINCE, _TCP_SINCE, _SCOPES_SINCE = 2, 3, 4, 6


def landlock_version() -> int:
    """Tell which version of Landlock the kernel has.

    Returns:
        The version; 0 if there is none, or it is switched off.
    """
    return max(0, _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG)))


def restrict_files(readable: Iterable[str], writable: Iterable[str]) -> bool:
    """Let this thread, and those that it starts, reach no files but some; and start no programs.

    Where the kernel allows it, also make no TCP connections, and signal no process outside.

    Args:
        readable: Files and folders that may be read, with everything inside.
        writable: Files that may be written, and folders in which files may be made.

    Returns:
        Whether the kernel does so.

    Source:
        https://docs.kernel.org/userspace-api/landlock.html
    """
    version = landlock_version()
    if not version:
        return False
    handled = _EXECUTE | _WRITE_FILE | _READ | _CHANGE
    handled |= _REFER if version >= _REFER_SINCE else 0
    handled |= _TRUNCATE if version >= _TRUNCATE_SINCE else 0
    fields = [handled]
    if version >= _TCP_SINCE:
        fields.append(_TCP)
    if version >= _SCOPES_SINCE:
        fields.append(_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if rules < 0:
        return False
    try:
        for path in readable:
            _allow(rules, path, _READ & handled)
        for path in writable:
            _allow(rules, path, handled & ~_EXECUTE)
        return _call(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0)) == 0
    finally:
        os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    # What does not exist, or may not be opened, needs no right.
    with suppress(OSError):
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= _WRITE_FILE | _READ_FILE | _TRUNCATE
            beneath = struct.pack("=Qi", rights, descriptor)
            _call(_ADD_RULE, ctypes.c_int(rules), ctypes.c_int(_PATH_BENEATH), beneath, 0)
        finally:
            os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    try:
        system = ctypes.CDLL(None, use_errno=True).syscall
    except (AttributeError, OSError, TypeError):
        return -1
    system.restype = ctypes.c_long
    return int(system(ctypes.c_long(number), *arguments))
