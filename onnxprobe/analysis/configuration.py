"""What the user asked for; every default is stated here, and printed in the report."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator, model_validator

__all__ = [
    "DEFAULT_NOISE",
    "DEFAULT_TARGETS",
    "MIN_MEMORY_BYTES",
    "Configuration",
    "ImageConfiguration",
    "Limits",
    "default_memory_bytes",
    "target_key",
]


# Below this a single run of a small model does not fit.
MIN_MEMORY_BYTES = 2**25
# Above these, numbers are mistakes, and system calls refuse them.
_MAX_SECONDS = 1e8
_MAX_MEMORY_BYTES = 2**60
_MAX_COUNT = 2**31 - 1
_SILENCE_S = 600.0
DEFAULT_NOISE = ("0.1", "int8")
DEFAULT_TARGETS = (0.05,)
_SILENCES = 6
# Opening a small model on a busy machine takes as long.
_LEAST_SILENCE_S = 3.0


def default_memory_bytes() -> int:
    """Return the default memory budget: half of what the machine has, at most 8 GiB.

    Returns:
        Bytes; what happens to be free at the moment does not count, so that runs can be repeated.
    """
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        total = 2**33
    return min(total // 2, 2**33)


def target_key(target: float) -> str:
    """Write a share as the report names it.

    Args:
        target: The share.

    Returns:
        Its shortest spelling.

    Example:
        >>> target_key(0.05), target_key(0.1)
        ('0.05', '0.1')
    """
    return f"{target:.12g}"


class ImageConfiguration(BaseModel):
    """How pictures become input: ``(pixel·scale − mean)/std``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: FiniteFloat | None = None
    mean: tuple[FiniteFloat, ...] = (0.0,)
    std: tuple[FiniteFloat, ...] = (1.0,)
    layout: Literal["auto", "NCHW", "NHWC", "flat"] = "auto"
    transpose: bool = False
    channels: Literal["rgb", "bgr"] = "rgb"
    resize: Literal["stretch", "crop"] = "stretch"


class Limits(BaseModel):
    """What an answer may cost.

    Attributes:
        memory_bytes: Memory to use.
        timeout_s: Seconds that everything may take; ``None`` for any.
        unit_timeout_s: Seconds without a sign of progress; ``None`` for 600, or a sixth of
            ``timeout_s`` if that is less and at least 3, so that the time is enough to find out
            what hangs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    memory_bytes: int = Field(
        default_factory=default_memory_bytes, ge=MIN_MEMORY_BYTES, le=_MAX_MEMORY_BYTES
    )
    timeout_s: float | None = Field(None, gt=0, le=_MAX_SECONDS)
    unit_timeout_s: float | None = Field(None, gt=0, le=_MAX_SECONDS)

    @property
    def silence_s(self) -> float:
        """Seconds without a sign of progress after which a computation is taken to hang."""
        if self.unit_timeout_s is not None:
            return self.unit_timeout_s
        whole = _SILENCE_S if self.timeout_s is None else self.timeout_s / _SILENCES
        return min(_SILENCE_S, max(_LEAST_SILENCE_S, whole))


class Configuration(Limits):
    """Everything that decides what an analysis computes, and what it may cost."""

    images: ImageConfiguration = ImageConfiguration()
    sizes: dict[str, Annotated[int, Field(ge=1, le=_MAX_COUNT)]] = Field(default_factory=dict)
    samples: int = Field(4, ge=1, le=_MAX_COUNT)
    directions: Literal["auto", "all"] | Annotated[int, Field(ge=1, le=_MAX_COUNT)] = "auto"
    wrt: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    together: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()
    together_if_known: tuple[Annotated[tuple[str, ...], Field(min_length=1)], ...] = ()
    jacobian: Literal["auto", "jvp", "fd"] = "auto"
    straight_through: bool = False
    prior: Literal["auto", "data", "image", "isotropic"] = "auto"
    step: Literal["auto"] | Annotated[FiniteFloat, Field(gt=0)] = "auto"
    noise: tuple[str, ...] = DEFAULT_NOISE
    targets: tuple[Annotated[FiniteFloat, Field(gt=0, lt=1)], ...] = DEFAULT_TARGETS
    tolerance: float = Field(1e-3, gt=0, lt=1)
    rank_tolerances: tuple[Annotated[FiniteFloat, Field(gt=0, lt=1)], ...] = ()
    data_limit: int | None = Field(None, ge=2, le=_MAX_COUNT)
    device: Literal["auto", "cuda", "cpu"] = "auto"
    threads: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1)
    seed: int = Field(0, ge=0, lt=2**63)
    allow_links: bool = False
    data_digest: bool = True

    def figures(self) -> dict[str, Any]:
        """Return the options that figures depend on: all but limits of time, and threads.

        Returns:
            Plain data.
        """
        return self.model_dump(mode="json", exclude={"timeout_s", "unit_timeout_s", "threads"})

    @model_validator(mode="after")
    def _straight_through_is_exact(self) -> Self:
        if self.straight_through and self.jacobian == "fd":
            raise ValueError(
                "differences do not pass straight through rounding: choose jacobian auto or jvp"
            )
        return self

    @field_validator("threads")
    @classmethod
    def _at_most_processors(cls, threads: int) -> int:
        # More would only wait for each other; no figure depends on the number.
        return min(threads, os.cpu_count() or 1)
