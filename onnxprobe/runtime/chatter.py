"""What native libraries print to the process's own stdout and stderr, caught."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["Chatter", "capture_chatter"]

MAX_CHARACTERS = 16_000


@dataclass
class Chatter:
    """Lines caught so far.

    Attributes:
        text: Everything printed, once the block is left, cut at 16,000 characters.
    """

    text: str = field(default="")


@contextmanager
def capture_chatter() -> Iterator[Chatter]:
    """Send file descriptors 1 and 2 to a temporary file while a block runs.

    The block must not be entered by two threads at once: descriptors belong to the whole process.

    Yields:
        The chatter; its text is complete when the block ends.
    """
    caught = Chatter()
    with tempfile.TemporaryFile() as file:
        _flush()
        saved = [os.dup(descriptor) for descriptor in (1, 2)]
        try:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
            yield caught
        finally:
            # The runtime's Python half prints as well.
            _flush()
            for descriptor, copy in zip((1, 2), saved, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)
            file.seek(0)
            caught.text = file.read(4 * MAX_CHARACTERS).decode("utf-8", "replace")[:MAX_CHARACTERS]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
