"""Opening a model: load it, choose a device, find inputs that it accepts, and decide the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.messages import Opening
from onnxprobe.analysis.worker.cohorts import open_cohorts
from onnxprobe.analysis.worker.confine import limit_memory
from onnxprobe.analysis.worker.description import describe
from onnxprobe.analysis.worker.joining import join_releases
from onnxprobe.analysis.worker.study import Study
from onnxprobe.analysis.worker.trial import Trial, upcast_difference, without_trial
from onnxprobe.graph import (
    Graph,
    canary_program,
    canary_weight,
    choose_source,
    has_half_precision,
    infer_types,
    int8_products,
    integer_canary,
    load_model,
    parse_model,
    upcast_graph,
)
from onnxprobe.inputs import Data
from onnxprobe.risk import parse_release_noise
from onnxprobe.runtime import CPU, Settings, choose_provider, integers_saturate

__all__ = ["GivenSamples", "ModelFile", "open_graph", "open_study"]


# How often weights lie in memory at a time: as read, and as each session that is kept has packed
# them. They come on top of the budget, since nothing can be done without them.
_COPIES = 4


@dataclass(frozen=True)
class ModelFile:
    """Where the model comes from.

    Attributes:
        path: Its file; ``None`` for a model in memory.
        content: Its bytes, for a model in memory.
        name: What to call it.
        memory_bytes: What this process may use beside its weights; ``None`` for no limit.
    """

    path: Path | None
    content: bytes
    name: str
    memory_bytes: int | None = None


@dataclass(frozen=True)
class GivenSamples:
    """Everything that a model is to be run on, as it was given.

    Attributes:
        data: Samples; ``None`` to draw them.
        members: Samples that the model was trained on, if it is to be told from others.
        non_members: Samples that it was not trained on.
    """

    data: Data = None
    members: Data = None
    non_members: Data = None


def open_graph(file: ModelFile, *, allow_links: bool) -> Graph:
    """Load a model, and limit the memory of this process.

    Args:
        file: Where it comes from.
        allow_links: Whether external data may be reached through links.

    Returns:
        The graph.

    Raises:
        ModelError: If it is refused.
    """
    if file.memory_bytes is not None:
        limit_memory(file.memory_bytes + _COPIES * _size_bytes(file))
    if file.path is not None:
        graph = load_model(file.path, allow_links=allow_links)
    else:
        graph = parse_model(file.content)
    if file.memory_bytes is not None:
        stored = sum(each.size_bytes for each in graph.files) or len(file.content)
        limit_memory(file.memory_bytes + _COPIES * stored)
    return graph


def _size_bytes(file: ModelFile) -> int:
    """Return the size of the file itself, as far as there is one."""
    if file.path is None:
        return len(file.content)
    try:
        return file.path.stat().st_size
    except OSError:
        return 0


def open_study(
    file: ModelFile,
    configuration: Configuration,
    given: GivenSamples,
    *,
    infer: bool = True,
    untried: str | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[Study, Opening]:
    """Open a model with its samples.

    Args:
        file: Where the model comes from.
        configuration: What the user asked for.
        given: Paths or arrays by input name, ``None`` for the only input; ``None`` to draw samples.
        infer: Whether native code may infer types; it crashes on some hostile models.
        untried: Why the unmodified model must not be run, if so; its outputs are not compared then.
        progress: Called with 0 when native code has inferred types, before it runs anything.

    Returns:
        The study, and its description for the conductor.

    Raises:
        ModelError: If the model is refused, by onnxprobe or by the runtime.
        DataError: If data or options do not fit it.
        RunError: If it cannot be run on any inputs tried.
    """
    for text in configuration.noise:
        parse_release_noise(text)
    provider, settings = choose_provider(
        configuration.device,
        Settings(
            threads=configuration.threads,
            seed=configuration.seed,
            memory_bytes=configuration.memory_bytes,
        ),
        canary_program(),
        canary_weight(),
    )
    if provider.name != CPU:
        # CUDA's driver reserves more than any limit.
        file = replace(file, memory_bytes=None)
    graph = open_graph(file, allow_links=configuration.allow_links)
    types = infer_types(graph) if infer else {}
    smooth = upcast_graph(graph) if has_half_precision(graph) else graph
    # Says that inference is done.
    progress(0.0)
    if untried is None:
        trial = Trial.of(graph, smooth, types, settings, configuration, given.data)
    else:
        trial = without_trial(graph, types, configuration, given.data, untried)
    source = choose_source(trial.graph, trial.types, configuration.wrt)
    study = Study(
        configuration=configuration,
        graph=trial.graph,
        smooth_graph=smooth,
        types=trial.types,
        signature=trial.signature,
        samples=trial.samples,
        settings=settings,
        source_names=source.names,
        source_tensor=source.is_tensor,
        reference=trial.outputs,
    )
    nodes = len(study.graph.proto.graph.node)
    join_releases(
        study,
        [
            *configuration.together,
            *(
                group
                for group in configuration.together_if_known
                if all(name in study.graph.producers for name in group)
            ),
        ],
    )
    if given.members is not None:
        study.cohorts, study.members = open_cohorts(study, given.members, given.non_members)
    opening = describe(file.name, study, provider, source.chosen)
    opening.model.nodes = nodes
    opening.assumptions += trial.assumptions
    if (count := int8_products(graph)) and integers_saturate(*integer_canary(), settings):
        opening.assumptions.append(
            "this processor lacks VNNI instructions, so sums of int8 products saturate: what "
            f"operators with int8 weights give ({count} here) is not what other processors give"
        )
    if untried is None and smooth is not trial.graph:
        opening.upcast_difference = upcast_difference(study)
    return study, opening
