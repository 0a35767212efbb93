"""A worker's own folder, and what killed runs have left of theirs."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

__all__ = ["Scratch"]

_PREFIX = "onnxprobe-worker-"
_NAME = re.compile(re.escape(_PREFIX) + r"\w{8}")
# A folder of this age has been locked by whoever made it, if he is alive.
_SETTLED_S = 60.0


class Scratch:
    """A folder for temporary files, which whoever comes later removes if its owner was killed.

    Attributes:
        path: The folder.

    Raises:
        OSError: If there is no place for it.
    """

    def __init__(self) -> None:
        _sweep()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = _lock(self.path)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _sweep() -> None:
    """Remove folders of killed runs: of this user, of such a name, and locked by nobody."""
    if sys.platform == "win32":
        return
    with suppress(OSError):
        for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            status = folder.lstat()
            # A link is owned by nobody here, and never followed.
            is_ours = status.st_uid == os.getuid() and _NAME.fullmatch(folder.name) is not None
            if is_ours and time.time() - status.st_mtime > _SETTLED_S:
                descriptor = _lock(folder)
                if descriptor is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(descriptor)


def _lock(folder: Path) -> int | None:
    """Lock a folder for as long as this process lives; ``None`` if it is locked, or no folder."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
