"""The first run of the unmodified model: whether it runs at all, on what, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.worker.study import Study
from onnxprobe.analysis.worker.survey import relative_difference
from onnxprobe.errors import DataError, ModelError, RunError, TooLargeError, UnrunnableError
from onnxprobe.graph import Graph, catalogue, expose_tensors, index_limits
from onnxprobe.inputs import (
    DATA_LIMIT,
    FILLS,
    SYNTHETIC_LIMIT,
    Data,
    Fill,
    ImageOptions,
    Samples,
    Signature,
    load_samples,
)
from onnxprobe.runtime import Session, Settings
from onnxprobe.types import Array, Program, TensorType

__all__ = ["WHOLE_SIZES", "Trial", "upcast_difference", "without_trial"]

# Sizes to try for every dimension at once, for models that take batches of one size only.
WHOLE_SIZES = (1, 2, 4, 8, 16, 32, 64, 100, 128)


@dataclass(frozen=True)
class Trial:
    """A model that ran.

    Attributes:
        graph: What activations are measured on: the model as exported, or its float32 twin where
            the runtime has no kernels for half precision.
        types: Types by tensor name, from inference and from the runtime.
        signature: The shape of a sample that it accepted.
        samples: The samples.
        outputs: By output name, what the unmodified model gave for the first sample.
        assumptions: What was taken for granted.
    """

    graph: Graph
    types: dict[str, TensorType]
    signature: Signature
    samples: Samples
    outputs: Mapping[str, Any]
    assumptions: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        graph: Graph,
        smooth: Graph,
        types: dict[str, TensorType],
        settings: Settings,
        configuration: Configuration,
        data: Data,
    ) -> Trial:
        """Run a model on the first sample, trying sizes and fillings until it accepts one.

        Args:
            graph: The model.
            smooth: The same in float32 throughout.
            types: Types from inference.
            settings: How sessions are made.
            configuration: What the user asked for.
            data: The user's samples, if any.

        Returns:
            The trial that succeeded.

        Raises:
            ModelError: If the runtime refuses the model.
            DataError: If the model does not run on the data.
            UnrunnableError: If it runs on no synthetic sample.
            TooLargeError: If it does not fit the memory.
        """
        assumptions: list[str] = []
        graph, session = _runnable(graph, smooth, settings, assumptions)
        types = types | _runtime_types(graph, types, settings)
        attempt = _accepted(graph, session, configuration, data)
        signature, samples = _load_all(attempt, graph, configuration, data, assumptions)
        outputs = session.run(_feeds(signature, samples))
        names = [kind.name for kind in session.output_types]
        given = dict(zip(names, outputs, strict=True))
        return cls(graph, types, signature, samples, given, assumptions)


@dataclass(frozen=True)
class _Attempt:
    """What is chosen where neither model nor user says it."""

    free: int | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    fill: Fill = "drawn"

    def load(
        self, graph: Graph, configuration: Configuration, data: Data, limit: int | None
    ) -> tuple[Signature, Samples]:
        return load_samples(
            graph.inputs,
            data,
            rng=np.random.default_rng(configuration.seed),
            options=ImageOptions(**configuration.images.model_dump()),
            sizes=configuration.sizes | dict(self.sizes),
            limit=limit,
            free=self.free,
            integer_limits=index_limits(graph),
            fill_with=self.fill,
        )


def without_trial(
    graph: Graph,
    types: dict[str, TensorType],
    configuration: Configuration,
    data: Data,
    reason: str,
) -> Trial:
    """Prepare a model without running it.

    Args:
        graph: The model.
        types: What is known of its types.
        configuration: What the user asked for.
        data: The user's samples, if any.
        reason: Why it is not run.

    Returns:
        A trial without outputs.
    """
    note = (
        f"the unmodified model was not run to its end ({reason}), so its outputs were not "
        "compared, and what does not depend on that was measured"
    )
    assumptions = [note]
    signature, samples = _load_all(_Attempt(), graph, configuration, data, assumptions)
    return Trial(graph, types, signature, samples, {}, assumptions)


def _load_all(
    attempt: _Attempt,
    graph: Graph,
    configuration: Configuration,
    data: Data,
    assumptions: list[str],
) -> tuple[Signature, Samples]:
    """Load every sample that is wanted and fits the memory."""
    signature, _ = attempt.load(graph, configuration, data, limit=1)
    wanted = configuration.data_limit or (SYNTHETIC_LIMIT if data is None else DATA_LIMIT)
    fitting = configuration.memory_bytes // 4 // max(1, signature.sample_bytes)
    limit = max(2, min(wanted, fitting))
    signature, samples = attempt.load(graph, configuration, data, limit)
    if limit < wanted and samples.count == limit:
        assumptions.append(
            f"activations are measured over {limit} samples, because more inputs do not fit the "
            "memory; allow more with --memory"
        )
    assumptions += [*signature.assumed, *samples.notes]
    return signature, samples


def _runnable(
    graph: Graph, smooth: Graph, settings: Settings, assumptions: list[str]
) -> tuple[Graph, Session]:
    """Return the graph that activations are measured on, with the unmodified model's session."""
    try:
        return graph, Session(graph.original, settings, optimise=False)
    except TooLargeError:
        raise
    except RunError as error:
        refusal = ModelError(str(error))
        if smooth is graph:
            raise refusal from error
    try:
        program = Program(smooth.proto.SerializeToString(), smooth.weights)
        session = Session(program, settings, optimise=False)
    except RunError:
        raise refusal from None
    assumptions.append(
        "ONNX Runtime has no half-precision kernels for this model here "
        f"({refusal}); everything was measured after upcasting it to float32"
    )
    return smooth, session


def _runtime_types(
    graph: Graph, types: Mapping[str, TensorType], settings: Settings
) -> dict[str, TensorType]:
    """Ask the runtime for the types that inference left open."""
    names = [info.name for info in catalogue(graph, types) if info.skip is None]
    unknown = [name for name in names if name not in types or types[name].dtype is None]
    if not unknown:
        return {}
    try:
        session = Session(expose_tensors(graph, unknown), settings, optimise=False)
    except RunError:
        return {}
    return {
        name: replace(k, name=name) for name, k in zip(unknown, session.output_types, strict=True)
    }


def _accepted(graph: Graph, session: Session, configuration: Configuration, data: Data) -> _Attempt:
    """Try sizes and fillings until the model accepts a sample."""
    first: RunError | None = None
    attempts = [_Attempt(fill=fill) for fill in FILLS]
    tried = 0
    while tried < len(attempts):
        signature, samples = attempts[tried].load(graph, configuration, data, limit=1)
        try:
            session.run(_feeds(signature, samples))
        except RunError as error:
            if isinstance(error, TooLargeError) and first is None:
                # Not for its sizes or values: they are the likeliest ones.
                raise
            first = first or error
        else:
            return attempts[tried]
        tried += 1
        if tried == len(FILLS):
            attempts += _further(graph, configuration, signature, is_drawn=data is None)
    assert first is not None
    if data is not None and not signature.assumed:
        raise DataError(f"the model does not run on the data: {first}; check its shape and values")
    raise UnrunnableError(
        f"the model ran on none of {tried} synthetic inputs; the first failed with: {first}; "
        "give real samples with --data, or sizes with --set"
    )


def _further(
    graph: Graph, configuration: Configuration, signature: Signature, *, is_drawn: bool
) -> list[_Attempt]:
    """Return attempts for models that refuse the likeliest inputs."""
    sizes = signature.trial_sizes[1:]
    attempts = [_Attempt(free=size, fill=fill) for size in sizes for fill in FILLS]
    names = {
        size
        for kind in graph.inputs
        for size in kind.shape or ()
        if isinstance(size, str) and size not in configuration.sizes
    }
    if names and is_drawn:
        # Every named dimension of one size, the one that counts samples too.
        attempts += [_Attempt(size, dict.fromkeys(names, size)) for size in WHOLE_SIZES]
    return attempts


def _feeds(signature: Signature, samples: Samples) -> dict[str, Array]:
    return {slot.name: slot.feed(samples.arrays[slot.name][:1]) for slot in signature.slots}


def upcast_difference(study: Study) -> float | None:
    """Compare the float32 twin's outputs with the model's own, at the first sample.

    Args:
        study: The opened model.

    Returns:
        The largest relative difference of a float output; ``None`` without one.
    """
    program = Program(study.smooth_graph.proto.SerializeToString(), study.smooth_graph.weights)
    session = Session(program, study.settings, optimise=False)
    rows = study.rows([0])
    feeds = {}
    for kind in session.input_types:
        slot = next(slot for slot in study.signature.slots if slot.name == kind.name)
        array = slot.feed(rows[kind.name])
        feeds[kind.name] = array.astype(np.float32) if kind.dtype == "float32" else array
    twin = dict(zip([kind.name for kind in session.output_types], session.run(feeds), strict=True))
    differences = [
        relative_difference(ours, twin[name])
        for name, ours in study.reference.items()
        if isinstance(ours, np.ndarray) and ours.dtype.kind == "f"
    ]
    return max(differences, default=None)
