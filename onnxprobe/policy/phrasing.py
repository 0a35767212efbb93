"""What pydantic finds wrong with a policy, as one sentence of the language of policies."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from onnxprobe.hints import did_you_mean
from onnxprobe.policy.language import Bound, Policy, Rule, Waiver
from onnxprobe.policy.positions import Path, Positions
from onnxprobe.policy.wording import PlacedError, shown

__all__ = ["phrase"]

# What was expected, by the type of an error.
_EXPECTED = {
    "string_type": "a text",
    "bool_type": "true or false",
    "float_type": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a text, or a list of texts",
    "model_type": "a table",
    "date_type": "a day without quotes, such as 2027-01-31",
}
_TABLES: dict[str, type[BaseModel]] = {"rule": Rule, "waiver": Waiver}


def phrase(errors: Sequence[ErrorDetails], positions: Positions) -> tuple[int, str]:
    """Choose the error to tell first, and say what is wrong.

    Args:
        errors: What pydantic says; one at least.
        positions: Where the document says what.

    Returns:
        The line, and the sentence without a full stop.
    """
    placed = [(_path(error), error) for error in errors]
    path, error = min(placed, key=lambda each: (_rank(each[1]), positions.line(each[0])))
    found = positions.nearest(path)
    return positions.lines[found], _said(error, path, found)


def _rank(error: ErrorDetails) -> int:
    """Put causes first: a key that there is not before one that is missing, for instance."""
    if error["type"] == "extra_forbidden":
        return 0
    # Where no element of a list is right, pydantic says that it is empty as well.
    return 2 if error["type"] == "too_short" and error["input"] else 1


def _path(error: ErrorDetails) -> Path:
    """Return where in the document an error is."""
    path = _without_limits(error["loc"])
    cause = error.get("ctx", {}).get("error")
    return (*path, *cause.path) if isinstance(cause, PlacedError) else path


def _without_limits(path: Path) -> Path:
    """Leave out a word that the language has not: the model keeps there what max and min hold."""
    return (*path[:3], *path[4:]) if path[3:4] == ("limits",) else path


def _said(error: ErrorDetails, path: Path, found: Path) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        key, known = str(path[-1]), _keys(path[:-1])
        near = did_you_mean(key, known, 0.6)
        return f"there is no key {shown(key)} here{near}; there are {', '.join(known)}"
    if kind == "missing":
        return f"{_prefix(found)}{path[-1]!r} is missing"
    if kind == "value_error":
        # The sentence says what is wrong, and the model's own path of whom.
        return f"{_prefix(_without_limits(error['loc']))}{context['error']}"
    subject = _subject(found)
    if kind in {"too_short", "string_too_short"}:
        return f"{subject} is empty"
    if kind == "string_pattern_mismatch":
        return f"{subject} is blank"
    if kind in {"too_long", "string_too_long"}:
        what = "letters" if kind == "string_too_long" else "entries"
        return f"{subject} has more than {context['max_length']:,} {what}"
    expected = context.get("expected") or _EXPECTED.get(kind, "something else")
    return f"{subject} is {shown(error['input'])}; expected {expected}"


def _subject(path: Path) -> str:
    """Name what stands at a path, within its rule or waiver."""
    inner = path[2:] or path
    words = ".".join(step for step in inner if isinstance(step, str))
    last = inner[-1] if inner else ""
    return f"element {last + 1} of {words}" if isinstance(last, int) else words


def _prefix(path: Path) -> str:
    """Name whose part is wrong, where the line alone does not tell."""
    return f"{_subject(path)}: " if path[2:] else ""


def _keys(table: Path) -> list[str]:
    """Return the keys that a table may have."""
    model = Bound if len(table) > 2 else _TABLES.get(str(table[0]), Policy) if table else Policy
    return [field.alias or name for name, field in model.model_fields.items()]
