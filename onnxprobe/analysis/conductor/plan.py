"""What is measured together: chunks of tensors that fit the memory, and rows that share a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnxprobe.analysis.messages import Layout, Part

__all__ = ["SOME_DIRECTIONS", "Chunk", "fit_directions", "plan_chunks"]

FLOAT_BYTES = 4
# Rows that share a run. More were measured to gain nothing.
MAX_ROWS = 128
# Shares of the budget: matrices that are kept for all rows, and buffers of one run. The rest is for
# the runtime's own intermediates and for the reduction in float64.
_STORE_SHARE = 0.5
_RUN_SHARE = 0.25


# How many directions stand for all where all are too many.
SOME_DIRECTIONS = 256
# Of the budget, what matrices of directions may take.
_DIRECTION_SHARE = 0.25
# Matrices of directions × directions that are held at a time, in float64.
_GRAM_BYTES = 6 * 8
# A direction as such, and as it was really taken, at both steps.
_DIRECTION_BYTES = 24


@dataclass(frozen=True)
class Chunk:
    """Tensors that are computed together.

    Attributes:
        names: The tensors.
        passes: For each run over all rows, the parts of the tensors that it collects.
        rows: Rows that share a run.
        batched: Whether several rows may share a run at all.
    """

    names: tuple[str, ...]
    passes: tuple[tuple[Part, ...], ...]
    rows: int
    batched: bool

    @property
    def work(self) -> int:
        """Tensor passes: what progress is counted in."""
        return sum(len(each) for each in self.passes)


def plan_chunks(
    layouts: Sequence[Layout],
    *,
    stored_rows: int,
    row_bytes: int,
    memory_bytes: int,
    source_bytes: int = 0,
) -> list[Chunk]:
    """Divide tensors into chunks.

    Tensors stay in the order of the graph, so that an early chunk needs only the beginning of it. A
    tensor too large to be kept for all rows is collected part by part, in several passes.

    Args:
        layouts: The tensors to measure, in the order of the graph.
        stored_rows: Rows kept of each tensor: samples, or directions.
        row_bytes: Bytes of all of the model's tensors for one row: what a run may hold at its peak.
        memory_bytes: The budget.
        source_bytes: Bytes of the model's input for one row, as perturbed.

    Returns:
        Chunks that together hold every tensor once.
    """
    store = int(memory_bytes * _STORE_SHARE)
    run = int(memory_bytes * _RUN_SHARE)
    fitting = max(1, run // max(1, 2 * row_bytes + source_bytes))
    rows = max(1, min(MAX_ROWS, stored_rows, fitting))
    chunks: list[Chunk] = []
    for batched in (True, False):
        group: list[Layout] = []
        group_bytes = 0
        for layout in layouts:
            if layout.batched is not batched:
                continue
            # What is kept of a tensor, and its Gram matrix in float64.
            smaller = min(layout.size, stored_rows)
            size_bytes = layout.size * stored_rows * FLOAT_BYTES + 8 * smaller**2
            if group and group_bytes + size_bytes > store:
                chunks.append(_chunk(group, store, stored_rows, rows, batched=batched))
                group, group_bytes = [], 0
            group.append(layout)
            group_bytes += size_bytes
        if group:
            chunks.append(_chunk(group, store, stored_rows, rows, batched=batched))
    return chunks


def _chunk(
    group: Sequence[Layout], store: int, stored_rows: int, rows: int, *, batched: bool
) -> Chunk:
    names = tuple(layout.name for layout in group)
    width = max(1, store // (stored_rows * FLOAT_BYTES))
    if sum(layout.size for layout in group) <= width:
        whole = tuple(Part(name=layout.name, start=0, stop=layout.size) for layout in group)
        return Chunk(names, (whole,), rows, batched)
    # Only a tensor alone can be too large for the store.
    (layout,) = group
    edges = range(0, layout.size, width)
    parts = tuple(
        (Part(name=layout.name, start=at, stop=min(at + width, layout.size)),) for at in edges
    )
    return Chunk(names, parts, rows, batched)


def fit_directions(wanted: int, size: int, memory_bytes: int) -> int:
    """Limit directions to what fits the memory.

    Args:
        wanted: Directions asked for; all coordinates if as many as the source has.
        size: Elements of the source.
        memory_bytes: The budget.

    Returns:
        The directions to take: those wanted, or as many as fit.

    Example:
        >>> fit_directions(4096, 4096, 2**33), fit_directions(4096, 4096, 2**30)
        (4096, 256)
    """
    budget = int(memory_bytes * _DIRECTION_SHARE)
    if wanted == size:
        # Coordinates are never stored, but their Gram matrices are.
        if size**2 * _GRAM_BYTES <= budget:
            return wanted
        wanted = min(wanted, SOME_DIRECTIONS)
    return max(1, min(wanted, budget // (size * _DIRECTION_BYTES)))
