"""Every figure of a report says what it is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

import onnxprobe
from onnxprobe.record import (
    ActivationRecord,
    ClassRecord,
    DofRecord,
    JacobianRecord,
    JacobianSample,
    Levels,
    RankLevels,
    ReleaseRecord,
    Report,
    SeparationRecord,
    Share,
    TensorRecord,
    figure_labels,
)
from onnxprobe.report.formats import render_json
from tests.analysis.networks import linear
from tests.reports import report

#: What a number of a record may be beside a figure: a size, a setting, a place.
NO_FIGURES = {
    ActivationRecord: {"non_finite"},
    ClassRecord: {"classes"},
    DofRecord: {"ceiling", "samples"},
    JacobianRecord: {"inputs", "outputs", "directions", "step"},
    JacobianSample: {"sample"},
    ReleaseRecord: {"s"},
    SeparationRecord: set(),
    TensorRecord: {"batch_axis", "shape"},
}  # fmt: skip
NUMBERS = ("int", "float", Levels.__name__, RankLevels.__name__, Share.__name__)


@pytest.mark.parametrize("record", NO_FIGURES, ids=lambda record: str(record.__name__))
def test_every_number_is_a_figure_or_none(record: type[BaseModel]) -> None:
    numbers = {
        name
        for name, field in record.model_fields.items()
        if any(word in str(field.annotation) for word in NUMBERS)
        and "Record" not in str(field.annotation)
        and "JacobianSample" not in str(field.annotation)
    }
    labels = figure_labels(record)
    assert {name for name in numbers if name not in labels} == NO_FIGURES[record]


def test_a_report_says_what_its_figures_are() -> None:
    found = json.loads(render_json(report()))["figures"]
    assert found["release.recoverable"] == "linear-Gaussian prediction"
    assert found["release.attained"] == "attained by a reconstruction"
    assert found["release.van_trees_mse"] == "bound"
    assert found["jacobian.rank"] == "measured"
    assert set(found.values()) == {
        "measured", "bound", "linear-Gaussian prediction", "attained by a reconstruction",
    }  # fmt: skip


def test_the_schema_bears_the_same_labels() -> None:
    schema = Report.model_json_schema()["$defs"]
    assert schema["ReleaseRecord"]["properties"]["attained"]["label"] == (
        "attained by a reconstruction"
    )
    assert schema["JacobianRecord"]["properties"]["rank"]["label"] == "measured"


def _analysed(**options: Any) -> TensorRecord:
    return onnxprobe.analyze(linear(rank=6), device="cpu", include=["y"], **options).tensors[0]


def test_what_unseen_directions_can_raise_is_a_lower_bound() -> None:
    assert _analysed().lower_bounds == []
    found = _analysed(directions=3)
    assert "jacobian.rank" in found.lower_bounds
    assert {"release.bits", "release.recoverable_dof"} <= set(found.lower_bounds)
    labels = figure_labels(TensorRecord)
    assert set(found.lower_bounds) <= set(labels)
