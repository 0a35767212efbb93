"""From findings to the report."""

from __future__ import annotations

from datetime import datetime

from onnxprobe.analysis.conductor.findings import Findings
from onnxprobe.analysis.conductor.selfcheck import check_ranks
from onnxprobe.analysis.configuration import Configuration
from onnxprobe.analysis.messages import ActivationAnswer, CatalogueEntry, JacobianAnswer, Layout
from onnxprobe.record import (
    Coverage,
    DofRecord,
    ExecutionRecord,
    JacobianRecord,
    JointRecord,
    Omission,
    ReleaseRecord,
    Report,
    RunRecord,
    SeparationRecord,
    SourceRecord,
    Status,
    TensorRecord,
)

__all__ = ["assemble_report"]

_UNFINISHED = "the analysis ended before it was measured"

# The most telling first.
_PRECEDENCE: tuple[Status, ...] = (
    "non-finite",
    "not repeatable",
    "constant",
    "independent",
    "piecewise constant",
    "not differentiable",
    "at least",
    "saturated",
    "rescaled",
)


def assemble_report(
    findings: Findings,
    configuration: Configuration,
    paths: dict[str, str],
    started: datetime,
    elapsed_s: float,
    isolation: dict[str, bool] | None = None,
) -> Report:
    """Say what was found.

    Args:
        findings: Of an analysis that opened its model, finished or not.
        configuration: What the user asked for.
        paths: Paths that were given.
        started: When the analysis started.
        elapsed_s: How long it took.
        isolation: What the system did to confine the worker, if there was one.

    Returns:
        The report; every tensor of the model is in it as analysed, skipped or failed.
    """
    opening = findings.opening
    assert opening is not None
    self_check = check_ranks(findings)
    tensors: list[TensorRecord] = []
    skipped: list[Omission] = []
    failed: list[Omission] = []
    together: list[JointRecord] = []
    for entry in opening.entries:
        if entry.joins:
            together += _joint(findings, entry)
            continue
        if entry.name in findings.skipped:
            reason = findings.skipped[entry.name]
            skipped.append(_omission(entry, reason))
            continue
        record = _tensor(findings, entry)
        if isinstance(record, str):
            failed.append(_omission(entry, record))
        else:
            tensors.append(record)
    return Report(
        model=opening.model,
        data=opening.data,
        source=_source(findings),
        prior=findings.source.prior if findings.source else None,
        execution=_execution(findings),
        tensors=tensors,
        together=together,
        membership=opening.cohorts,
        coverage=Coverage(
            tensors=sum(not entry.joins for entry in opening.entries),
            analysed=len(tensors),
            skipped=skipped,
            failed=failed,
        ),
        graph=_graph(findings),
        self_check=self_check,
        assumptions=findings.assumptions,
        run=RunRecord(
            configuration=configuration.model_dump(mode="json"),
            versions=opening.versions,
            paths=paths,
            started=started.isoformat(timespec="seconds"),
            elapsed_s=elapsed_s,
            isolation=isolation,
            interrupted=findings.interrupted,
        ),
    )


def _omission(entry: CatalogueEntry, reason: str) -> Omission:
    return Omission(name=entry.name, reason=reason, op_type=entry.op_type, constant=entry.constant)


def _joint(findings: Findings, entry: CatalogueEntry) -> list[JointRecord]:
    """Return the record of a joint release; none, and an assumption, if it was not measured."""
    record: TensorRecord | str = findings.skipped.get(entry.name) or _tensor(findings, entry)
    if isinstance(record, TensorRecord):
        return [JointRecord(tensors=entry.joins, record=record)]
    names = " and ".join(map(repr, entry.joins))
    findings.assumptions.append(f"the joint release of {names} was not measured: {record}")
    return []


def _graph(findings: Findings) -> dict[str, list[str]]:
    """Say what each tensor is computed from; weights are none of it."""
    assert findings.opening is not None
    inputs = {each.name for each in findings.opening.model.inputs}
    known = inputs.union(findings.entries)
    return {
        name: [parent for parent in entry.parents if parent in known]
        for name, entry in findings.entries.items()
        if not entry.joins
    }


def _tensor(findings: Findings, entry: CatalogueEntry) -> TensorRecord | str:
    """Return the record of a tensor, or why there is none."""
    layout = findings.layouts.get(entry.name)
    stand_in = findings.groups.measured_as.get(entry.name)
    if entry.name in findings.failed:
        return findings.failed[entry.name]
    base = findings.groups.differentiated_as(stand_in) if stand_in is not None else None
    for other in (stand_in, base):
        if other is not None and other in findings.failed:
            return findings.failed[other]
    if layout is None or stand_in is None or stand_in not in findings.activations:
        return _UNFINISHED
    assert base is not None
    measured = findings.activations[stand_in]
    jacobian = _jacobian(findings, stand_in, base, layout, measured.dof)
    if jacobian is None:
        return _UNFINISHED
    dof = measured.dof.model_copy()
    whole = findings.source.dof.value if findings.source else None
    dof.share = dof.value / whole if dof.value is not None and whole else None
    found = findings.jacobians.get(base)
    return TensorRecord(
        name=entry.name,
        op_type=entry.op_type,
        node=entry.node,
        dtype=entry.dtype or layout.dtype,
        shape=layout.shape,
        batch_axis=layout.axis,
        is_output=entry.is_output,
        status=_status(jacobian.status, dof.status),
        shares_with=stand_in if stand_in != entry.name else None,
        lower_bounds=_lower_bounds(jacobian),
        activations=measured.activations,
        dof=dof,
        jacobian=jacobian,
        release=_release(found, measured),
        noise_for=_noise_for(found, measured),
        classes=measured.classes,
        membership=_membership(findings, stand_in, base),
    )


def _membership(findings: Findings, stand_in: str, base: str) -> list[SeparationRecord]:
    """Put together what activations tell, and what the Jacobian does, which shifts share."""
    own = findings.membership.get(stand_in, [])
    of_base = [] if base == stand_in else findings.membership.get(base, [])
    return [*own, *(each for each in of_base if each.statistic != "activation typicality")]


def _release(found: JacobianAnswer | None, measured: ActivationAnswer) -> list[ReleaseRecord]:
    """Put together what the Jacobian predicts and what a reconstruction attains."""
    predicted = found.release.get(measured.name, []) if found else []
    by_noise = {record.noise: record.model_copy() for record in predicted}
    for each in measured.attained:
        record = by_noise.setdefault(each.noise, ReleaseRecord(noise=each.noise, s=each.s))
        record.attained = each.share
        record.tokens_reidentified = each.tokens
    return [*by_noise.values()]


def _lower_bounds(jacobian: JacobianRecord) -> list[str]:
    """Name the figures that unseen directions can only raise."""
    if jacobian.complete or jacobian.rank is None:
        return []
    ranks = ["jacobian.rank", "jacobian.share"] if jacobian.rank.at_least else []
    if any(levels.at_least for levels in jacobian.rank_at.values()):
        ranks.append("jacobian.rank_at")
    return [*ranks, "release.recoverable_dof", "release.bits"]


def _noise_for(found: JacobianAnswer | None, measured: ActivationAnswer) -> dict[str, float | None]:
    """Take the noise that is enough by prediction and against the reconstruction."""
    predicted = found.noise_for.get(measured.name, {}) if found else {}
    needed: dict[str, float | None] = {}
    for target, enough in predicted.items():
        # What was not reconstructed asks for no noise of its own.
        attained = measured.noise_for.get(target, 0.0)
        needed[target] = None if enough is None or attained is None else max(enough, attained)
    return needed


def _jacobian(
    findings: Findings, stand_in: str, base: str, layout: Layout, dof: DofRecord
) -> JacobianRecord | None:
    size = findings.source_size
    status: Status | None = None
    if findings.source is None:
        status = "not differentiable"
    elif stand_in in findings.insensitive or base in findings.insensitive:
        status = findings.insensitive.get(stand_in) or findings.insensitive[base]
    if status is not None:
        return JacobianRecord(
            method=None,
            inputs=size,
            outputs=layout.size,
            complete=False,
            directions=0,
            status=status,
        )
    answer = findings.jacobians.get(base)
    if answer is None:
        return None
    record = answer.jacobian.model_copy()
    if record.method == "forward mode":
        record.numerical_nodes = findings.numerical.get(base, [])
        record.straight_through = findings.entries[base].straight
    flat = all(each.frobenius is not None and each.frobenius[2] == 0 for each in record.samples)
    if flat and dof.status != "constant":
        # It varies over the samples, and no direction at any sample moves it.
        record.status = "piecewise constant"
    return record


def _status(*found: Status) -> Status:
    return next((status for status in _PRECEDENCE if status in found), "ok")


def _source(findings: Findings) -> SourceRecord | None:
    opening, source = findings.opening, findings.source
    if opening is None or not opening.source_names:
        return None
    return SourceRecord(
        names=opening.source_names,
        size=findings.source_size,
        chosen=opening.source_chosen,
        dof=source.dof if source else None,
        tokens=source.tokens if source else None,
        vocabulary=source.vocabulary if source else None,
        tokens_guessed=source.tokens_guessed if source else None,
    )


def _execution(findings: Findings) -> ExecutionRecord | None:
    opening = findings.opening
    if opening is None:
        return None
    layouts = findings.layouts.values()
    repeatability = [layout.repeatability for layout in layouts]
    return ExecutionRecord(
        provider=opening.provider,
        provider_reason=opening.provider_reason,
        provider_options=opening.provider_options,
        optimised_chunks=sum(findings.optimised),
        plain_chunks=len(findings.optimised) - sum(findings.optimised),
        optimised_difference=findings.optimised_difference if any(findings.optimised) else None,
        output_difference=findings.output_difference,
        batched_tensors=sum(layout.batched for layout in layouts),
        single_tensors=sum(not layout.batched for layout in layouts),
        upcast_difference=opening.upcast_difference,
        repeatability=max(repeatability, default=None),
    )
