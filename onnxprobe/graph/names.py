"""Names for new values that collide with nothing in a model."""

from __future__ import annotations

from onnxprobe.graph.model import Graph

__all__ = ["FreshNames"]


class FreshNames:
    """A source of names that stand nowhere in a model, bodies included.

    Args:
        graph: The model whose names are taken.
    """

    def __init__(self, graph: Graph) -> None:
        self._taken = graph.names
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
        copies = self._copies.get(wanted, 1)
        name = wanted if copies == 1 else f"{wanted}{copies}"
        while name in self._taken or name in self._given:
            copies += 1
            name = f"{wanted}{copies}"
        self._given.add(name)
        self._copies[wanted] = copies
        return name
