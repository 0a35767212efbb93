"""``onnxprobe`` as a program: ready for interrupts before anything takes its time."""

from __future__ import annotations

import sys

from onnxprobe.cli import signals

__all__ = ["main"]


def main() -> None:
    """Run the command line and end the process with its exit code."""
    signals.arm()
    try:
        from onnxprobe.cli.main import main as start
    except KeyboardInterrupt:
        sys.exit(signals.INTERRUPTED)
    start()


if __name__ == "__main__":
    main()
