"""Writing a file whole or not at all, and finding out early that it cannot be written."""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from onnxprobe.errors import DataError

__all__ = ["AtomicFile"]

# A temporary file of this age has been locked by whoever made it, if he is alive.
_SETTLED_S = 60.0


class AtomicFile:
    """A file that replaces another one only when it is complete.

    A temporary file is made beside the target at once, so that a missing folder or permission is
    found before any work; it vanishes if nothing is committed.

    Args:
        path: What to write.

    Raises:
        DataError: If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        try:
            if path.is_dir():
                raise DataError(f"{path} is a folder; give the path of a file to write")
            # Through a link, the file it points to is replaced, not the link.
            target = Path(os.path.realpath(path))
            if target.exists() and not target.is_file():
                raise DataError(f"{path} is no regular file; give another path to write")
            _sweep(target)
            self._target = target
            self._temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
            if target.exists() and not os.access(target, os.W_OK):
                raise PermissionError(13, os.strerror(13))
            self._descriptor = os.open(self._temporary, flags | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise DataError(
                f"{path} cannot be written: {error.strerror}; choose another place"
            ) from error
        self._open = True
        _lock(self._descriptor)

    @property
    def temporary(self) -> Path:
        """The file beside the target; whoever fills it by its path commits nothing else."""
        return self._temporary

    def commit(self, content: bytes | None = None) -> None:
        """Put the file in place.

        Args:
            content: All of it; ``None`` if the temporary file has been filled by its path.

        Raises:
            DataError: If it cannot be written; what stood there before still does.
        """
        try:
            if content is not None:
                view = memoryview(content)
                while view:
                    view = view[os.write(self._descriptor, view) :]
            os.fsync(self._descriptor)
            self._close()
            Path(self._temporary).replace(self._target)
            _sync_folder(self._target.parent)
        except OSError as error:
            self.discard()
            raise DataError(
                f"{self.path} cannot be written: {error.strerror}; what stood there is unchanged"
            ) from error

    def discard(self) -> None:
        """Leave the target as it is."""
        self._close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> AtomicFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def _close(self) -> None:
        if self._open:
            self._open = False
            os.close(self._descriptor)


def _sweep(target: Path) -> None:
    """Remove what commands that were killed have left beside a file: locked by nobody any more."""
    if sys.platform == "win32":
        return
    leftover = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.tmp")
    with suppress(OSError):
        for path in target.parent.iterdir():
            if leftover.fullmatch(path.name) is None:
                continue
            status = path.lstat()
            is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
            if is_ours and time.time() - status.st_mtime > _SETTLED_S:
                descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if _lock(descriptor):
                        path.unlink()
                finally:
                    os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a file for as long as it is open; ``False`` if somebody else has."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    # Makes the new name survive a power cut; Windows has no such call.
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
