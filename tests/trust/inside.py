"""The command in this process, as one persistent parent of many workers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

from onnxprobe.cli.main import run

__all__ = ["run_inside"]


def run_inside(arguments: Sequence[str]) -> tuple[int, str]:
    """Run a command; return its exit code and all that it printed."""
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        code = run([*arguments])
    return code, said.getvalue()
