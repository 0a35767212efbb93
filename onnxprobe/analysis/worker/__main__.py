"""The worker process: ``python -m onnxprobe.analysis.worker``, started by the conductor alone."""

from __future__ import annotations

import os
import sys

from onnxprobe.analysis.confinement import Confinement
from onnxprobe.analysis.frames import read_frame, write_frame
from onnxprobe.analysis.worker.confine import confine, leave_no_trace


def main() -> None:
    """Keep the pipe for messages, send everything that is printed to stderr, and serve."""
    leave_no_trace()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "rb")
    first = read_frame(requests)
    if first is None:
        return
    # Before anything starts a thread, which would not be confined.
    features = confine(Confinement.read(first.header["params"]))
    write_frame(answers, {"result": features})
    # Imported late: whatever these print while loading no longer reaches the pipe.
    from onnxprobe.analysis.worker.handlers import handlers
    from onnxprobe.analysis.worker.serve import serve

    serve(requests, answers, handlers())
    sys.exit(0)


if __name__ == "__main__":
    main()
