"""Names for new values that collide with nothing in a model."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["FreshNames", "copied_from"]


def copied_from(name: str) -> str:
    """Return the name that a name was made of by numbering it.

    Args:
        name: Any name.

    Returns:
        The name without a number behind ``@``.

    Example:
        >>> copied_from("b@2"), copied_from("x@tangent")
        ('b', 'x@tangent')
    """
    base, mark, number = name.rpartition("@")
    return base if mark and number.isdecimal() else name


class FreshNames:
    """A source of names that stand nowhere in a model, bodies included.

    Args:
        taken: Every name in the model.
    """

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = taken
        self._given: set[str] = set()
        # Where the search for a name like it goes on: names are asked for thousands of times.
        self._copies: dict[str, int] = {}

    def name(self, wanted: str) -> str:
        """Return the wanted name, or one like it that is free.

        Args:
            wanted: How the value should be called.

        Returns:
            A name that this source never gives again.
        """
        # A copy of a copy is one more copy of the first.
        base = copied_from(wanted)
        copies = self._copies.get(base, 1)
        name = base if copies == 1 else f"{base}@{copies}"
        while name in self._taken or name in self._given:
            copies += 1
            name = f"{base}@{copies}"
        self._given.add(name)
        self._copies[base] = copies
        return name
