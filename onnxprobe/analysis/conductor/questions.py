"""What a worker can be asked about a model in one question, without an analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from onnxprobe.analysis.conductor.link import NONSENSE, Link
from onnxprobe.analysis.conductor.request import Data, ModelSource, Subject
from onnxprobe.analysis.configuration import Configuration, Limits
from onnxprobe.analysis.confinement import Confinement
from onnxprobe.analysis.messages import (
    CostsAnswer,
    DeriveAnswer,
    ExposeAnswer,
    HalvesAnswer,
    InspectAnswer,
    OperatorsAnswer,
    ProvidersAnswer,
    StructureAnswer,
)
from onnxprobe.errors import RunError

__all__ = [
    "costs",
    "derive",
    "expose",
    "halves",
    "inspect",
    "operators",
    "providers",
    "structure",
]

Answer = TypeVar("Answer", bound=BaseModel)

# For as long may a worker say nothing whose answer depends on no model.
_SILENCE_S = 60.0


def expose(
    model: ModelSource,
    out: Path,
    data_name: str,
    data_out: Path,
    *,
    allow_links: bool = False,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Write a model whose every intermediate tensor is an output.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        out: Where to write it.
        data_name: How the model refers to a file of weights, where one file does not hold them.
        data_out: Where to write that file.
        allow_links: Whether external data may be reached through links.
        limits: Of memory and time; the defaults if not given.

    Returns:
        What was written: counts, and reasons of tensors that were left out.
    """
    params = {
        "out": str(out.absolute()),
        "data_name": data_name,
        "data_out": str(data_out.absolute()),
        "allow_links": allow_links,
    }
    return _ask("expose", ExposeAnswer, model, params, limits, (out, data_out))


def derive(
    model: ModelSource,
    out: Path,
    data_name: str,
    data_out: Path,
    *,
    wrt: Sequence[str] = (),
    tensors: Sequence[str] = (),
    sizes: Mapping[str, int] | None = None,
    straight_through: bool = False,
    allow_links: bool = False,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Write a model that also computes tangents.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        out: Where to write it.
        data_name: How the model refers to a file of weights, where one file does not hold them.
        data_out: Where to write that file.
        wrt: Sources; every float input if empty.
        tensors: Whose tangents become outputs; the model's float outputs if empty.
        sizes: Sizes of open dimensions, by symbol or ``INPUT[AXIS]``.
        straight_through: Whether derivatives pass straight through rounding.
        allow_links: Whether external data may be reached through links.
        limits: Of memory and time; the defaults if not given.

    Returns:
        Names of the tangents, and nodes without an exact rule.
    """
    params = {
        "out": str(out.absolute()),
        "data_name": data_name,
        "data_out": str(data_out.absolute()),
        "wrt": list(wrt),
        "tensors": list(tensors),
        "sizes": dict(sizes or {}),
        "straight_through": straight_through,
        "allow_links": allow_links,
    }
    return _ask("derive_model", DeriveAnswer, model, params, limits, (out, data_out))


def inspect(
    model: ModelSource, *, allow_links: bool = False, limits: Limits | None = None
) -> dict[str, Any]:
    """List a model's inputs, outputs and tensors.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        allow_links: Whether external data may be reached through links.
        limits: Of memory and time; the defaults if not given.

    Returns:
        Plain data.
    """
    return _ask("inspect", InspectAnswer, model, {"allow_links": allow_links}, limits)


def structure(
    model: ModelSource, *, allow_links: bool = False, limits: Limits | None = None
) -> dict[str, Any]:
    """Describe what a model computes from what.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        allow_links: Whether external data may be reached through links.
        limits: Of memory and time; the defaults if not given.

    Returns:
        Plain data; see `StructureAnswer`.
    """
    return _ask("structure", StructureAnswer, model, {"allow_links": allow_links}, limits)


def costs(
    model: ModelSource,
    shapes: Mapping[str, Sequence[int]],
    *,
    allow_links: bool = False,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Count the multiply-adds of a model.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        shapes: Shapes of tensors for one sample.
        allow_links: Whether external data may be reached through links.
        limits: Of memory and time; the defaults if not given.

    Returns:
        Plain data; see `CostsAnswer`.
    """
    params = {"shapes": {name: list(each) for name, each in shapes.items()}}
    return _ask("costs", CostsAnswer, model, params | {"allow_links": allow_links}, limits)


def halves(
    model: ModelSource,
    data: Data,
    configuration: Configuration,
    cut: Sequence[str],
    outputs: Sequence[Path],
    data_names: Sequence[str],
    data_outputs: Sequence[Path],
) -> dict[str, Any]:
    """Write both halves of a model, held against the whole on real samples.

    Args:
        model: Path of an ``.onnx`` file, or a ``ModelProto``.
        data: Samples; ``None`` to draw them.
        configuration: How samples become inputs, and limits.
        cut: Tensors that everything passes.
        outputs: Where to write the halves.
        data_names: How each half refers to a file of weights, where one file does not hold them.
        data_outputs: Where to write these files.

    Returns:
        Plain data; see `HalvesAnswer`.
    """
    params = {
        "configuration": configuration.model_dump(mode="json"),
        "cut": list(cut),
        "outputs": [str(path.absolute()) for path in outputs],
        "data_names": list(data_names),
        "data_outputs": [str(path.absolute()) for path in data_outputs],
        "allow_links": configuration.allow_links,
    }
    writable = (*outputs, *data_outputs)
    return _ask("halves", HalvesAnswer, model, params, configuration, writable, data)


def operators() -> list[tuple[str, str, int, str]]:
    """List how every operator is differentiated.

    Returns:
        Domain, operator, version and manner, sorted.
    """
    link = Link(Confinement.of, _SILENCE_S)
    try:
        return _checked(OperatorsAnswer, link.call("operators", {})).operators
    finally:
        link.close()


def providers(link: Link) -> list[dict[str, Any]]:
    """List which devices work.

    Args:
        link: To a worker.

    Returns:
        Plain data.
    """
    found = _checked(ProvidersAnswer, link.call("providers"))
    return [each.model_dump() for each in found.providers]


def _ask(
    method: str,
    kind: type[BaseModel],
    model: ModelSource,
    params: dict[str, Any],
    limits: Limits | None,
    writable: Sequence[Path] = (),
    data: Data = None,
) -> dict[str, Any]:
    subject = Subject.of(model, data)
    limits = limits or Limits()
    confine = subject.confine(allow_links=params["allow_links"], writable=writable)
    link = Link(
        confine,
        limits.silence_s,
        timeout_s=limits.timeout_s,
        memory_bytes=limits.memory_bytes,
    )
    header = {**subject.header, **params, "memory_bytes": limits.memory_bytes}
    try:
        return _checked(kind, link.call(method, header, subject.blobs)).model_dump(mode="json")
    finally:
        link.close()


def _checked(kind: type[Answer], answer: Any) -> Answer:  # noqa: ANN401 (whatever a worker sent)
    try:
        return kind.model_validate(answer)
    except ValidationError as error:
        raise RunError(NONSENSE) from error
