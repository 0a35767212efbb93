"""Which tensors of a model a rule is for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from fnmatch import translate

from onnxprobe.hints import did_you_mean
from onnxprobe.policy.language import Rule
from onnxprobe.policy.measures import silence
from onnxprobe.policy.questions import Question
from onnxprobe.policy.wording import PlacedError, shown
from onnxprobe.record import Omission, Report, TensorRecord

__all__ = ["Selection", "matching", "released_together", "select_tensors"]

# What makes a glob of a name.
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class Selection:
    """The tensors of a rule.

    Attributes:
        analysed: Those with figures.
        unknown: By name, why there are none.
        unmatched: Names and globs of the rule, by key and place, that no tensor has.
    """

    analysed: tuple[TensorRecord, ...]
    unknown: Mapping[str, str]
    unmatched: Mapping[tuple[str, int], str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether the rule is for no tensor of the model."""
        return not self.analysed and not self.unknown


def matching(patterns: Sequence[str], names: Iterable[str]) -> set[str]:
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
    return set().union(*_by_pattern(patterns, set(names)))


def _by_pattern(patterns: Sequence[str], names: Set[str]) -> Iterator[set[str]]:
    for pattern in patterns:
        if pattern in names:
            yield {pattern}
        elif _MAGIC.search(pattern):
            matches = _glob(pattern).match
            yield {name for name in names if matches(name)}
        else:
            yield set()


def _glob(pattern: str) -> re.Pattern[str]:
    # A bracket that nothing closes is a letter: fnmatch looks for the end of each, which takes the
    # square of the length.
    end = pattern.rfind("]") + 1
    return re.compile(translate(pattern[:end] + pattern[end:].replace("[", "[[]")))


def select_tensors(report: Report, rule: Rule) -> Selection:
    """Find the tensors of a rule.

    Args:
        report: The report.
        rule: The rule.

    Returns:
        Its tensors: those that all of its selectors name, and ``exclude`` does not. Tensors that no
        input reaches are left out.

    Raises:
        PlacedError: If a cut is no tensor of the model, or the rule matches nothing, and it is not
            optional; or if the report does not tell what comes after a cut.
    """
    if rule.together is not None:
        return _released_together(report, rule, rule.together)
    records = {tensor.name: tensor for tensor in report.tensors}
    omitted = _omitted(report)
    names = [*records, *omitted]
    # Such as an input that is handed through.
    uncomputed = set(report.model.outputs).difference(names) if rule.role == "output" else set()
    candidates = uncomputed.union(names)
    chosen = set(candidates)
    unmatched: dict[tuple[str, int], str] = {}
    if rule.tensors is not None:
        chosen &= _named("tensors", rule.tensors, candidates, unmatched)
        for (_, place), name in unmatched.items():
            # A glob may be for other models; a name that is misspelt guards nothing.
            if not rule.optional and chosen and not _MAGIC.search(name):
                raise PlacedError(
                    f"rule {rule.name!r} names {shown(name)}, which is no tensor of the model"
                    f"{did_you_mean(name, names)}, and is not optional",
                    "tensors",
                    place,
                )
    if rule.op_types is not None:
        operators = {name: each.op_type for name, each in (omitted | records).items()}
        # A report that does not say what computes a tensor leaves it to be anything.
        asked = {"", *matching(rule.op_types, set(operators.values()))}
        chosen = {name for name in chosen if operators.get(name, "") in asked}
    if rule.role == "output":
        chosen &= set(report.model.outputs)
    if rule.after is not None:
        chosen &= _behind(report, rule, names, unmatched)
    if rule.exclude is not None:
        chosen -= _named("exclude", rule.exclude, candidates, unmatched)
    unknown = {
        name: f"it was not analysed: {omitted[name].reason}"
        for name in omitted
        if name in chosen and not omitted[name].constant
    }
    handed_through = [name for name in report.model.outputs if name in uncomputed]
    unknown |= {
        name: "it is no tensor that any node computes" for name in handed_through if name in chosen
    }
    analysed = tuple(records[name] for name in records if name in chosen)
    selection = Selection(analysed, unknown, unmatched)
    if selection.is_empty and not rule.optional:
        raise PlacedError(_nothing(rule, names, constant=bool(chosen)))
    return selection


def _omitted(report: Report) -> dict[str, Omission]:
    return {each.name: each for each in (*report.coverage.skipped, *report.coverage.failed)}


def _named(
    key: str, patterns: Sequence[str], names: Set[str], unmatched: dict[tuple[str, int], str]
) -> set[str]:
    """Find the names that match any pattern, and remember the patterns that none does."""
    found: set[str] = set()
    for place, matched in enumerate(_by_pattern(patterns, names)):
        found |= matched
        if not matched:
            unmatched[key, place] = patterns[place]
    return found


def _released_together(report: Report, rule: Rule, names: Sequence[str]) -> Selection:
    """Return a joint release, under the names of its tensors."""
    label = " + ".join(names)
    known = {*report.graph, *(tensor.name for tensor in report.tensors), *_omitted(report)}
    missing = [place for place, name in enumerate(names) if name not in known]
    if missing and rule.optional:
        return Selection((), {})
    if missing:
        name = names[missing[0]]
        raise PlacedError(
            f"rule {rule.name!r} releases {shown(name)}, which the model has not"
            f"{did_you_mean(name, known)}",
            "together",
            missing[0],
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
    if len(names) == 1:
        return records[names[0]]
    for joint in report.together:
        if set(joint.tensors) == set(names):
            return joint.record
    return "the report has no release of them together: --together adds it"


def _behind(
    report: Report, rule: Rule, names: Sequence[str], unmatched: dict[tuple[str, int], str]
) -> set[str]:
    """Return a cut, and all that is computed from it."""
    assert rule.after is not None
    if not report.graph:
        raise PlacedError(
            f"rule {rule.name!r} asks what comes after a cut, which this report does not tell; "
            "analyse the model again",
            "after",
        )
    inputs = [each.name for each in report.model.inputs]
    missing: dict[tuple[str, int], str] = {}
    found = _named("after", rule.after, {*names, *inputs}, missing)
    if missing and not rule.optional:
        place, name = next(iter(missing.items()))
        raise PlacedError(
            f"rule {rule.name!r} names the cut {shown(name)}, which the model has not"
            f"{did_you_mean(name, names)}",
            *place,
        )
    unmatched |= missing
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
    near = did_you_mean(rule.tensors[0], names) if rule.tensors else ""
    return f"rule {rule.name!r} matches no tensor of the model{near}, and is not optional"
