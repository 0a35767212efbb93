"""Words of the errors of policies: what is wrong, where, and what was perhaps meant."""

from __future__ import annotations

from onnxprobe.errors import PolicyError

__all__ = ["PlacedError", "shown"]

# Letters of a value that an error quotes.
_QUOTED = 60


class PlacedError(PolicyError, ValueError):
    """A part of a policy cannot mean anything; it knows which part.

    Being a ``ValueError`` as well, it may be raised while pydantic reads the policy.

    Attributes:
        path: Keys and positions in lists that lead there, from the part that is looked at.
    """

    def __init__(self, said: str, *path: str | int) -> None:
        super().__init__(said)
        self.path = path


def shown(value: object) -> str:
    r"""Write a value of a policy so that it fits into a sentence.

    Args:
        value: What TOML can hold.

    Returns:
        The value as TOML writes it, on one line and cut short; a list or a table by its kind.

    Example:
        >>> shown(True), shown("a\n"), shown([1]), shown(1.5)
        ('true', "'a\\n'", 'a list', '1.5')
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return repr(value if len(value) <= _QUOTED else f"{value[:_QUOTED]}…")
    text = str(value)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}…"
