"""The derived graph of some tensors: which of them are exact, and how tangents are run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from onnxprobe.analysis.messages import DerivationAnswer, Layout
from onnxprobe.analysis.worker.study import Study
from onnxprobe.analysis.worker.survey import survey, unranked
from onnxprobe.errors import ModelError, OnnxProbeError, RunError
from onnxprobe.graph import (
    HALF_TYPES,
    NOISE_LENGTH,
    Differentiated,
    branch_conditions,
    differentiate,
    shaken,
)
from onnxprobe.jacobian import Point
from onnxprobe.runtime import DirectionRunner, RowLayout, Session, TangentOutput
from onnxprobe.types import Array, Program, TensorType

__all__ = ["Derivation", "derive_tensors", "ways_to_derive"]

# Tensors of one sample that are held at a time.
_SURVEYED_AT_ONCE = 16


@dataclass(frozen=True)
class Derivation:
    """A session that computes tangents of some tensors.

    Attributes:
        study: The opened model.
        derived: The graph.
        session: Compiled from it.
        layouts: How the tensors lie at one sample.
    """

    study: Study
    derived: Differentiated
    session: Session
    layouts: Sequence[Layout]

    @property
    def depths(self) -> dict[str, int]:
        """Operators between the source and each tensor."""
        return self.derived.outcome.depths

    def runner(self, point: Point) -> DirectionRunner:
        """Run tangents at a point.

        Args:
            point: Where.

        Returns:
            The runner.
        """
        return self._runner(self.session, point)

    def shaken(self, point: Point) -> _ShakenRunner | None:
        """Run tangents at values that are off by a rounding error each.

        Args:
            point: Where.

        Returns:
            The runner; ``None`` if there is none.
        """
        found = _shaken(self.study, self.derived)
        if found is None:
            return None
        session, noise = found
        drawn = np.zeros(NOISE_LENGTH, np.float32)
        return _ShakenRunner(self._runner(session, point, {noise: drawn}), drawn)

    def forget_shaken(self) -> None:
        """Never run tangents at such values again: they do not run, or take too much memory."""
        self.study.cache["shaken session"] = None

    def _runner(
        self, session: Session, point: Point, further: Mapping[str, Array] = MappingProxyType({})
    ) -> DirectionRunner:
        study = self.study
        feeds = {**_feeds(study, point), **further}
        shapes = _source_shapes(study)
        sources = {name: (inner, shapes[name]) for name, inner in self.derived.sources.items()}
        outputs = [
            TangentOutput(
                each.name,
                self.derived.tangents[each.name],
                tuple(each.shape),
                each.name in self.derived.folded,
            )
            for each in self.layouts
        ]
        return DirectionRunner(session, feeds, sources, outputs)


class _ShakenRunner:
    """A `TangentRunner` at values that are off by a rounding error each, others at each run.

    Args:
        runner: Runs a `onnxprobe.graph.Shaken` graph.
        noise: What it reads as that graph's noise.
    """

    def __init__(self, runner: DirectionRunner, noise: Array) -> None:
        self._runner, self._noise = runner, noise
        self._rng = np.random.default_rng(0)

    def run(self, tangents: Mapping[str, Array]) -> dict[str, Array]:
        """Draw errors and compute tangents; see `TangentRunner`."""
        self._noise[:] = self._rng.uniform(-1.0, 1.0, self._noise.shape)
        return self._runner.run(tangents)


def ways_to_derive(study: Study, layouts: Sequence[Layout]) -> DerivationAnswer:
    """Tell which tensors forward mode can differentiate, and how exactly.

    Args:
        study: The opened model.
        layouts: The tensors.

    Returns:
        An entry per tensor that can be derived, and the reasons of the others.
    """
    names = [layout.name for layout in layouts]
    try:
        derived = _derived(study, layouts)
        if derived.tangents:
            _compiled(study, layouts)
    except (ModelError, RunError) as error:
        return DerivationAnswer(failed=dict.fromkeys(names, str(error)))
    outcome = derived.outcome
    return DerivationAnswer(
        exact=[name for name in names if name in derived.tangents and name not in outcome.inexact],
        numerical=[name for name in names if name in derived.tangents and name in outcome.inexact],
        failed={name: outcome.failed[name] for name in names if name in outcome.failed},
        nodes=[f"{each.node} ({each.operator}): {each.reason}" for each in outcome.numerical],
        straight=len(outcome.straight),
    )


def derive_tensors(study: Study, layouts: Sequence[Layout]) -> Derivation:
    """Build and compile the derived graph of some tensors.

    Args:
        study: The opened model.
        layouts: The tensors; all can be derived.

    Returns:
        The derivation.

    Raises:
        RunError: If the runtime refuses it.
    """
    derived, session = _compiled(study, layouts)
    return Derivation(study, derived, session, layouts)


def _derived(study: Study, layouts: Sequence[Layout]) -> Differentiated:
    """Build a derived graph; the last one is kept, it is mostly asked for again."""
    names = tuple(layout.name for layout in layouts)
    if study.cache.get("derived tensors") != names:
        study.cache["derived graph"] = _differentiated(study, layouts)
        study.cache["derived tensors"] = names
        study.cache.pop("derived session", None)
        study.cache.pop("shaken session", None)
    found: Differentiated = study.cache["derived graph"]
    return found


def _compiled(study: Study, layouts: Sequence[Layout]) -> tuple[Differentiated, Session]:
    """Build and compile a derived graph."""
    derived = _derived(study, layouts)
    if "derived session" not in study.cache:
        program = Program(derived.proto.SerializeToString(), derived.weights)
        study.cache["derived session"] = Session(program, study.settings, optimise=True)
    session: Session = study.cache["derived session"]
    return derived, session


def _shaken(study: Study, derived: Differentiated) -> tuple[Session, str] | None:
    """Compile a derived graph at shaken values; the last one is kept."""
    if "shaken session" not in study.cache:
        made = shaken(derived.proto, derived.sources.values(), derived.types)
        weights = {each.name for each in made.proto.graph.initializer}
        program = Program(
            made.proto.SerializeToString(),
            {name: array for name, array in derived.weights.items() if name in weights},
        )
        try:
            session = Session(program, study.settings, optimise=True)
            study.cache["shaken session"] = session, made.noise
        except RunError:
            study.cache["shaken session"] = None
    found: tuple[Session, str] | None = study.cache["shaken session"]
    return found


def _differentiated(study: Study, layouts: Sequence[Layout]) -> Differentiated:
    _survey_ranks(study)
    types = {name: _smooth(kind) for name, kind in study.types.items()}
    for slot in study.signature.slots:
        dtype = "float32" if str(slot.dtype) in HALF_TYPES else str(slot.dtype)
        types[slot.name] = TensorType(slot.name, dtype, tuple(slot.row_shape))
    for layout in study.surveyed.values():
        known = types.get(layout.name, TensorType(layout.name, layout.dtype, None))
        types[layout.name] = replace(
            known, dtype=known.dtype or layout.dtype, shape=tuple(layout.shape)
        )
    return differentiate(
        study.smooth_graph,
        types,
        study.source_names,
        [layout.name for layout in layouts],
        keep_outputs=False,
        as_computed=True,
        known=_conditions(study),
        straight_through=study.configuration.straight_through,
    )


def _survey_ranks(study: Study) -> None:
    """Run tensors that nobody asked for, where rules need ranks that inference does not find."""
    if "ranks surveyed" in study.cache:
        return
    study.cache["ranks surveyed"] = True
    inside = study.smooth_graph.producers
    unknown = [
        name
        for name in unranked(study.graph.producers, study.types)
        if name in inside and name not in study.surveyed
    ]
    for start in range(0, len(unknown), _SURVEYED_AT_ONCE):
        try:
            survey(study, unknown[start : start + _SURVEYED_AT_ONCE])
        except OnnxProbeError:
            # What stays unknown is named where it matters.
            continue


def _conditions(study: Study) -> dict[str, Array]:
    """Read the conditions of branches that are the same at every sample with a Jacobian."""
    # At those samples the other branch is dead, and it may well not fit the shapes of their inputs.
    names = [
        name for name in branch_conditions(study.smooth_graph) if name in study.graph.producers
    ]
    if not names:
        return {}
    found: dict[str, list[Array]] = {name: [] for name in names}
    try:
        session = study.session(names, batched=False, smooth=True)
        for sample in study.samples.spread(study.configuration.samples):
            feeds = _feeds(study, study.point(int(sample)))
            taken = {kind.name: feeds[kind.name] for kind in session.input_types}
            for name, value in zip(names, session.run(taken), strict=True):
                found[name].append(value)
    except RunError:
        return {}
    return {name: values[0] for name, values in found.items() if len({*map(bytes, values)}) == 1}


def _feeds(study: Study, point: Point) -> dict[str, Array]:
    """Return what a graph for derivatives takes at a point, in which rows do not share a run."""
    rows = point.rows(point.vector[None])
    layouts = study.input_layouts
    feeds = {name: layouts[name].pack(rows[name]) if name in layouts else rows[name]
             for name in rows}  # fmt: skip
    if study.inner_layout is not None:
        inner = study.inner_layout
        feeds[inner.name] = RowLayout(tuple(inner.shape), inner.axis).pack(rows[inner.name])
    return feeds


def _smooth(kind: TensorType) -> TensorType:
    return replace(kind, dtype="float32") if kind.dtype in HALF_TYPES else kind


def _source_shapes(study: Study) -> dict[str, tuple[int, ...]]:
    if study.source_tensor:
        assert study.inner_layout is not None
        return {study.source_names[0]: tuple(study.inner_layout.shape)}
    return {slot.name: tuple(slot.row_shape) for slot in study.signature.slots}
