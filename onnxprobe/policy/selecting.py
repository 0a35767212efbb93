"""Which tensors of a model a rule is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase

from onnxprobe.errors import PolicyError
from onnxprobe.policy.language import Rule
from onnxprobe.policy.measures import silence
from onnxprobe.policy.questions import Question
from onnxprobe.record import Report, TensorRecord

__all__ = ["Selection", "matching", "released_together", "select_tensors"]


@dataclass(frozen=True)
class Selection:
    """The tensors of a rule.

    Attributes:
        analysed: Those with figures.
        unknown: By name, why there are none.
    """

    analysed: tuple[TensorRecord, ...]
    unknown: Mapping[str, str]

    @property
    def is_empty(self) -> bool:
        """Whether the rule is for no tensor of the model."""
        return not self.analysed and not self.unknown


def matching(patterns: Sequence[str], names: Sequence[str]) -> set[str]:
    """Find the names that match.

    Args:
        patterns: Names, or globs whose ``*`` crosses ``/``. What is a name is no glob: names may
            hold brackets.
        names: All names.

    Returns:
        Those that match any pattern.

    Example:
        >>> sorted(matching(["a[0]", "b*"], ["a[0]", "a0", "b/c/d"]))
        ['a[0]', 'b/c/d']
    """
    known = set(names)
    found: set[str] = set()
    for pattern in patterns:
        if pattern in known:
            found.add(pattern)
        else:
            found.update(name for name in names if fnmatchcase(name, pattern))
    return found


def select_tensors(report: Report, rule: Rule) -> Selection:
    """Find the tensors of a rule.

    Args:
        report: The report.
        rule: The rule.

    Returns:
        Its tensors: those that all of its selectors name, and ``exclude`` does not. Tensors that no
        input reaches are left out.

    Raises:
        PolicyError: If a cut is no tensor of the model, or the rule matches nothing and is not
            optional.
    """
    if rule.together is not None:
        return _released_together(report, rule, rule.together)
    records = {tensor.name: tensor for tensor in report.tensors}
    omitted = {each.name: each for each in (*report.coverage.skipped, *report.coverage.failed)}
    names = [*records, *omitted]
    chosen = set(names)
    if rule.tensors is not None:
        chosen &= matching(rule.tensors, names)
    if rule.op_types is not None:
        operators = {name: each.op_type for name, each in (omitted | records).items()}
        # A report that does not say what computes a tensor leaves it to be anything.
        chosen &= {
            name
            for name, operator in operators.items()
            if not operator or any(fnmatchcase(operator, each) for each in rule.op_types)
        }
    if rule.role == "output":
        chosen &= set(report.model.outputs)
    if rule.after is not None:
        chosen &= _behind(report, rule, names)
    if rule.exclude is not None:
        chosen -= matching(rule.exclude, names)
    unknown = {
        name: f"it was not analysed: {omitted[name].reason}"
        for name in omitted
        if name in chosen and not omitted[name].constant
    }
    if rule.role == "output" and rule.tensors is None and rule.after is None:
        # Such as an input that is handed through.
        missing = [name for name in report.model.outputs if name not in names]
        unknown |= dict.fromkeys(missing, "it is no tensor that any node computes")
    selection = Selection(tuple(records[name] for name in records if name in chosen), unknown)
    if selection.is_empty and not rule.optional:
        raise PolicyError(_nothing(rule, names, constant=bool(chosen)))
    return selection


def _released_together(report: Report, rule: Rule, names: Sequence[str]) -> Selection:
    """Return a joint release, under the names of its tensors."""
    label = " + ".join(names)
    known = {*report.graph, *(tensor.name for tensor in report.tensors)}
    missing = [name for name in names if name not in known]
    if missing and rule.optional:
        return Selection((), {})
    if missing:
        raise PolicyError(
            f"rule {rule.name!r} releases {missing[0]!r}, which the model has not"
            f"{_hint(missing[0], [*known])}"
        )
    found = released_together(report, names)
    if isinstance(found, str):
        return Selection((), {label: found})
    return Selection((found.model_copy(update={"name": label}),), {})


def released_together(report: Report, names: Sequence[str]) -> TensorRecord | str:
    """Find what a report says of several tensors as one release.

    Args:
        report: The report.
        names: The tensors.

    Returns:
        The record; or why it says too little: it is missing, or a part of it is not analysed, or
        has a derivative that tells nothing.
    """
    records = {tensor.name: tensor for tensor in report.tensors}
    for name in names:
        if name not in records:
            return f"{name} was not analysed"
        if reason := silence(Question(report, records[name])):
            return f"{name}: {reason}"
    for joint in report.together:
        if set(joint.tensors) == set(names):
            return joint.record
    return "the report has no release of them together: --together adds it"


def _behind(report: Report, rule: Rule, names: Sequence[str]) -> set[str]:
    """Return a cut, and all that is computed from it."""
    assert rule.after is not None
    if not report.graph:
        raise PolicyError(
            f"rule {rule.name!r} asks what comes after a cut, which this report does not tell; "
            "analyse the model again"
        )
    inputs = [each.name for each in report.model.inputs]
    found = set()
    for name in rule.after:
        cut = matching([name], [*names, *inputs])
        if not cut:
            raise PolicyError(
                f"rule {rule.name!r} names the cut {name!r}, which the model has not"
                f"{_hint(name, names)}"
            )
        found |= cut
    children: dict[str, list[str]] = {}
    for name, parents in report.graph.items():
        for parent in parents:
            children.setdefault(parent, []).append(name)
    pending = [*found]
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return found


def _nothing(rule: Rule, names: Sequence[str], *, constant: bool) -> str:
    if constant:
        return f"rule {rule.name!r} matches only tensors that no input reaches, and is not optional"
    hint = _hint(rule.tensors[0], names) if rule.tensors else ""
    return f"rule {rule.name!r} matches no tensor of the model{hint}, and is not optional"


def _hint(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(name, names, n=3, cutoff=0.3)
    return f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
