"""Messages as patterns: read aloud, not as regular expressions."""

from __future__ import annotations

import re


def exactly(message: str) -> str:
    """Match a whole message."""
    return f"^{re.escape(message)}$"


def beginning(message: str) -> str:
    """Match the beginning of a message."""
    return f"^{re.escape(message)}"
