"""The language of policies: rules that bound measures of tensors, and waivers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationInfo,
    field_validator,
    model_validator,
)

from onnxprobe.policy.measures import MEASURES

__all__ = ["Bound", "Bounds", "Policy", "Rule", "Severity", "Waiver"]

Severity: TypeAlias = Literal["error", "warning"]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
_MAX_RULES = 1000


# Formats whose rounding is a level of noise.
_FORMATS = ("float32", "float16", "bfloat16", "int8")
_FORMATS_SAID = ", ".join(_FORMATS)


def _is_positive(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Bound(_Part):
    """A limit of a measure, with what the measure depends on.

    Attributes:
        value: The limit.
        noise: Release noise: a number in units of the tensor's RMS, or a format.
        tolerance: Relative tolerance of a rank.
        target: Share of the input that may be recoverable.
    """

    value: FiniteFloat
    noise: str | None = None
    tolerance: str | None = None
    target: str | None = None

    @field_validator("value", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("noise", "tolerance", "target", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return repr(value) if is_number else value

    @field_validator("noise")
    @classmethod
    def _is_a_level(cls, noise: str | None) -> str | None:
        if noise is None or noise in _FORMATS or _is_positive(noise):
            return noise
        raise ValueError(f"{noise!r} is no release noise: a number above 0 or {_FORMATS_SAID}")

    @field_validator("tolerance", "target")
    @classmethod
    def _is_a_share(cls, share: str | None, info: ValidationInfo) -> str | None:
        if share is None or (_is_positive(share) and float(share) < 1):
            return share
        raise ValueError(f"{share!r} is no {info.field_name}: a number between 0 and 1")


class Bounds(_Part):
    """Limits by measure.

    Attributes:
        limits: One or more per measure.
    """

    limits: dict[str, tuple[Bound, ...]] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        return {"limits": {name: _bounds(name, value) for name, value in given.items()}}


def _bounds(name: str, given: object) -> tuple[Bound, ...]:
    """Read ``0.2``, ``{ noise = 0.1, value = 0.05 }``, or a list of such."""
    measure = MEASURES.get(name)
    if measure is None:
        raise ValueError(f"there is no measure {name!r}; there are {', '.join(MEASURES)}")
    found = []
    for each in given if isinstance(given, list) else [given]:
        if isinstance(each, bool) or not isinstance(each, dict | int | float):
            raise ValueError(f"{name} is bounded by {each!r}; expected a number or a table")
        bound = Bound.model_validate(each if isinstance(each, dict) else {"value": each})
        if measure.needs_noise and bound.noise is None:
            raise ValueError(
                f"{name} depends on release noise: write {{ noise = 0.1, value = {bound.value:g} }}"
            )
        if bound.noise is not None and not measure.needs_noise:
            raise ValueError(f"{name} does not depend on noise")
        if bound.tolerance is not None and not measure.takes_tolerance:
            raise ValueError(f"{name} does not depend on a tolerance")
        if bound.target is not None and not measure.takes_target:
            raise ValueError(f"{name} does not depend on a target")
        found.append(bound)
    if not found:
        raise ValueError(f"{name} is bounded by nothing")
    return tuple(found)


class Rule(_Part):
    """What must hold of some tensors.

    Attributes:
        name: What to call it.
        description: Why it is there.
        tensors: Names, or globs whose ``*`` crosses ``/``; a name that is one of the model's is
            that tensor and no glob.
        op_types: Operators, as globs.
        role: ``"output"`` for the model's outputs, ``"all"`` for every tensor.
        after: A cut: these tensors, and everything computed from them.
        exclude: Names or globs of tensors to leave out.
        together: Names of tensors that are one release, which the rule is for instead of each.
        max: Measures that may be no larger.
        min: Measures that may be no smaller.
        severity: Whether breaking it fails the check, or is a warning.
        optional: Whether it may match no tensor.
    """

    name: _Name
    description: str = ""
    tensors: _Texts | None = None
    op_types: _Texts | None = None
    role: Literal["output", "all"] | None = None
    after: _Texts | None = None
    exclude: _Texts | None = None
    together: _Texts | None = None
    max: Bounds | None = None
    min: Bounds | None = None
    severity: Severity = "error"
    optional: bool = False

    @field_validator("tensors", "op_types", "after", "exclude", "together", mode="before")
    @classmethod
    def _listed(cls, given: object) -> object:
        if isinstance(given, str):
            return (given,)
        return tuple(given) if isinstance(given, list) else given

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        chosen = (self.tensors, self.op_types, self.role, self.after)
        if self.together and (any(chosen) or self.exclude):
            raise ValueError("together names one release, and nothing selects among its tensors")
        if not (self.together or any(chosen)):
            raise ValueError(
                "it says nothing about which tensors it is for: give tensors, op_types, role, "
                "after or together"
            )
        if self.max is None and self.min is None:
            raise ValueError("it bounds nothing: give max or min")
        return self


class Waiver(_Part):
    """A rule that need not hold of some tensors, for a reason and a time.

    Attributes:
        rule: The rule's name.
        tensors: Names or globs; every tensor of the rule if not given.
        reason: Why.
        expires: The last day on which it counts.
    """

    rule: _Name
    tensors: _Texts | None = None
    reason: Annotated[str, Field(min_length=1)]
    expires: date

    _listed = field_validator("tensors", mode="before")(Rule._listed.__func__)  # type: ignore[attr-defined]


class Policy(_Part):
    """Rules, and what is excepted from them.

    Attributes:
        name: What to call it.
        description: What it is for.
        rules: The rules.
        waivers: The exceptions.
    """

    name: str = "policy"
    description: str = ""
    rules: tuple[Rule, ...] = Field(alias="rule", min_length=1, max_length=_MAX_RULES)
    waivers: tuple[Waiver, ...] = Field((), alias="waiver", max_length=_MAX_RULES)

    @field_validator("rules", "waivers", mode="before")
    @classmethod
    def _tables(cls, given: object) -> object:
        if isinstance(given, tuple):
            return given
        if not isinstance(given, list):
            raise ValueError("rules and waivers are tables: write [[rule]] or [[waiver]]")
        return tuple(given)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [rule.name for rule in self.rules]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules are called {name!r}")
        for waiver in self.waivers:
            if waiver.rule not in names:
                raise ValueError(f"a waiver is for rule {waiver.rule!r}, which there is not")
        return self

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        """The joint releases that its rules speak of."""
        return tuple(dict.fromkeys(rule.together for rule in self.rules if rule.together))

    @property
    def noise(self) -> tuple[str, ...]:
        """The levels of release noise that its rules speak of."""
        return tuple(dict.fromkeys(limit.noise for limit in self._limits() if limit.noise))

    @property
    def targets(self) -> tuple[float, ...]:
        """The shares for which its rules ask how much noise is enough."""
        return tuple(dict.fromkeys(float(each.target) for each in self._limits() if each.target))

    def _limits(self) -> Iterator[Bound]:
        for rule in self.rules:
            for bounds in (rule.max, rule.min):
                for limits in bounds.limits.values() if bounds else ():
                    yield from limits
