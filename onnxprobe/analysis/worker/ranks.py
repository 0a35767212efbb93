"""Types of a model's tensors, with ranks that inference does not find."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.worker.opening import GivenSamples, ModelFile, open_study
from onnxprobe.analysis.worker.survey import survey, unranked
from onnxprobe.errors import OnnxProbeError
from onnxprobe.graph import Graph, infer_types
from onnxprobe.types import TensorType

__all__ = ["known_types"]


def known_types(
    file: ModelFile, graph: Graph, sizes: Mapping[str, int], *, allow_links: bool
) -> tuple[dict[str, TensorType], set[str]]:
    """Find the types of a model's tensors, if need be by running it.

    Args:
        file: Where the model comes from.
        graph: The model.
        sizes: Sizes of open dimensions, by symbol or ``INPUT[AXIS]``.
        allow_links: Whether external data may be reached through links.

    Returns:
        Types by name, and the tensors whose rank does not follow from the operators: it is declared
        in the model, or was seen when it ran.
    """
    types = infer_types(graph, follow_shapes=True)
    bare = infer_types(graph, follow_shapes=True, believe=False)
    assumed = _declared_only(graph, types, bare)
    seen = _ranks_by_running(file, graph, types, sizes, allow_links=allow_links)
    return types | seen, {*assumed, *seen}


def _declared_only(
    graph: Graph, types: Mapping[str, TensorType], bare: Mapping[str, TensorType]
) -> list[str]:
    """Name computed tensors whose rank inference would find otherwise, or not at all."""
    ranks = {name: None if kind.shape is None else len(kind.shape) for name, kind in bare.items()}
    computed = (kind for name, kind in types.items() if name in graph.producers)
    return [
        kind.name
        for kind in computed
        if kind.shape is not None and ranks.get(kind.name) != len(kind.shape)
    ]


def _ranks_by_running(
    file: ModelFile,
    graph: Graph,
    types: dict[str, TensorType],
    sizes: Mapping[str, int],
    *,
    allow_links: bool,
) -> dict[str, TensorType]:
    """Complete ranks that inference does not know by running the model on drawn inputs."""
    unknown = unranked(graph.producers, types)
    if not unknown:
        return {}
    configuration = Configuration(
        data_limit=2, samples=1, device="cpu", sizes=dict(sizes), allow_links=allow_links
    )
    try:
        study, _ = open_study(file, configuration, GivenSamples())
        found = survey(study, unknown)
    except OnnxProbeError:
        # What stays unknown is named where it matters.
        return {}
    return {
        layout.name: replace(
            types.get(layout.name, _TENSOR),
            name=layout.name,
            dtype="float32" if layout.dtype == "float16" else layout.dtype,
            shape=(None,) * len(layout.shape),
        )
        for layout in found.layouts
    }


_TENSOR = TensorType("", None, None)
