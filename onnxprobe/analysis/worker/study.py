"""A model opened for measuring: its graphs, its samples, and how to run parts of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.messages import Layout
from onnxprobe.graph import Graph, Joint, expose_tensors, readable_names
from onnxprobe.graph.dtypes import HALF_TYPES
from onnxprobe.inputs import Samples, Signature
from onnxprobe.jacobian import Part, Point, Source
from onnxprobe.runtime import RowLayout, RowRunner, Session, Settings
from onnxprobe.spectrum import Prior
from onnxprobe.types import Array, TensorType

__all__ = ["Study"]


@dataclass
class Study:
    """What every measurement of a model needs.

    Attributes:
        configuration: What the user asked for.
        graph: The model as exported, functions inlined: activations are measured on it.
        smooth_graph: The same in float32 where it was in half precision: derivatives are taken of
            it.
        types: Types by tensor name, from shape inference and the runtime.
        signature: The shape of a sample.
        samples: The samples.
        settings: How sessions are made.
        source_names: Inputs, or one inner tensor, with respect to which derivatives are taken.
        source_tensor: Whether that is an inner tensor.
        reference: The unmodified model's outputs at the first sample, by name.
        surveyed: How tensors lie that were surveyed, by name.
        joints: Tensors that stand for several released together, by name.
        prior: What is known of the source beforehand; ``None`` if it does not vary.
        inner: Values of an inner source for every sample, shape (samples, n); filled by the survey
            of the source.
        cohorts: The same model on samples that it was trained on, then on others; ``None`` if none
            were given.
        members: How many of those samples it was trained on.
    """

    configuration: Configuration
    graph: Graph
    smooth_graph: Graph
    types: dict[str, TensorType]
    signature: Signature
    samples: Samples
    settings: Settings
    source_names: tuple[str, ...]
    source_tensor: bool
    reference: Mapping[str, Any]
    inner: Array | None = None
    inner_layout: Layout | None = None
    prior: Prior | None = None
    cohorts: Study | None = None
    members: int = 0
    joints: Mapping[str, Joint] = field(default_factory=dict)
    surveyed: dict[str, Layout] = field(default_factory=dict)
    cache: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def input_layouts(self) -> dict[str, RowLayout]:
        """How a row of each input lies in what the model takes."""
        return {
            slot.name: RowLayout(slot.row_shape, slot.batch_axis) for slot in self.signature.slots
        }

    @cached_property
    def free_axes(self) -> dict[str, int]:
        """Batch axes that the model declares as 1."""
        return {
            slot.name: slot.batch_axis
            for slot in self.signature.slots
            if slot.batch_axis is not None and slot.declared_batch == 1
        }

    @cached_property
    def can_batch(self) -> bool:
        """Whether rows could share a run, as far as the declared inputs go."""
        slots = self.signature.slots
        alike = all(
            slot.batch_axis is not None or _is_constant(self.samples.arrays[slot.name])
            for slot in slots
        )
        return alike and any(slot.batch_axis is not None for slot in slots)

    def rows(self, indices: Sequence[int]) -> dict[str, Array]:
        """Return samples as the rows of a feed.

        Args:
            indices: Which samples.

        Returns:
            By input, shape (indices, *shape of one sample).
        """
        return {name: array[list(indices)] for name, array in self.samples.arrays.items()}

    def session(
        self, names: Sequence[str], *, batched: bool, smooth: bool = False, optimise: bool = False
    ) -> Session:
        """Make a session that computes tensors from the inputs, or from an inner source.

        Args:
            names: The tensors.
            batched: Whether axes declared as 1 are freed.
            smooth: Whether the session is for derivatives: of the float32 graph, an inner source
                being an input.
            optimise: Whether the runtime may rewrite the graph.

        Returns:
            The session.
        """
        graph = self.smooth_graph if smooth else self.graph
        sources = []
        if smooth and self.source_tensor:
            sources = [
                TensorType(name, self.source_dtype(name), None) for name in self.source_names
            ]
        program = expose_tensors(
            graph,
            names,
            sources=sources,
            free_axes=self.free_axes if batched else None,
            types=self.types,
        )
        return Session(program, self.settings, optimise=optimise)

    def runner(
        self,
        session: Session,
        layouts: Sequence[Layout],
        *,
        batched: bool,
        smooth: bool = False,
    ) -> RowRunner:
        """Run a session's tensors row by row.

        Args:
            session: As `session` made it.
            layouts: How its tensors lie.
            batched: Whether rows may share a run.
            smooth: Whether the session is for derivatives.

        Returns:
            The runner; its outputs bear the tensors' names.
        """
        inputs = dict(self.input_layouts)
        if self.inner_layout is not None:
            inner = self.inner_layout
            inputs[inner.name] = RowLayout(tuple(inner.shape), inner.axis)
        sources = self.source_names if smooth and self.source_tensor else ()
        names = [each.name for each in layouts]
        spelled = readable_names(self.graph, names, self.types, sources)
        outputs = {spelled[each.name]: RowLayout(tuple(each.shape), each.axis) for each in layouts}
        read_as = {read: name for name, read in spelled.items()}
        return RowRunner(session, inputs, outputs, read_as, batched=batched)

    def source_dtype(self, name: str) -> str:
        """Return the type in which a source can be perturbed.

        Args:
            name: One of the sources.

        Returns:
            float64 if the model has it so, else float32.
        """
        declared = {slot.name: str(slot.dtype) for slot in self.signature.slots}
        known = declared.get(name) or (self.types[name].dtype if name in self.types else None)
        return "float64" if known == "float64" else "float32"

    @cached_property
    def source(self) -> Source:
        """The source as one vector."""
        if self.source_tensor:
            assert self.inner_layout is not None, "an inner source is surveyed first"
            (name,) = self.source_names
            return Source((Part(name, tuple(self.inner_layout.shape), self.source_dtype(name)),))
        shapes = {slot.name: slot.shape for slot in self.signature.slots}
        parts = [Part(name, shapes[name], self.source_dtype(name)) for name in self.source_names]
        return Source(tuple(parts))

    def source_matrix(self) -> Array:
        """Return the source's value for every sample.

        Returns:
            Shape (samples, n).
        """
        if self.source_tensor:
            assert self.inner is not None
            return self.inner
        arrays = [
            self.samples.arrays[part.name].reshape(self.samples.count, part.size)
            for part in self.source.parts
        ]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=1)

    def point(self, sample: int) -> Point:
        """Return where the Jacobian of a sample is taken.

        Args:
            sample: Its index.

        Returns:
            The source's value, and everything else that is fed.
        """
        fixed = {
            name: array.astype(np.float32) if str(array.dtype) in HALF_TYPES else array
            for name, array in self.rows([sample]).items()
            if name not in self.source_names
        }
        vector = self.source_matrix()[sample].astype(np.float64)
        return Point(self.source, vector, fixed)


def _is_constant(array: Array) -> bool:
    return len(array) > 0 and bool((array == array[:1]).all())
