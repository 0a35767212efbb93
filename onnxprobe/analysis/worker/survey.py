"""A first run of some tensors: their shapes, their batch axis proved, their outputs compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from onnxprobe.analysis.messages import Layout, SurveyAnswer
from onnxprobe.analysis.worker.study import Study
from onnxprobe.errors import ExposureError, RunError
from onnxprobe.graph import readable_names
from onnxprobe.graph.catalogue import obstacle
from onnxprobe.record import Omission
from onnxprobe.runtime import CPU, RowLayout, Session, find_axis, has_same_values
from onnxprobe.types import Array, TensorType

__all__ = ["relative_difference", "survey", "unranked"]

# Enough rows that no other dimension is likely to be their number by chance.
ROWS = 3
# Two runs that differ by more than this compute something random.
REPEATABLE = 1e-3


def survey(study: Study, names: Sequence[str]) -> SurveyAnswer:
    """Run tensors once per row and once for several rows together, and compare.

    Args:
        study: The opened model.
        names: The tensors.

    Returns:
        Layouts of those that can be measured, reasons for the others, and how far the model's own
        outputs among them are from those of the unmodified model.

    Raises:
        RunError: If they cannot be run.
    """
    session = study.session(names, batched=False)
    kinds = dict(zip(names, session.output_types, strict=True))
    skipped = [
        Omission(name=name, reason=reason)
        for name, kind in kinds.items()
        if (reason := obstacle(kind)) is not None
    ]
    left = [name for name in names if name not in {each.name for each in skipped}]
    if not left:
        return SurveyAnswer(layouts=[], skipped=skipped)
    picked = _distinct_rows(study)
    singles = [_run(study, session, left, [row]) for row in picked]
    again = _run(study, session, left, picked[:1])
    together = _together(study, left, picked)
    layouts = []
    for name in left:
        alone = tuple(single[name] for single in singles)
        reason = _reason(alone, together.get(name))
        if reason:
            skipped.append(Omission(name=name, reason=reason))
            continue
        found = find_axis(alone, together[name]) if name in together else None
        layouts.append(
            Layout(
                name=name,
                dtype=str(alone[0].dtype),
                shape=list(alone[0].shape),
                axis=found.axis if found else None,
                batched=found is not None,
                repeatability=relative_difference(alone[0], again[name]),
            )
        )
    study.surveyed.update((layout.name, layout) for layout in layouts)
    difference = _check_outputs(study, singles[0], again)
    return SurveyAnswer(layouts=layouts, skipped=skipped, output_difference=difference)


def unranked(names: Iterable[str], types: Mapping[str, TensorType]) -> list[str]:
    """Choose the tensors whose rank nothing but a run tells.

    Args:
        names: Of tensors.
        types: What inference found.

    Returns:
        Those of unknown type, and tensors of unknown rank.
    """
    unknown = TensorType("", None, None)
    found = ((name, types.get(name, unknown)) for name in names)
    return [name for name, kind in found if kind.shape is None and kind.kind == "tensor"]


def _distinct_rows(study: Study) -> list[int]:
    # The first sample is the one at which the unmodified model was run.
    return [int(index) for index in study.samples.spread(ROWS)]


def _run(
    study: Study,
    session: Session,
    names: Sequence[str],
    picked: Sequence[int],
) -> dict[str, Array]:
    rows = study.rows(picked)
    feeds = {
        kind.name: _pack(study.input_layouts[kind.name], rows[kind.name])
        for kind in session.input_types
    }
    spelled = readable_names(study.graph, names, study.types)
    results = session.run(feeds, [spelled[name] for name in names])
    return dict(zip(names, results, strict=True))


def _pack(layout: RowLayout, rows: Array) -> Array:
    return layout.pack(rows if layout.axis is not None else rows[:1])


def _together(study: Study, names: Sequence[str], picked: Sequence[int]) -> dict[str, Array]:
    if not study.can_batch or len(picked) < 2:
        return {}
    try:
        session = study.session(names, batched=True)
        return _run(study, session, names, picked)
    except RunError:
        # A model with its batch size built in; it will be run row by row.
        return {}


def _reason(alone: tuple[Array, ...], together: Array | None) -> str | None:
    if any(array.shape != alone[0].shape for array in alone):
        return "its shape changes with the input"
    if alone[0].size == 0:
        return "empty: a dimension is 0"
    if together is not None and all(
        array.shape == together.shape and has_same_values(array, together) for array in alone
    ):
        return "constant: the same for every sample"
    return None


def relative_difference(first: Array, second: Array) -> float:
    """Measure how far two arrays differ.

    Args:
        first: Any array.
        second: One of the same shape.

    Returns:
        Relative to the first, in the Frobenius norm; 1 where one is finite and the other is not.
    """
    if has_same_values(first, second):
        return 0.0
    a, b = first.astype(np.float64).ravel(), second.astype(np.float64).ravel()
    finite = np.isfinite(a) & np.isfinite(b)
    if not finite.all() and not has_same_values(np.isfinite(a), np.isfinite(b)):
        return 1.0
    size = float(np.linalg.norm(a[finite]))
    gap = float(np.linalg.norm(a[finite] - b[finite]))
    return gap / size if size else float(gap > 0)


def _check_outputs(study: Study, exposed: dict[str, Array], again: dict[str, Array]) -> float:
    """Compare the outputs at the first sample with the unmodified model's; refuse a difference."""
    largest = 0.0
    for name, expected in study.reference.items():
        got = exposed.get(name)
        if got is None or not isinstance(expected, np.ndarray):
            continue
        difference = _largest_difference(expected, got)
        if difference > _allowed(expected, study.settings.provider) and not (
            _largest_difference(got, again[name]) > 0
        ):
            raise ExposureError(
                f"exposing tensors moved the output {name!r} by {difference:.1e} of its largest "
                "element, so what was measured is not the model that was given; please report this"
            )
        largest = max(largest, difference)
    return largest


def _largest_difference(expected: Array, got: Array) -> float:
    """Return the largest difference of an element, relative to the largest element."""
    if expected.shape != got.shape:
        return 1.0
    if has_same_values(expected, got):
        return 0.0
    a, b = expected.astype(np.float64), got.astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    size = float(np.abs(a[finite]).max(initial=0.0))
    gap = float(np.abs(a[finite] - b[finite]).max(initial=0.0))
    same = np.array_equal(a[~finite], b[~finite], equal_nan=True)
    return gap / size if same and size else 1.0


def _allowed(expected: Array, provider: str) -> float:
    # On the CPU, with graph optimisation off, exposing a tensor changes no bit of float32. Half
    # precision is computed in float32 there, and exposing a tensor rounds it: 4 units in the last
    # place, at the size of the output's largest element, are allowed.
    if provider != CPU:
        return 1e-5
    return 4 * float(np.finfo(np.float16).eps) if expected.dtype == np.float16 else 0.0
