"""What an analysis has found so far; complete or not, a report can be made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from onnxprobe.analysis.messages import (
    ActivationAnswer,
    CatalogueEntry,
    JacobianAnswer,
    Layout,
    Opening,
    SourceAnswer,
)
from onnxprobe.record import SeparationRecord, Status

__all__ = ["Findings", "Groups", "group_tensors"]


@dataclass
class Findings:
    """Everything found, by tensor.

    Attributes:
        opening: The model and its samples.
        source: The source over the samples.
        layouts: How tensors come out of a run.
        skipped: Reasons of tensors that are not measured.
        failed: Reasons of tensors whose measurement failed.
        groups: Who is measured in whose place.
        activations: By measured tensor.
        jacobians: By measured tensor.
        insensitive: Why a measured tensor has no Jacobian, as a status.
        function_noise: By tensor, noise of the function itself, relative to the tensor's RMS.
        source_size: Elements of the source.
        directions: Main directions of the Jacobians.
        output_difference: Largest difference of an output between exposed and unmodified model.
        forward: Tensors that are differentiated in forward mode.
        numerical: By such a tensor, the nodes in front of it without an exact rule.
        underived: Why a tensor is not among them.
        optimised: Whether derivatives were taken through optimised graphs, chunk by chunk.
        optimised_difference: How far these moved a tensor.
        steps: Finite-difference steps by sample with a Jacobian, relative to the source's RMS.
        membership: By measured tensor, how well members are told from others.
        assumptions: What was taken for granted.
        interrupted: Why the analysis ended early.
    """

    opening: Opening | None = None
    source: SourceAnswer | None = None
    layouts: dict[str, Layout] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    groups: Groups = field(default_factory=lambda: Groups({}, {}))
    activations: dict[str, ActivationAnswer] = field(default_factory=dict)
    jacobians: dict[str, JacobianAnswer] = field(default_factory=dict)
    insensitive: dict[str, Status] = field(default_factory=dict)
    function_noise: dict[str, float] = field(default_factory=dict)
    source_size: int = 0
    directions: int = 0
    output_difference: float = 0.0
    forward: set[str] = field(default_factory=set)
    numerical: dict[str, list[str]] = field(default_factory=dict)
    underived: dict[str, str] = field(default_factory=dict)
    optimised: list[bool] = field(default_factory=list)
    optimised_difference: float = 0.0
    steps: list[float] = field(default_factory=list)
    membership: dict[str, list[SeparationRecord]] = field(default_factory=dict)
    assumptions: list[str] = field(default_factory=list)
    interrupted: str | None = None

    @cached_property
    def entries(self) -> Mapping[str, CatalogueEntry]:
        """The catalogue by name; the model must have been opened."""
        assert self.opening is not None
        return {each.name: each for each in self.opening.entries}

    def reason(self, name: str) -> str:
        """Say why a tensor has no layout.

        Args:
            name: A tensor.

        Returns:
            The reason it was skipped or failed for.
        """
        return self.skipped.get(name) or self.failed.get(name) or "it was not surveyed"

    def note_output_difference(self, difference: float) -> None:
        """Keep the largest difference between exposed and unmodified outputs.

        Args:
            difference: Of the outputs among some tensors.
        """
        self.output_difference = max(self.output_difference, difference)

    def scales(self, name: str) -> list[dict[str, Any]]:
        """List the tensors that share a Jacobian, with the size of their values.

        Args:
            name: The measured tensor that is differentiated.

        Returns:
            The tensor and its shifts, as the worker takes them; none whose values are not finite.
        """
        found = []
        for each in self.groups.measured:
            answer = self.activations.get(each)
            if answer is None or self.groups.differentiated_as(each) != name:
                continue
            rms, largest = answer.activations.rms, answer.activations.max_abs
            if rms is not None and largest is not None:
                entry = {"name": each, "rms": rms, "max_abs": largest}
                found.append(entry | {"rounding": answer.rounding})
        return found


@dataclass(frozen=True)
class Groups:
    """Tensors that share measures.

    Attributes:
        measured_as: For each tensor, the one that is measured in its place; itself if none is.
        shift_of: For a measured tensor that is another plus a constant, that other: they share the
            Jacobian, and nothing that depends on the RMS.
    """

    measured_as: Mapping[str, str]
    shift_of: Mapping[str, str]

    @property
    def measured(self) -> tuple[str, ...]:
        """The tensors that are measured, in order."""
        return tuple(name for name, stand_in in self.measured_as.items() if name == stand_in)

    def differentiated_as(self, name: str) -> str:
        """Return the measured tensor whose Jacobian a measured tensor shares.

        Args:
            name: A measured tensor.

        Returns:
            The start of its chain of shifts; itself if it has none.
        """
        while name in self.shift_of:
            name = self.shift_of[name]
        return name


def group_tensors(entries: Iterable[CatalogueEntry], layouts: Mapping[str, Layout]) -> Groups:
    """Decide which tensors are measured, and for whom.

    Args:
        entries: The tensors to report on, in the order of the graph.
        layouts: Theirs, as surveyed.

    Returns:
        The groups. In a group of equal tensors the first one whose rows can share a run is
        measured.
    """
    classes: dict[tuple[str, int], list[str]] = {}
    chosen = [entry for entry in entries if entry.name in layouts]
    for entry in chosen:
        key = (entry.same_as or entry.name, layouts[entry.name].size)
        classes.setdefault(key, []).append(entry.name)
    measured_as: dict[str, str] = {}
    stand_ins: dict[str, str] = {}
    for (origin, _), members in classes.items():
        stand_in = next((name for name in members if layouts[name].batched), members[0])
        stand_ins.setdefault(origin, stand_in)
        measured_as.update(dict.fromkeys(members, stand_in))
    ordered = {entry.name: measured_as[entry.name] for entry in chosen}
    shifts = _shifts(chosen, ordered, stand_ins, layouts)
    return Groups(ordered, shifts)


def _shifts(
    chosen: Sequence[CatalogueEntry],
    measured_as: Mapping[str, str],
    stand_ins: Mapping[str, str],
    layouts: Mapping[str, Layout],
) -> dict[str, str]:
    origins = {entry.name: entry.same_as or entry.name for entry in chosen}
    shifts: dict[str, str] = {}
    for entry in chosen:
        if entry.shift_of is None or entry.name not in stand_ins:
            continue
        base = stand_ins.get(origins.get(entry.shift_of, entry.shift_of))
        name = measured_as[entry.name]
        if base is not None and base != name and layouts[base].size == layouts[name].size:
            shifts[name] = base
    return shifts
