"""Policies: thresholds that turn measures of a report into a verdict."""

from onnxprobe.policy.judging import judge, report_digest
from onnxprobe.policy.language import Bound, Policy, Rule, Waiver
from onnxprobe.policy.measures import MEASURES, Measure
from onnxprobe.policy.parsing import PolicyFile, read_policy, shipped_policies
from onnxprobe.policy.verdict import EXIT_CODES, Finding, Judgement, RuleResult, Verdict

__all__ = [
    "EXIT_CODES",
    "MEASURES",
    "Bound",
    "Finding",
    "Judgement",
    "Measure",
    "Policy",
    "PolicyFile",
    "Rule",
    "RuleResult",
    "Verdict",
    "Waiver",
    "judge",
    "read_policy",
    "report_digest",
    "shipped_policies",
]
