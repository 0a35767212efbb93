"""Whether a run found what another found: the same, but for other processors and libraries."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.evidence.cells import Cell
from scripts.evidence.releases import attacks

__all__ = ["disagreements"]

# Trained weights differ between processors, and what is measured of them by less.
_MEASURED, _ATTACKED, _RELATIVE = 0.03, 0.06, 0.1
_SHARES = ("low", "high", "median", "attained", "blind", "isotropic")


def disagreements(found: Cell, expected: Cell) -> list[str]:
    """Hold the figures of networks against those of another run.

    Args:
        found: A summary.
        expected: Another.

    Returns:
        A sentence for each network, tensor or figure that differs by more than machines explain.
    """
    networks = found["networks"], expected["networks"]
    if list(networks[0]) != list(networks[1]):
        return [f"networks are {', '.join(networks[0])}, not {', '.join(networks[1])}"]
    told = [
        f"{name}, {sentence}"
        for name in networks[0]
        for sentence in _tensors(networks[0][name], networks[1][name])
    ]
    return [*told, *_controls(found.get("controls", []), expected.get("controls", []))]


def _controls(found: list[Cell], expected: list[Cell]) -> Iterator[str]:
    allowed = {"high": _MEASURED, "attained": _MEASURED, "attack": _ATTACKED}
    mine = {row["name"]: row for row in found}
    for row in expected:
        seen = mine.get(row["name"], {})
        for key, most in allowed.items():
            one, other = seen.get(key), row[key]
            differs = one is not other if None in (one, other) else abs(one - other) > most
            if differs:
                yield f"the control {row['name']}: {key} is {one}, not {other}"


def _tensors(found: Cell, expected: Cell) -> Iterator[str]:
    names = [[tensor["name"] for tensor in each["tensors"]] for each in (found, expected)]
    if names[0] != names[1]:
        yield f"tensors are {', '.join(names[0])}, not {', '.join(names[1])}"
        return
    for mine, theirs in zip(found["tensors"], expected["tensors"], strict=True):
        for key in ("rank", "dof"):
            if abs(mine[key] - theirs[key]) > _RELATIVE * max(1.0, theirs[key]):
                yield f"{mine['name']}: {key} is {mine[key]}, not {theirs[key]}"
        for one, other in zip(mine["levels"], theirs["levels"], strict=True):
            where = f"{mine['name']} at s = {one['s']:g}"
            pairs = {key: (one[key], other[key], _MEASURED) for key in _SHARES}
            pairs |= {key: (one[key]["r2"], other[key]["r2"], _ATTACKED) for key in attacks(other)}
            for key, (value, wanted, allowed) in pairs.items():
                if abs(value - wanted) > allowed:
                    yield f"{where}: {key} is {value}, not {wanted}"
