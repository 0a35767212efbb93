"""The derived graph of some tensors: which of them are exact, and how tangents are run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from onnxprobe.analysis.messages import DerivationAnswer, Layout
from onnxprobe.analysis.worker.study import Study
from onnxprobe.errors import ModelError, RunError
from onnxprobe.graph import HALF_TYPES, Differentiated, differentiate
from onnxprobe.jacobian import Point
from onnxprobe.runtime import DirectionRunner, Session, TangentOutput
from onnxprobe.types import Program, TensorType

__all__ = ["Derivation", "derive_tensors", "ways_to_derive"]


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
        study = self.study
        rows = point.rows(point.vector[None])
        feeds = {
            name: layout.pack(rows[name])
            for name, layout in study.input_layouts.items()
            if name in rows
        }
        shapes = _source_shapes(study)
        sources = {name: (inner, shapes[name]) for name, inner in self.derived.sources.items()}
        outputs = [
            TangentOutput(each.name, self.derived.tangents[each.name], tuple(each.shape))
            for each in self.layouts
        ]
        return DirectionRunner(self.session, feeds, sources, outputs)


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
        derived, _ = _compiled(study, layouts)
    except (ModelError, RunError) as error:
        return DerivationAnswer(failed=dict.fromkeys(names, str(error)))
    outcome = derived.outcome
    return DerivationAnswer(
        exact=[name for name in names if name in derived.tangents and name not in outcome.inexact],
        numerical=[name for name in names if name in derived.tangents and name in outcome.inexact],
        failed={name: outcome.failed[name] for name in names if name in outcome.failed},
        nodes=[f"{each.node} ({each.operator}): {each.reason}" for each in outcome.numerical],
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
    return Derivation(study, *_compiled(study, layouts), layouts)


def _compiled(study: Study, layouts: Sequence[Layout]) -> tuple[Differentiated, Session]:
    """Build and compile a derived graph; the last one is kept, it is mostly asked for again."""
    names = tuple(layout.name for layout in layouts)
    kept = study.cache.get("derived")
    if kept is None or kept[0] != names:
        derived = _differentiated(study, layouts)
        program = Program(derived.proto.SerializeToString(), derived.weights)
        kept = names, (derived, Session(program, study.settings, optimise=True))
        study.cache["derived"] = kept
    found: tuple[Differentiated, Session] = kept[1]
    return found


def _differentiated(study: Study, layouts: Sequence[Layout]) -> Differentiated:
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
    )


def _smooth(kind: TensorType) -> TensorType:
    return replace(kind, dtype="float32") if kind.dtype in HALF_TYPES else kind


def _source_shapes(study: Study) -> dict[str, tuple[int, ...]]:
    if study.source_tensor:
        assert study.inner_layout is not None
        return {study.source_names[0]: tuple(study.inner_layout.shape)}
    return {slot.name: tuple(slot.row_shape) for slot in study.signature.slots}
