"""Whatever a report says can be forged, and none of it is confirmed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from onnxprobe.policy.details import differences
from onnxprobe.policy.verification import verify
from onnxprobe.record import (
    ClassRecord,
    Coverage,
    Levels,
    Omission,
    ReleaseRecord,
    Report,
    SeparationRecord,
    Share,
)
from tests.reports import COHORTS, report, tensor


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(each, (*path, key))
        yield from ([(*path, None)] if isinstance(value, list) and value else [])
    else:
        yield path


def _altered(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value * 2 + 3
    return "forged" if value is None or isinstance(value, str) else value


def test_no_leaf_of_a_report_can_be_forged() -> None:
    """But for what two runs of the same may differ in, and what is written for people."""
    release = ReleaseRecord(
        noise="0.1", s=0.1, recoverable=Share(low=0.3, high=0.6), attained=0.2,
        recoverable_median=Share(low=0.2, high=0.5), tokens_reidentified=0.4,
        bits=Levels(min=1.0, median=2.0, max=3.0), van_trees_mse=0.1,
    )  # fmt: skip
    full = tensor(
        release=[release],
        lower_bounds=["jacobian.rank"],
        classes=ClassRecord(classes=3, radius=0.1, share=0.2),
        membership=[
            SeparationRecord(
                statistic="Jacobian energy", auc=0.6, low=0.5, high=0.7, tpr_at_1_percent_fpr=0.1
            )
        ],
    )
    coverage = Coverage(
        tensors=2, analysed=1, skipped=[Omission(name="x", reason="no", op_type="Cos")], failed=[]
    )
    true = report(full, coverage=coverage, membership=COHORTS)
    plain = json.loads(true.model_dump_json())
    parts = ("tensors", "data", "source", "prior", "coverage", "membership")
    tried, missed = 0, []
    for path in (each for each in _leaves(plain) if each[0] in parts):
        if {"reason", "resolved", "spectrum", "digest", "node", "step"} & {*map(str, path)}:
            continue
        forged = json.loads(json.dumps(plain))
        inner = forged
        for key in path[:-1]:
            inner = inner[key]
        if path[-1] is None:
            inner.pop()
        else:
            inner[path[-1]] = _altered(inner[path[-1]])
        try:
            claimed = Report.model_validate(forged)
        except ValidationError:
            continue
        tried += 1
        if verify(claimed, true).confirmed:
            missed.append(path)
    assert tried > 60
    assert missed == []


def test_noise_and_single_counts_are_no_forgery() -> None:
    one = {"a": 1.0, "rank_at": {"1e-6": {"max": 63}}, "step": 1, "names": ["x"]}
    other = {"a": 1.0005, "rank_at": {"1e-6": {"max": 62}}, "step": 2, "names": ["x"]}
    assert list(differences(one, other, 1e-3, {"step"})) == []
    other["rank_at"] = {"1e-6": {"max": 60}}
    assert list(differences(one, other, 1e-3, {"step"})) == ["rank_at.1e-6.max (60, not 63)"]
    other = {**one, "names": ["x", "y"], "a": True}
    assert sorted(differences(one, other, 1e-3, ())) == ["a (True, not 1)", "names"]
