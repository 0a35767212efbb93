"""Doing something for many tensors although some of them may break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from onnxprobe.analysis.conductor.findings import Findings
from onnxprobe.analysis.conductor.link import WorkerLostError
from onnxprobe.analysis.messages import CatalogueEntry
from onnxprobe.errors import ExposureError, RunError

__all__ = ["Bisection"]

Answer = TypeVar("Answer")


class Bisection:
    """Halves a group of tensors until the one that fails stands alone.

    Args:
        findings: Receives the failures.
        entries: The catalogue, to know what depends on a tensor whose computation crashes.
    """

    def __init__(self, findings: Findings, entries: Sequence[CatalogueEntry]) -> None:
        self._findings = findings
        self._makers = {entry.name: f"{entry.node} ({entry.op_type})" for entry in entries}
        self._children: dict[str, list[str]] = {}
        for entry in entries:
            for parent in entry.parents:
                self._children.setdefault(parent, []).append(entry.name)

    def each(
        self, names: Sequence[str], call: Callable[[Sequence[str]], Sequence[Answer]]
    ) -> Iterator[Answer]:
        """Call for all tensors at once, and for fewer where that fails.

        Args:
            names: The tensors, in the order of the graph.
            call: What to do for some of them.

        Yields:
            The answers of the calls that succeeded.

        Raises:
            ExposureError: If the rewritten model is not the one that was given.
        """
        pending = [list(names)]
        while pending:
            group = [name for name in pending.pop(0) if name not in self._findings.failed]
            if not group:
                continue
            try:
                yield from call(group)
            except ExposureError:
                raise
            except RunError as error:
                if len(group) > 1:
                    middle = len(group) // 2
                    pending[:0] = [group[:middle], group[middle:]]
                    continue
                reason = str(error)
                if isinstance(error, WorkerLostError):
                    if error.comes_again and group[0] in self._makers:
                        reason = f"at {self._makers[group[0]]}, or what it needs: {reason}"
                    self._fail_children(group[0])
                self._findings.failed[group[0]] = reason

    def _fail_children(self, name: str) -> None:
        # Whatever needs this tensor crashes too; finding that out one by one would take for ever.
        pending = [name]
        while pending:
            for child in self._children.get(pending.pop(), ()):
                if child not in self._findings.failed:
                    reason = f"it depends on {name!r}, whose computation failed"
                    self._findings.failed[child] = reason
                    pending.append(child)
