"""An opened model, described for the conductor and for the report."""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from onnxprobe.analysis.messages import CatalogueEntry, Opening
from onnxprobe.analysis.worker.cohorts import jacobian_samples
from onnxprobe.analysis.worker.study import Study
from onnxprobe.graph import (
    Graph,
    Reach,
    Sharing,
    TensorInfo,
    behind_rounding,
    catalogue,
    find_sharing,
    random_nodes,
    rounding_nodes,
    trace,
)
from onnxprobe.record import CohortRecord, DataRecord, FileRecord, InputRecord, ModelRecord
from onnxprobe.runtime import Provider
from onnxprobe.version import __version__

__all__ = ["describe", "unmoved"]

_PACKAGES = ("onnx", "onnx-ir", "numpy", "scipy", "pillow", "onnxruntime-gpu", "onnxruntime")


def describe(name: str, study: Study, provider: Provider, source_chosen: str) -> Opening:
    """Describe an opened model.

    Args:
        name: What to call it.
        study: The model with its samples.
        provider: What runs it.
        source_chosen: Why derivatives are taken with respect to what they are.

    Returns:
        The description.
    """
    graph, samples = study.graph, study.samples
    draws = random_nodes(graph)
    assumptions = []
    if draws:
        assumptions.append(
            f"random numbers are drawn at inference ({len(draws)} times, {draws[0]} the first): "
            "tensors after them differ from run to run"
        )
    entries, rounding = _entries(study)
    if rounding:
        assumptions.append(
            f"no derivative passes where the model rounds, at {rounding[0]}"
            + (f" and {len(rounding) - 1} more" if len(rounding) > 1 else "")
            + ": that a tensor behind it does not move says nothing of what it gives away"
        )
    slots = {slot.name: slot for slot in study.signature.slots}
    return Opening(
        model=ModelRecord(
            name=name,
            files=[
                FileRecord(name=each.name, sha256=each.sha256, size_bytes=each.size_bytes)
                for each in graph.files
            ],
            producer=f"{graph.proto.producer_name} {graph.proto.producer_version}".strip(),
            ir_version=graph.proto.ir_version,
            opsets=graph.opsets,
            inputs=[
                InputRecord(
                    name=kind.name,
                    dtype=kind.dtype,
                    declared_shape=None if kind.shape is None else list(kind.shape),
                    sample_shape=list(slots[kind.name].shape),
                    batch_axis=slots[kind.name].batch_axis,
                )
                for kind in graph.inputs
            ],
            outputs=list(graph.outputs),
            nodes=len(graph.proto.graph.node),
            local_functions=graph.local_functions,
            random_nodes=list(draws),
        ),
        data=DataRecord(
            synthetic=samples.synthetic,
            samples=samples.count,
            digest=samples.digest if study.configuration.data_digest else None,
            labels_digest=samples.labels_digest if study.configuration.data_digest else None,
            jacobian_samples=samples.spread(study.configuration.samples).tolist(),
        ),
        entries=entries,
        source_names=list(study.source_names),
        source_tensor=study.source_tensor,
        source_chosen=source_chosen,
        provider=provider.name,
        provider_reason=provider.reason,
        provider_options=provider.options,
        upcast_difference=None,
        assumptions=assumptions,
        versions=_versions(),
        samples_digest=samples.digest,
        cohorts=_cohorts(study),
        cohorts_digest=study.cohorts.samples.digest if study.cohorts else None,
        cohort_samples=jacobian_samples(study),
    )


def _cohorts(study: Study) -> CohortRecord | None:
    if study.cohorts is None:
        return None
    samples, members = study.cohorts.samples, study.members
    everyone = np.arange(samples.count)
    digests: list[str | None] = [None, None]
    if study.configuration.data_digest:
        digests = [samples.subset(each).digest for each in np.split(everyone, [members])]
    taken = jacobian_samples(study)
    return CohortRecord(
        members=members,
        non_members=samples.count - members,
        members_digest=digests[0],
        non_members_digest=digests[1],
        jacobian_members=sum(each < members for each in taken),
        jacobian_non_members=sum(each >= members for each in taken),
        directions=0,
    )


def _entries(study: Study) -> tuple[list[CatalogueEntry], tuple[str, ...]]:
    """Describe the tensors, and name the nodes at which rounding ends a derivative."""
    graph, types = study.graph, study.types
    infos = catalogue(graph, types)
    fed = trace(graph, [kind.name for kind in graph.inputs], types)
    straight = study.configuration.straight_through
    reached = trace(study.smooth_graph, study.source_names, types, straight_through=straight)
    smooth = {name for name, reach in reached.items() if reach is Reach.SMOOTH}
    rounded = behind_rounding(study.smooth_graph, smooth) if straight else frozenset()
    found = find_sharing(graph, types)
    # A source is where derivatives start: it shares nothing with what it was computed from.
    own = set(study.source_names)
    sharing = Sharing(
        {name: origin for name, origin in found.same.items() if name not in own},
        {name: origin for name, origin in found.shifted.items() if name not in own},
    )
    rounding = () if straight else rounding_nodes(study.smooth_graph, reached)
    made = {kind.name for joint in study.joints.values() for kind in joint.types}
    hidden = made - {*study.joints}
    entries = [
        _entry(info, fed, reached, rounded, sharing, graph)
        for info in infos
        if info.name not in hidden
    ]
    for entry in entries:
        if entry.name in study.joints:
            # It stands for these, and for nothing of the model's own.
            entry.joins = entry.parents = list(study.joints[entry.name].tensors)
            entry.same_as = entry.shift_of = None
    return entries, rounding


def _entry(
    info: TensorInfo,
    fed: Mapping[str, Reach],
    reached: Mapping[str, Reach],
    rounded: Collection[str],
    sharing: Sharing,
    graph: Graph,
) -> CatalogueEntry:
    reason = None
    if info.name in graph.producers:
        reason = unmoved(fed.get(info.name, Reach.NONE))
    origin = sharing.origin(info.name)
    return CatalogueEntry(
        name=info.name,
        op_type=info.op_type,
        node=info.node,
        parents=list(info.parents),
        dtype=info.type.dtype,
        shape=None if info.type.shape is None else list(info.type.shape),
        is_output=info.is_output,
        skip=info.skip or reason,
        constant=reason is not None,
        reach=reached[info.name].value if info.name in reached else "none",
        straight=info.name in rounded,
        same_as=origin if origin != info.name else None,
        shift_of=sharing.shifted.get(info.name),
    )


def unmoved(reach: Reach) -> str | None:
    """Say why a tensor is the same for all samples.

    Args:
        reach: How the inputs reach it.

    Returns:
        The reason to skip it; ``None`` if values of the inputs matter.
    """
    return {
        Reach.NONE: "constant: no input reaches it",
        Reach.SHAPE: "constant: it depends on the shape of the input alone",
    }.get(reach)


def _versions() -> dict[str, str]:
    found = {"onnxprobe": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        # One of the two runtimes is installed, not both.
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
