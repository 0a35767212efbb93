"""What the parts of an analysis share: the worker, what was found, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from onnxprobe.analysis.conductor.findings import Findings
from onnxprobe.analysis.conductor.journal import Recorder
from onnxprobe.analysis.conductor.plan import FLOAT_BYTES, Chunk, plan_chunks
from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.messages import Opening

__all__ = ["EXTRA_DIRECTIONS", "Progress", "Stage", "stored_directions"]

# Random directions beside main ones that do not span the source, and directions that are also taken
# at a double step: at most so many of each are kept beside the main ones. See the jacobian room.
EXTRA_DIRECTIONS = 32


def stored_directions(main: int) -> int:
    """Count the directions of which tangents are kept: main ones, probes, and those taken twice.

    Args:
        main: Main directions.

    Returns:
        All of them.
    """
    return main + 2 * min(main, EXTRA_DIRECTIONS)


class Progress(Protocol):
    """Told how far an analysis is."""

    def __call__(self, phase: str, done: float, total: float) -> None:
        """Take note.

        Args:
            phase: What is being done.
            done: Rows run so far, times tensors computed in them.
            total: All of them; 0 while unknown.
        """
        ...


class Stage:
    """One analysis, as each of its parts sees it.

    Args:
        configuration: What the user asked for.
        progress: Told how far it is.

    Attributes:
        findings: What has been found so far.
        link: To the worker, and to what it answered before.
        weight: What one unit of the worker's progress counts.
        total: All work, in the same units; 0 while unknown.
    """

    link: Recorder

    def __init__(self, configuration: Configuration, progress: Progress) -> None:
        self.configuration = configuration
        self.findings = Findings()
        self.weight = self.total = 0.0
        self._progress = progress
        self._phase = ""
        self._done = 0.0

    @property
    def opening(self) -> Opening:
        """The opened model."""
        assert self.findings.opening is not None
        return self.findings.opening

    def enter(self, phase: str) -> None:
        """Begin a phase.

        Args:
            phase: What is being done.
        """
        self._phase = phase
        self._progress(phase, self._done, self.total)

    def advance(self, amount: float) -> None:
        """Take note of work done.

        Args:
            amount: As the worker counts it.
        """
        self._done += amount * self.weight
        self._progress(self._phase, self._done, self.total)

    @property
    def stored_directions(self) -> int:
        """Directions of which tangents are kept: main ones, probes, and those taken twice."""
        return stored_directions(self.findings.directions)

    def chunks(self, names: Sequence[str], stored_rows: int) -> list[Chunk]:
        """Divide tensors into what is measured together; see `plan_chunks`.

        Args:
            names: The tensors, in the order of the graph.
            stored_rows: Rows kept of each.

        Returns:
            Chunks that fit the memory.
        """
        layouts = self.findings.layouts
        return plan_chunks(
            [layouts[name] for name in names],
            stored_rows=stored_rows,
            row_bytes=sum(layout.size for layout in layouts.values()) * FLOAT_BYTES,
            memory_bytes=self.configuration.memory_bytes,
            source_bytes=self.findings.source_size * 12 * FLOAT_BYTES,
        )

    def chunk_params(self, chunk: Chunk) -> dict[str, Any]:
        """Return what a request says of a chunk.

        Args:
            chunk: The tensors.

        Returns:
            Layouts, parts and rows, as JSON.
        """
        return {
            "layouts": [self.findings.layouts[name].model_dump() for name in chunk.names],
            "passes": [[part.model_dump() for part in each] for each in chunk.passes],
            "rows": chunk.rows,
        }
