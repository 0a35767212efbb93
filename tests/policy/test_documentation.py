"""The documentation names what there is."""

from __future__ import annotations

from onnxprobe.policy import MEASURES, shipped_policies
from onnxprobe.policy.language import Rule
from onnxprobe.report.verdict_formats import VERDICT_FORMATS
from tests.shared import ROOT

PAGE = (ROOT / "docs" / "policies.md").read_text(encoding="utf-8")


def test_every_measure_key_format_and_policy_is_documented() -> None:
    for name, measure in MEASURES.items():
        assert f"| `{name}` | {measure.description}" in PAGE
    for name in Rule.model_fields:
        assert f"`{name}`" in PAGE
    for ending, _ in VERDICT_FORMATS.values():
        assert f"`{ending}`" in PAGE
    for name in shipped_policies():
        assert f"--policy {name}" in PAGE
