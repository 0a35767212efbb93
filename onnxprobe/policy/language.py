"""The language of policies: rules that bound measures of tensors, and waivers."""

from __future__ import annotations

import math
import re
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

from onnxprobe.hints import did_you_mean
from onnxprobe.policy.measures import MEASURES
from onnxprobe.policy.wording import PlacedError, shown

__all__ = ["Bound", "Bounds", "Policy", "Rule", "Severity", "Waiver"]

Severity: TypeAlias = Literal["error", "warning"]
_MAX_RULES = 1000
_MAX_TEXTS = 10_000
_MAX_BOUNDS = 100


_Said = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"\S")]
_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]
_Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1, max_length=_MAX_TEXTS)
]

# Formats whose rounding is a level of noise.
_FORMATS = ("float32", "float16", "bfloat16", "int8")
_FORMATS_SAID = f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}"
# Measures that are 1 at most, whatever the model: a limit of 20, meant as 20 %, bounds nothing.
_SHARES = frozenset({
    "recoverable_share",
    "rank_share",
    "van_trees_share",
    "tokens_reidentified",
    "intra_class_share",
    "membership_auc",
    "membership_tpr",
})
# Python reads digits of other scripts, and spaces around a number.
_NUMBER = re.compile(r"[0-9.eE+_-]+")


def _is_positive(text: str) -> bool:
    try:
        return _NUMBER.fullmatch(text) is not None and 0 < float(text) < math.inf
    except ValueError:
        return False


def _level(text: str | None) -> float | str | None:
    return text if text is None or text in _FORMATS else float(text)


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

    @property
    def of(self) -> tuple[float | str | None, ...]:
        """What the measure depends on, equal where it means the same however it is spelled."""
        return _level(self.noise), _level(self.tolerance), _level(self.target)

    @field_validator("value", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf

    @field_validator("noise", "tolerance", "target", mode="before")
    @classmethod
    def _text(cls, value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return repr(value)
        if value is None or isinstance(value, str):
            return value
        raise ValueError(f"{shown(value)} is neither a number nor a text")

    @field_validator("noise")
    @classmethod
    def _is_a_level(cls, noise: str | None) -> str | None:
        if noise is None or noise in _FORMATS or _is_positive(noise):
            return noise
        raise ValueError(
            f"{shown(noise)} is no release noise; expected a number above 0, or {_FORMATS_SAID}"
        )

    @field_validator("tolerance", "target")
    @classmethod
    def _is_a_share(cls, share: str | None, info: ValidationInfo) -> str | None:
        if share is None or (_is_positive(share) and float(share) < 1):
            return share
        raise ValueError(
            f"{shown(share)} is no {info.field_name}; expected a number between 0 and 1"
        )


class Bounds(_Part):
    """Limits by measure.

    Attributes:
        limits: One or more per measure.
    """

    limits: dict[str, Annotated[tuple[Bound, ...], Field(max_length=_MAX_BOUNDS)]] = Field(
        min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        return {"limits": {name: _listed_bounds(name, value) for name, value in given.items()}}

    @model_validator(mode="after")
    def _is_meant(self) -> Self:
        for name, limits in self.limits.items():
            places: dict[object, int] = {}
            for place, bound in enumerate(limits):
                is_new = places.setdefault(bound.of, place) == place
                said = _doubt(name, bound, is_new=is_new)
                if said:
                    raise PlacedError(said, name, place)
        return self


def _listed_bounds(name: str, given: object) -> tuple[object, ...]:
    """Read ``0.2``, ``{ noise = 0.1, value = 0.05 }``, or a list of such."""
    if name not in MEASURES:
        known, near = ", ".join(MEASURES), did_you_mean(name, MEASURES, 0.6)
        raise PlacedError(
            f"there is no measure {shown(name)}{near}; there are {known}",
            name,
        )
    listed = given if isinstance(given, list | tuple) else [given]
    for place, each in enumerate(listed):
        if isinstance(each, bool) or not isinstance(each, dict | int | float | Bound):
            raise PlacedError(
                f"{name} is bounded by {shown(each)}; expected a number or a table", name, place
            )
    if not listed:
        raise PlacedError(f"{name} is bounded by nothing", name)
    return tuple(each if isinstance(each, dict | Bound) else {"value": each} for each in listed)


def _doubt(name: str, bound: Bound, *, is_new: bool) -> str:
    """Say why a bound cannot be what is meant, if so."""
    measure, value = MEASURES[name], f"{bound.value:g}"
    if measure.needs_noise and bound.noise is None:
        return f"{name} depends on release noise: write {{ noise = 0.1, value = {value} }}"
    if bound.noise is not None and not measure.needs_noise:
        return f"{name} does not depend on noise"
    if bound.tolerance is not None and not measure.takes_tolerance:
        return f"{name} does not depend on a tolerance"
    if bound.target is not None and not measure.takes_target:
        return f"{name} does not depend on a target"
    if bound.value < 0:
        return f"{name} is bounded by {value}, and is never below 0"
    if bound.value > 1 and name in _SHARES:
        return f"{name} is bounded by {value}, and is never above 1: write 0.2 for 20 %"
    if not is_new:
        at = f" at noise {bound.noise}" if bound.noise else ""
        at += f" at tolerance {bound.tolerance}" if bound.tolerance else ""
        at += f" for a share of {bound.target}" if bound.target else ""
        return f"{name}{at} is bounded twice"
    return ""


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
        released: set[str] = set()
        for place, name in enumerate(self.together or ()):
            if name in released:
                raise PlacedError(f"{shown(name)} stands twice in together", "together", place)
            released.add(name)
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
    reason: _Said
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

    name: _Name = "policy"
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
        names: set[str] = set()
        for place, rule in enumerate(self.rules):
            if rule.name in names:
                raise PlacedError(f"two rules are called {rule.name!r}", "rule", place, "name")
            names.add(rule.name)
        for place, waiver in enumerate(self.waivers):
            if waiver.rule not in names:
                raise PlacedError(
                    f"a waiver is for rule {waiver.rule!r}, which there is not"
                    f"{did_you_mean(waiver.rule, names)}",
                    "waiver",
                    place,
                    "rule",
                )
        return self

    @property
    def together(self) -> tuple[tuple[str, ...], ...]:
        """The joint releases that its rules speak of, and that the model must have."""
        return self._releases(optional=False)

    @property
    def together_if_known(self) -> tuple[tuple[str, ...], ...]:
        """The joint releases that optional rules speak of."""
        return tuple(each for each in self._releases(optional=True) if each not in self.together)

    def _releases(self, *, optional: bool) -> tuple[tuple[str, ...], ...]:
        found = (rule.together for rule in self.rules if rule.optional is optional)
        return tuple(dict.fromkeys(each for each in found if each))

    @property
    def noise(self) -> tuple[str, ...]:
        """The levels of release noise that its rules speak of."""
        levels: dict[object, str] = {}
        for bound in self._limits():
            if bound.noise:
                levels.setdefault(_level(bound.noise), bound.noise)
        return tuple(levels.values())

    @property
    def targets(self) -> tuple[float, ...]:
        """The shares for which its rules ask how much noise is enough."""
        return tuple(dict.fromkeys(float(each.target) for each in self._limits() if each.target))

    @property
    def tolerances(self) -> tuple[float, ...]:
        """The relative tolerances at which its rules count ranks."""
        tolerances = (float(each.tolerance) for each in self._limits() if each.tolerance)
        return tuple(dict.fromkeys(tolerances))

    def _limits(self) -> Iterator[Bound]:
        for rule in self.rules:
            for bounds in (rule.max, rule.min):
                for limits in bounds.limits.values() if bounds else ():
                    yield from limits
