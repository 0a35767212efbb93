"""Which tensors are differentiated in forward mode, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence

from onnxprobe.analysis.conductor.findings import Findings
from onnxprobe.analysis.conductor.journal import Recorder
from onnxprobe.analysis.conductor.link import WorkerLostError
from onnxprobe.analysis.messages import DerivationAnswer

__all__ = ["choose_forward", "leave_to_differences"]

# Nodes without an exact rule that are named one by one.
_NAMED_NODES = 3


def choose_forward(link: Recorder, findings: Findings, names: Sequence[str], wanted: str) -> None:
    """Ask which tensors have tangents, and note it.

    Args:
        link: To the worker, whose model is open and surveyed.
        findings: Receives the tensors, and why the others have none.
        names: The tensors to differentiate.
        wanted: ``"auto"``, ``"jvp"`` or ``"fd"``.
    """
    if wanted == "fd" or not names:
        return
    params = {"layouts": [findings.layouts[name].model_dump() for name in names]}
    try:
        answer = DerivationAnswer.model_validate(link.call("derive", params))
    except WorkerLostError as error:
        findings.underived.update(dict.fromkeys(names, f"deriving the graph failed: {error}"))
        return
    findings.forward.update(answer.exact)
    findings.forward.update(answer.numerical)
    findings.numerical = dict.fromkeys(answer.numerical, answer.nodes)
    findings.underived.update(answer.failed)
    straight = sum(findings.entries[name].straight for name in findings.forward)
    if straight:
        pairs = f"{answer.straight} pair{'' if answer.straight == 1 else 's'}"
        tensors = f"{straight} tensor{'' if straight == 1 else 's'}"
        findings.assumptions.append(
            f"derivatives pass straight through {pairs} of QuantizeLinear and DequantizeLinear: "
            f"figures of the {tensors} behind that are those of a network that does not round"
        )
    if answer.nodes:
        listed = "; ".join(answer.nodes[:_NAMED_NODES])
        more = len(answer.nodes) - _NAMED_NODES
        findings.assumptions.append(
            f"no exact rule for {listed}{f' and {more} more' if more > 0 else ''}; central "
            f"differences were taken of these nodes alone, which {len(answer.numerical)} tensors "
            "depend on"
        )


def leave_to_differences(findings: Findings, names: Sequence[str], wanted: str) -> list[str]:
    """Decide what is measured by differences of the whole model, and fail what cannot be.

    Args:
        findings: Tensors with tangents are known; receives failures and what is assumed.
        names: The tensors to differentiate.
        wanted: ``"auto"``, ``"jvp"`` or ``"fd"``.

    Returns:
        Tensors of which differences are taken.
    """
    others = [name for name in names if name not in findings.forward]
    left = []
    for name in others:
        reason = findings.underived.get(name)
        if reason is not None and wanted == "jvp":
            findings.failed.setdefault(name, f"it has no exact derivative: {reason}")
        elif reason is not None and findings.entries[name].straight:
            findings.failed.setdefault(
                name,
                f"it lies behind rounding, which no difference passes straight through: {reason}",
            )
        else:
            left.append(name)
    reasons = [findings.underived[name] for name in left if name in findings.underived]
    for reason in dict.fromkeys(reasons):
        count = reasons.count(reason)
        findings.assumptions.append(
            f"{count} of {len(names)} tensors have no exact derivative ({reason}); central "
            "differences were taken of them"
        )
    return left
