"""Which tensors are differentiated in forward mode, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence

from onnxprobe.analysis.conductor.findings import Findings
from onnxprobe.analysis.conductor.link import Link, WorkerLostError
from onnxprobe.analysis.messages import DerivationAnswer

__all__ = ["choose_forward"]

# Nodes without an exact rule that are named one by one.
_NAMED_NODES = 3


def choose_forward(link: Link, findings: Findings, names: Sequence[str], wanted: str) -> None:
    """Ask which tensors have exact tangents, and note it.

    Args:
        link: To the worker, whose model is open and surveyed.
        findings: Receives the tensors, and what is assumed of the others.
        names: The tensors to differentiate.
        wanted: ``"auto"``, ``"jvp"`` (nodes differentiated numerically included) or ``"fd"``.
    """
    if wanted == "fd" or not names:
        return
    params = {"layouts": [findings.layouts[name].model_dump() for name in names]}
    try:
        answer = DerivationAnswer.model_validate(link.call("derive", params))
    except WorkerLostError as error:
        findings.assumptions.append(
            f"deriving the graph failed ({error}), so central differences were taken"
        )
        return
    findings.forward.update(answer.exact)
    if wanted == "jvp":
        findings.forward.update(answer.numerical)
    findings.numerical = dict.fromkeys(answer.numerical, answer.nodes)
    for reason in dict.fromkeys(answer.failed.values()):
        count = sum(why == reason for why in answer.failed.values())
        findings.assumptions.append(
            f"{count} of {len(names)} tensors have no exact derivative ({reason}); central "
            "differences were taken of them"
        )
    if answer.nodes:
        listed = "; ".join(answer.nodes[:_NAMED_NODES])
        more = len(answer.nodes) - _NAMED_NODES
        taken = "of these nodes alone" if wanted == "jvp" else "of the tensors behind them"
        findings.assumptions.append(
            f"no exact rule for {listed}{f' and {more} more' if more > 0 else ''}; central "
            f"differences were taken {taken}"
        )
