"""How findings are put into words: paragraphs, and aims that are judged."""

from __future__ import annotations

import textwrap

from scripts.evidence.releases import Networks

__all__ = ["aim", "between", "listed", "wrapped"]


def wrapped(text: str, mark: str = "") -> str:
    """Break a paragraph, or an item of a list with its mark, into lines."""
    return textwrap.fill(
        mark + text,
        98,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )


def listed(lines: list[str]) -> str:
    """Return a list in markdown."""
    return "".join(wrapped(line, "- ") + "\n" for line in lines)


def aim(met: bool, text: str, networks: Networks, *, sure: bool = True) -> str:
    """Judge an aim, if there are networks that it may be judged by.

    Args:
        met: Whether it is met.
        text: The aim.
        networks: Of a summary.
        sure: Whether the whole interval is on the same side.

    Returns:
        A sentence.
    """
    if not any(network["role"] == "held out" for network in networks.values()):
        return f"The aim is {text}; without networks that were held out, nothing tells of it."
    verdict = "met" if met else "**not met**"
    return f"The aim was {text}: {verdict}{'' if sure else ', though not by the whole interval'}."


def between(values: dict[str, float], digits: int = 2) -> str:
    """Return the least and the largest of signed values by network, with whose they are."""
    least, most = min(values, key=lambda key: values[key]), max(values, key=lambda key: values[key])
    return f"{values[least]:+.{digits}f} ({least}) to {values[most]:+.{digits}f} ({most})"
