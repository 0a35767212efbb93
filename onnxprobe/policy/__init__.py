"""What reports amount to: verdicts under a policy, comparisons, trajectories."""

from onnxprobe.policy.comparison import Comparison, Difference, compare
from onnxprobe.policy.judging import judge, report_digest
from onnxprobe.policy.language import Bound, Policy, Rule, Waiver
from onnxprobe.policy.measures import MEASURES
from onnxprobe.policy.parsing import PolicyFile, read_policy, shipped_policies
from onnxprobe.policy.questions import Measure
from onnxprobe.policy.trajectory import Series, Trajectory, follow
from onnxprobe.policy.verdict import EXIT_CODES, Finding, Judgement, RuleResult, Verdict

__all__ = [
    "EXIT_CODES",
    "MEASURES",
    "Bound",
    "Comparison",
    "Difference",
    "Finding",
    "Judgement",
    "Measure",
    "Policy",
    "PolicyFile",
    "Rule",
    "RuleResult",
    "Series",
    "Trajectory",
    "Verdict",
    "Waiver",
    "compare",
    "follow",
    "judge",
    "read_policy",
    "report_digest",
    "shipped_policies",
]
