"""Opening a user's file: regular files only, and never a wait for what is none."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

from onnxprobe.errors import DataError

__all__ = ["open_file", "title_of"]


def open_file(path: Path, expected: str) -> io.FileIO:
    """Open a file for reading.

    Args:
        path: Where it is.
        expected: What it should be, for the message.

    Returns:
        The file, unbuffered.

    Raises:
        DataError: If it does not exist, cannot be read, or is a folder, pipe or device.
    """
    # Without this flag, opening a named pipe waits for somebody to write to it.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; give the path of {expected}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({reason}); expected {expected}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"{path} is no regular file; give the path of {expected}")
    return io.FileIO(descriptor, "rb")


def title_of(path: Path) -> str:
    """Return what a report calls a file.

    Args:
        path: As the user gave it.

    Returns:
        Its last part: reports do not depend on the folder that data lies in.
    """
    return path.name or path.absolute().name
