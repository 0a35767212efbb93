"""How messages spell names and shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["counted", "listed", "setting", "spelled"]


def listed(names: Iterable[str], most: int = 5) -> str:
    """Spell out names, the first few only.

    Args:
        names: Names, quoted here so that no control character reaches a terminal.
        most: How many to spell out.

    Returns:
        The names, and how many more there are.

    Example:
        >>> listed(["a", "b", "c"], most=2)
        "'a', 'b' and 1 more"
    """
    quoted = [repr(name) for name in names]
    more = len(quoted) - most
    return ", ".join(quoted[:most]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, noun: str) -> str:
    """Say how many of something there are.

    Args:
        count: How many.
        noun: What, in the singular; its plural takes an s.

    Returns:
        Both, agreeing in number.

    Example:
        >>> counted(1, "picture"), counted(2048, "sample")
        ('1 picture', '2,048 samples')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def spelled(shape: Sequence[int | str], first: str | None = None) -> str:
    """Spell out a shape.

    Args:
        shape: Sizes, and names of dimensions that are open.
        first: What a leading axis counts, if one is to be shown.

    Returns:
        The shape in brackets.

    Example:
        >>> spelled((3, 'height', 32), first="samples")
        '(samples, 3, height, 32)'
    """
    sizes = [str(size) if isinstance(size, int) else repr(size)[1:-1] for size in shape]
    sizes = [first, *sizes] if first else sizes
    return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


def setting(key: str) -> str:
    """Spell the option that fixes an open dimension.

    Args:
        key: Its symbol, or ``INPUT[AXIS]``.

    Returns:
        The option, quoted wherever a shell might read brackets or spaces.

    Example:
        >>> setting("seq"), setting("x[2]")
        ('--set seq=SIZE', "--set 'x[2]=SIZE'")
    """
    text = f"{key}=SIZE"
    return f"--set {text if key.isidentifier() else repr(text)}"
