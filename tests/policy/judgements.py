"""Policies and reports made by hand, to be held against each other."""

from __future__ import annotations

from datetime import date
from typing import Any

from onnxprobe.policy import Policy, PolicyFile, judge
from onnxprobe.record import Coverage, Report, TensorRecord
from tests.reports import report, tensor

TODAY = date(2026, 6, 1)


def policy(*rules: dict[str, Any], waivers: list[dict[str, Any]] | None = None) -> PolicyFile:
    document = {
        "rule": [{"name": f"rule {n}", "role": "all"} | each for n, each in enumerate(rules)],
        "waiver": waivers or [],
    }
    return PolicyFile(Policy.model_validate(document), "policy.toml", "ef" * 32)


def whole(*tensors: TensorRecord, **changes: Any) -> Report:
    """A report without tensors that were left out."""
    made = report(*tensors, **changes)
    coverage = Coverage(tensors=len(tensors), analysed=len(tensors), skipped=[], failed=[])
    return made.model_copy(update={"coverage": changes.get("coverage", coverage)})


def verdict(found: Report, *rules: dict[str, Any], **more: Any) -> str:
    return judge(found, policy(*rules), TODAY, **more).verdict


def changed(name: str, **changes: Any) -> TensorRecord:
    """A tensor whose Jacobian is another."""
    base = tensor(name)
    assert base.jacobian is not None
    return base.model_copy(update={"jacobian": base.jacobian.model_copy(update=changes)})
