"""A generic check of derivatives: against central differences of a float64 reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import erf
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
from onnx import ModelProto
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops import op_affine_grid, op_erf, op_grid_sample

from onnxprobe.graph import Graph, expose_tensors, infer_types, parse_model
from onnxprobe.graph.tangent import Differentiated, differentiate
from onnxprobe.types import Array, TensorType
from tests.graph.tangent.doubled import doubled

__all__ = ["EXACT", "NUMERICAL", "Verdict", "check_tangents", "default_sources"]

# Float32 rules agree with the truth to about 1e-6 of its norm; what is wrong by 0.1 % does not.
EXACT = 3e-4
# Central differences in float32 of one node.
NUMERICAL = 1e-2
# Two step sizes and both sides of a point must agree to this, or the point is near a kink.
AGREEMENT = 1e-5
STEPS = (1e-5, 1e-6)
DRAWS = 8
# A derivative this much smaller than its function is rounding errors in float32.
WEAKEST = 1e-3
# Along a direction that hardly moves the output, sums cancel: rounding is measured against this
# share of what another direction does.
FAINT = 0.1
# These say where to sample, and are no data that a derivative is asked for.
PARAMETERS = {"Dropout": (1,), "Resize": (1, 2, 3), "Upsample": (1,)}

_Feeds = dict[str, Any]


@dataclass
class Verdict:
    """What the check found.

    Attributes:
        status: ``"exact"`` and ``"numerical"`` are right; ``"wrong"``, ``"unsupported"``,
            ``"undecidable"`` (no reference) and ``"refused"`` (the runtime cannot run the model
            itself, or runs it wrongly).
        detail: What a person wants to know of it.
        error: The largest relative error, where a derivative was found.
    """

    status: str
    detail: str = ""
    error: float = 0.0


class UndecidableError(Exception):
    """Central differences on the reference evaluator establish no derivative."""


def default_sources(proto: ModelProto, feeds: Mapping[str, Any]) -> list[str]:
    """Name the inputs of a model that a derivative can be asked for."""
    used = {
        node.input[place]
        for node in proto.graph.node
        for place in PARAMETERS.get(node.op_type, ())
        if place < len(node.input)
    }
    return [name for name, value in feeds.items() if _is_real(value) and name not in used]


def _is_real(value: Any) -> bool:
    return (
        isinstance(value, np.ndarray | np.generic)
        and value.dtype in (np.float32, np.float64)
        and value.size > 0
    )


def check_tangents(
    proto: ModelProto,
    feeds: Mapping[str, Any],
    *,
    sources: Sequence[str] | None = None,
    reference: ModelProto | None = None,
    directions: Sequence[int] = (1, 7),
    seed: int = 0,
    rows: int = 2,
    without_runtime: bool = False,
    exact: float = EXACT,
) -> Verdict:
    """Compare the tangents of a model with float64 central differences.

    Args:
        proto: A small model.
        feeds: What its inputs look like; values near these are drawn.
        sources: Inputs to move; all float ones but parameters if not given.
        reference: A model that computes the same, where onnx's evaluator has no right one.
        directions: For which numbers of directions.
        seed: Of the draws.
        rows: How many of the directions are compared, first and last among them.
        without_runtime: Whether onnx's evaluator also runs the tangents, in their own precision, as
            long as ONNX Runtime does not know a version.
        exact: Relative error up to which a rule is right.
    """
    rng = np.random.default_rng(seed)
    feeds = {name: _array(value) for name, value in feeds.items()}
    moved = default_sources(proto, feeds) if sources is None else list(sources)
    make: Any = _Evaluated if without_runtime else _session
    try:
        session = make(proto)
        session.run(None, feeds)
    except Exception as error:  # noqa: BLE001 (whatever the runtime throws)
        return Verdict("refused", str(error))
    try:
        truth = _Truth(reference or proto, feeds, moved, session, rng)
    except UndecidableError as error:
        return Verdict("undecidable", str(error))
    if truth.runtime_error > 1e-3:
        return Verdict("refused", f"the runtime is off by {truth.runtime_error:.1e}")
    graph = parse_model(proto.SerializeToString())
    derived = differentiate(graph, _types(graph, feeds), moved, truth.targets)
    if derived.outcome.failed:
        return Verdict("unsupported", next(iter(derived.outcome.failed.values())))
    tangents = make(derived.proto)
    try:
        worst = max(truth.compare(derived, tangents, count, rows) for count in directions)
    except UndecidableError as error:
        return Verdict("undecidable", str(error))
    except Exception as error:
        if not without_runtime:
            raise
        return Verdict("refused", str(error))
    tolerance = NUMERICAL if derived.outcome.numerical else exact
    if not worst < tolerance:
        return Verdict("wrong", f"relative error {worst:.1e}", worst)
    if derived.outcome.numerical:
        return Verdict("numerical", derived.outcome.numerical[0].reason, worst)
    return Verdict("exact", "", worst)


def _erf(self: Any, x: Array) -> tuple[Array]:
    return (np.asarray(np.vectorize(erf, otypes=[np.float64])(x), x.dtype),)


def _affine(theta: Array, places: Array) -> Array:
    moved = places.reshape(-1, places.shape[-1]) @ np.swapaxes(theta, -1, -2)
    return np.asarray(moved.reshape(len(theta), *places.shape[:-1], -1))


def _denormalize(self: Any, n: Any, dims: Any, align_corners: bool) -> Array:
    return np.array(
        [
            self._gs_denormalize(n=each, length=size, align_corners=align_corners)
            for each, size in zip(n, dims, strict=True)
        ],
        np.float64,
    )


@contextmanager
def _exactly() -> Iterator[None]:
    """Make the operators that onnx's reference rounds to float32 compute in float64."""
    with (
        mock.patch.object(op_erf.Erf, "_run", _erf),
        mock.patch.object(op_affine_grid, "apply_affine_transform", _affine),
        # DeformConv samples by it, too.
        mock.patch.object(op_grid_sample.GridSample, "_gs_denormalize_coordinates", _denormalize),
        np.errstate(all="ignore"),
    ):
        yield


class _Truth:
    """A point without kinks nearby, and derivatives there."""

    def __init__(
        self,
        proto: ModelProto,
        feeds: _Feeds,
        sources: Sequence[str],
        session: Any,
        rng: np.random.Generator,
    ) -> None:
        self.sources, self._rng = sources, rng
        self._names = [value.name for value in proto.graph.output]
        try:
            self._run = ReferenceEvaluator(doubled(proto)).run
        except Exception as error:
            raise UndecidableError(str(error)) from error
        self.targets: list[str] = []
        for draw in range(DRAWS):
            self.feeds = {
                # Where a function is saturated, smaller values may not be.
                name: _near(value, rng, 0.5 ** (draw // 2)) if name in sources else value
                for name, value in feeds.items()
            }
            self._middle = self._at(self.feeds)
            self.targets = [name for name, each in self._middle.items() if _is_real(each)]
            if not self.targets:
                raise UndecidableError("no float output")
            try:
                typical = self.derivative(self._directions(1), 0, STEPS)
                self._check_strength(typical)
                self._typical = {
                    name: float(np.linalg.norm(each)) for name, each in typical.items()
                }
                self.runtime_error = self._compare_values(session)
            except UndecidableError:
                if draw == DRAWS - 1:
                    raise
            else:
                return

    def _at(self, feeds: _Feeds) -> dict[str, Any]:
        doubled = {
            name: value.astype(np.float64) if _is_real(value) else value
            for name, value in feeds.items()
        }
        try:
            with _exactly():
                values: Any = self._run(None, doubled)
        except Exception as error:
            raise UndecidableError(str(error)) from error
        return dict(zip(self._names, values, strict=True))

    def _check_strength(self, found: Mapping[str, Array]) -> None:
        """Leave a point where float32 cannot show the derivative."""
        for name, each in found.items():
            middle = np.asarray(self._middle[name])
            size = np.linalg.norm(middle[np.isfinite(middle)])
            if 0 < np.linalg.norm(each) < WEAKEST * size:
                raise UndecidableError(f"{name!r} is saturated")

    def _compare_values(self, session: Any) -> float:
        worst = 0.0
        for name, value in zip(self._names, session.run(None, self.feeds), strict=True):
            if name in self.targets:
                if np.shape(value) != np.shape(self._middle[name]):
                    return float("inf")
                finite = np.isfinite(self._middle[name]) & np.isfinite(value)
                if not np.array_equal(np.isfinite(value), finite):
                    return float("inf")
                worst = max(worst, _distance(value[finite], self._middle[name][finite]))
        return worst

    def _directions(self, count: int) -> _Feeds:
        found = {}
        for name in self.sources:
            value = self.feeds[name]
            drawn = self._rng.standard_normal((count, *value.shape)).astype(value.dtype)
            # What masks by infinity stays there.
            found[name] = np.where(np.isfinite(value), drawn, 0).astype(value.dtype)
        return found

    def derivative(
        self, directions: _Feeds, row: int, steps: Sequence[float] = STEPS[:1]
    ) -> dict[str, Array]:
        """Return central differences by target, the first step's; all steps must agree."""
        found: dict[str, Array] = {}
        for step in steps:
            sides = []
            for sign in (1.0, -1.0):
                feeds = dict(self.feeds)
                for name, drawn in directions.items():
                    feeds[name] = feeds[name].astype(np.float64) + sign * step * drawn[row]
                sides.append(self._at(feeds))
            for name in self.targets:
                ahead, behind = (np.asarray(side[name], np.float64) for side in sides)
                middle = np.asarray(self._middle[name], np.float64)
                if not ahead.shape == behind.shape == middle.shape:
                    raise UndecidableError("the shape depends on values")
                with np.errstate(all="ignore"):
                    central = np.where(ahead == behind, 0, (ahead - behind) / (2 * step))
                    bend = np.where(ahead == behind, ahead - middle, ahead - 2 * middle + behind)
                    bend = np.where(ahead == middle, 0, bend)
                # What is infinite has no derivative to speak of.
                central = np.where(np.isinf(middle), 0, central)
                if not np.isfinite(central).all():
                    raise UndecidableError(f"{name!r} is not finite")
                size = np.linalg.norm(central) + 1e-3 * np.abs(middle[np.isfinite(middle)]).max(
                    initial=0
                )
                # Both sides of a kink differ by its jump, whatever the step.
                if np.linalg.norm(bend) / step > 1e-2 * size:
                    raise UndecidableError(f"{name!r} has a kink")
                first = found.setdefault(name, central)
                if np.linalg.norm(first - central) > AGREEMENT * size:
                    raise UndecidableError(f"{name!r} differs between step sizes")
        return found

    def compare(self, derived: Differentiated, session: Any, count: int, rows: int) -> float:
        """Return the largest relative error of the tangents, at some number of directions."""
        worst = 0.0
        for _ in range(DRAWS):
            directions = self._directions(count)
            picked = sorted({0, count - 1, *self._rng.integers(0, count, max(0, rows - 2))})
            picked = picked[: max(rows, 1)]
            try:
                truths = [self.derivative(directions, row) for row in picked]
            except UndecidableError:
                continue
            given = {derived.sources[name]: drawn for name, drawn in directions.items()}
            wanted = [derived.tangents[name] for name in self.targets]
            found = session.run(wanted, {**self.feeds, **given})
            for name, tangent in zip(self.targets, found, strict=True):
                for row, true in zip(picked, truths, strict=True):
                    if tangent.shape != (count, *true[name].shape):
                        return float("inf")
                    finite = np.isfinite(self._middle[name])
                    pair = tangent[row][finite], true[name][finite]
                    worst = max(worst, _distance(*pair, FAINT * self._typical[name]))
            return worst
        raise UndecidableError("every direction drawn meets a kink")


def _distance(found: Array, true: Array, least: float = 0.0) -> float:
    """Return the distance relative to the size, or to the least one that counts.

    What is not finite is infinitely far away.
    """
    if not np.isfinite(found).all():
        return float("inf")
    size = max(float(np.linalg.norm(true)), least)
    return float(np.linalg.norm(found.astype(np.float64) - true)) / max(size, 1e-6)


def _near(value: Array, rng: np.random.Generator, factor: float) -> Array:
    """Draw a value near another: away from kinks, which stand at round numbers."""
    width = 0.05 * np.clip(np.abs(value), 0.2, 1.0)
    drawn = (value + width * rng.standard_normal(value.shape)) * factor
    return np.asarray(np.where(np.isfinite(value), drawn, value), value.dtype)


def _array(value: Any) -> Any:
    # The runtime takes no numpy scalars.
    return np.asarray(value) if isinstance(value, np.generic) else value


def _session(proto: ModelProto | bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # As the model is written, so that any of its values can be asked for.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = proto if isinstance(proto, bytes) else proto.SerializeToString()
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class _Evaluated:
    """Runs a model with onnx's evaluator, which computes in the precision of the model."""

    def __init__(self, proto: ModelProto) -> None:
        self._evaluator = ReferenceEvaluator(proto)

    def run(self, names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
        with np.errstate(all="ignore"):
            found: Any = self._evaluator.run(names, dict(feeds))
        return list(found)


def _types(graph: Graph, feeds: _Feeds) -> dict[str, TensorType]:
    """Infer types; where inference is silent, a run tells them."""
    types = infer_types(graph, follow_shapes=True)
    unknown = [
        name
        for node in graph.proto.graph.node
        for name in filter(None, node.output)
        if _is_open(types.get(name, TensorType(name, None, None)))
    ]
    if unknown:
        try:
            session = _session(expose_tensors(graph, unknown).proto)
        except Exception:  # noqa: BLE001 (sequences and the like stay unknown)
            return types
        taken = {each.name for each in session.get_inputs()}
        values = session.run(None, {name: each for name, each in feeds.items() if name in taken})
        for name, value in zip(unknown, values, strict=True):
            if isinstance(value, np.ndarray):
                types[name] = TensorType(name, str(value.dtype), value.shape)
    return types


def _is_open(kind: TensorType) -> bool:
    fixed = kind.shape is not None and all(isinstance(size, int) for size in kind.shape)
    return kind.kind == "tensor" and not fixed
