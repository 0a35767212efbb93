"""What the worker can be asked for."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.frames import Frame
from onnxprobe.analysis.messages import (
    ActivationAnswer,
    DerivationAnswer,
    JacobianAnswers,
    Layout,
    MembershipAnswer,
    Opening,
    Part,
    SourceAnswer,
    StepAnswer,
    SurveyAnswer,
)
from onnxprobe.analysis.worker.activations import measure_activations
from onnxprobe.analysis.worker.derivation import ways_to_derive
from onnxprobe.analysis.worker.membership import (
    TypicalityRequest,
    separate_by_jacobians,
    separate_by_typicality,
)
from onnxprobe.analysis.worker.observing import ObservationRequest
from onnxprobe.analysis.worker.opening import GivenSamples, ModelFile, open_study
from onnxprobe.analysis.worker.provision import try_providers
from onnxprobe.analysis.worker.rewriting import expose_model, inspect_model
from onnxprobe.analysis.worker.sensitivity import (
    JacobianRequest,
    find_step,
    measure_jacobians,
)
from onnxprobe.analysis.worker.serve import Handler
from onnxprobe.analysis.worker.source import measure_source
from onnxprobe.analysis.worker.splitting import count_costs, describe_structure, write_halves
from onnxprobe.analysis.worker.study import Study
from onnxprobe.analysis.worker.survey import survey
from onnxprobe.analysis.worker.tangent_file import derive_model
from onnxprobe.graph import operator_coverage
from onnxprobe.inputs import Data, Labelled
from onnxprobe.types import Array

__all__ = ["handlers"]

Progress = Callable[[float], None]


def handlers(*, confined: bool = True) -> Mapping[str, Handler]:
    """Return what answers each request; all of them share one study.

    Args:
        confined: Whether the process is a worker, whose memory may be limited.

    Returns:
        Handlers by method.
    """
    desk = _Desk(confined=confined)
    return {
        "open": desk.open,
        "remember": desk.remember,
        "survey": desk.survey,
        "source": desk.source,
        "activations": desk.activations,
        "derive": desk.derive,
        "step": desk.step,
        "jacobians": desk.jacobians,
        "typicality": desk.typicality,
        "membership": desk.membership,
        "derive_model": desk.derive_model,
        "expose": desk.expose,
        "structure": desk.structure,
        "costs": desk.costs,
        "halves": desk.halves,
        "inspect": desk.inspect,
        "operators": desk.operators,
        "providers": desk.providers,
    }


class _Desk:
    def __init__(self, *, confined: bool) -> None:
        self._confined = confined
        self._opened: Study | None = None

    @property
    def _study(self) -> Study:
        assert self._opened is not None, "the conductor opens a model first"
        return self._opened

    def open(self, request: Frame, progress: Progress) -> Opening:
        params = request.header
        configuration = Configuration.model_validate(params["configuration"])
        self._opened, opening = open_study(
            self._model_file(request),
            configuration,
            _given(params, request.blob),
            infer=params["infer"],
            untried=params["untried"],
            progress=progress,
        )
        return opening

    def remember(self, request: Frame, _: Progress) -> SurveyAnswer:
        found = SurveyAnswer.model_validate(request.header)
        self._study.surveyed.update((layout.name, layout) for layout in found.layouts)
        return found

    def survey(self, request: Frame, _: Progress) -> SurveyAnswer:
        return survey(self._study, request.header["names"])

    def source(self, request: Frame, progress: Progress) -> SourceAnswer:
        params = request.header
        layout = Layout.model_validate(params["layout"]) if params["layout"] else None
        return measure_source(self._study, layout, params["rows"], params["directions"], progress)

    def activations(self, request: Frame, progress: Progress) -> list[ActivationAnswer]:
        params = request.header
        return measure_activations(
            self._study,
            [Layout.model_validate(each) for each in params["layouts"]],
            [[Part.model_validate(part) for part in parts] for parts in params["passes"]],
            params["rows"],
            progress,
        )

    def step(self, request: Frame, _: Progress) -> StepAnswer:
        params = request.header
        layouts = [Layout.model_validate(each) for each in params["layouts"]]
        return find_step(
            self._study,
            layouts,
            params["sample"],
            params["directions"],
            params["rows"],
            params["tried"],
        )

    def derive(self, request: Frame, _: Progress) -> DerivationAnswer:
        layouts = [Layout.model_validate(each) for each in request.header["layouts"]]
        return ways_to_derive(self._study, layouts)

    def jacobians(self, request: Frame, progress: Progress) -> JacobianAnswers:
        wanted = JacobianRequest.model_validate(request.header)
        return measure_jacobians(self._study, wanted, progress)

    def typicality(self, request: Frame, progress: Progress) -> list[MembershipAnswer]:
        wanted = TypicalityRequest.model_validate(request.header)
        return separate_by_typicality(self._study, wanted, progress)

    def membership(self, request: Frame, progress: Progress) -> list[MembershipAnswer]:
        wanted = ObservationRequest.model_validate(request.header)
        return separate_by_jacobians(self._study, wanted, progress)

    def derive_model(self, request: Frame, _: Progress) -> dict[str, Any]:
        params = request.header
        return derive_model(
            self._model_file(request),
            Path(params["out"]),
            params["data_name"],
            Path(params["data_out"]),
            wrt=params["wrt"],
            tensors=params["tensors"],
            sizes=params["sizes"],
            straight_through=params["straight_through"],
            allow_links=params["allow_links"],
        )

    def expose(self, request: Frame, _: Progress) -> dict[str, Any]:
        params = request.header
        file = self._model_file(request)
        return expose_model(
            file,
            Path(params["out"]),
            params["data_name"],
            Path(params["data_out"]),
            allow_links=params["allow_links"],
        )

    def structure(self, request: Frame, _: Progress) -> dict[str, Any]:
        links = request.header["allow_links"]
        return describe_structure(self._model_file(request), allow_links=links)

    def costs(self, request: Frame, _: Progress) -> dict[str, Any]:
        params = request.header
        file = self._model_file(request)
        return count_costs(file, params["shapes"], allow_links=params["allow_links"])

    def halves(self, request: Frame, progress: Progress) -> dict[str, Any]:
        params = request.header
        study, _ = open_study(
            self._model_file(request),
            Configuration.model_validate(params["configuration"]),
            _given(params, request.blob),
            progress=progress,
        )
        outputs, data_outputs = (
            [Path(each) for each in params[name]] for name in ("outputs", "data_outputs")
        )
        return write_halves(study, params["cut"], outputs, params["data_names"], data_outputs)

    def operators(self, _: Frame, __: Progress) -> dict[str, Any]:
        return {"operators": [astuple(each) for each in operator_coverage()]}

    def providers(self, _: Frame, __: Progress) -> dict[str, Any]:
        return {"providers": try_providers()}

    def _model_file(self, request: Frame) -> ModelFile:
        params = request.header
        content = request.blob[: params["model_bytes"]]
        path = Path(params["path"]) if params["path"] else None
        memory_bytes = params["memory_bytes"] if self._confined else None
        return ModelFile(path, content, params["name"], memory_bytes)

    def inspect(self, request: Frame, _: Progress) -> dict[str, Any]:
        params = request.header
        return inspect_model(self._model_file(request), allow_links=params["allow_links"])


def _given(params: dict[str, Any], blob: bytes) -> GivenSamples:
    """Take paths from the header and arrays from the bytes behind the model's."""
    found: dict[str, dict[str | None, Path | Array]] = {}
    start = params["model_bytes"]
    for what in ("data", "members", "non_members", "labels"):
        for entry in params[what] or []:
            value: Path | Array
            if entry["path"] is not None:
                value = Path(entry["path"])
            else:
                stop = start + entry["bytes"]
                value = np.load(io.BytesIO(blob[start:stop]), allow_pickle=False)
                start = stop
            found.setdefault(what, {})[entry["name"]] = value
    data: Data = found.get("data")
    if "labels" in found:
        data = Labelled(found["data"], found["labels"][None])
    return GivenSamples(data, found.get("members"), found.get("non_members"))
