"""Reading a policy: TOML of a bounded size, with errors that name the line."""

from __future__ import annotations

import hashlib
import re
import tomllib
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from onnxprobe.errors import PolicyError
from onnxprobe.policy.language import Policy
from onnxprobe.policy.phrasing import phrase
from onnxprobe.policy.positions import Positions, locate
from onnxprobe.policy.wording import PlacedError

__all__ = ["PolicyFile", "read_policy", "shipped_policies"]

_MAX_BYTES = 2**20
_SHIPPED = "onnxprobe.policy.shipped"
# How tomllib says where.
_WHERE = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)


class PolicyFile:
    """A policy, and the file it came from.

    Attributes:
        policy: What it says.
        source: Path, or name of a policy that onnxprobe ships.
        sha256: Digest of the file.
        positions: Where in the file it says what; ``None`` if it was not read from one.
    """

    def __init__(
        self, policy: Policy, source: str, sha256: str, positions: Positions | None = None
    ) -> None:
        self.policy, self.source, self.sha256 = policy, source, sha256
        self.positions = positions

    def place(self, *path: str | int) -> str:
        """Say where in the file something stands.

        Args:
            *path: Keys and positions in lists that lead there.

        Returns:
            Such as ``" on line 3"``; empty if that is not known.
        """
        return f" on line {self.positions.line(path)}" if self.positions else ""

    def sentence(self, error: PlacedError, *path: str | int) -> str:
        """Say what is wrong, and on which line.

        Args:
            error: What is wrong with a part of the policy.
            *path: Keys and positions in lists that lead to that part.

        Returns:
            A sentence that names the file and, if it is known, the line.
        """
        line = self.positions.line((*path, *error.path)) if self.positions else None
        return _sentence(self.source, line, str(error))


def shipped_policies() -> tuple[str, ...]:
    """Name the policies that onnxprobe ships.

    Returns:
        Their names, sorted.
    """
    found = (each.name for each in files(_SHIPPED).iterdir())
    return tuple(sorted(name[:-5] for name in found if name.endswith(".toml")))


def read_policy(given: str | Path) -> PolicyFile:
    """Read a policy.

    Args:
        given: Path of a TOML file, or the name of a policy that onnxprobe ships.

    Returns:
        The policy.

    Raises:
        PolicyError: If it cannot be read, is too large, or cannot mean anything; with the line.
    """
    content = _content(given)
    if len(content) > _MAX_BYTES:
        raise PolicyError(f"the policy {given} has more than {_MAX_BYTES:,} bytes; split it")
    try:
        # Some editors begin a file with a mark of its encoding.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        said = f"it is not UTF-8 text: {error.reason}"
        raise PolicyError(_sentence(given, line, said)) from error
    positions = locate(text)
    trouble = positions.trouble
    if trouble is not None and trouble.is_excess:
        raise PolicyError(_sentence(given, trouble.line, trouble.said))
    try:
        policy = Policy.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(_sentence(given, *_not_toml(text, positions, str(error)))) from error
    except ValidationError as error:
        found = phrase(error.errors(include_url=False), positions)
        raise PolicyError(_sentence(given, *found)) from error
    return PolicyFile(policy, str(given), hashlib.sha256(content).hexdigest(), positions)


def _sentence(source: str | Path, line: int | None, said: str) -> str:
    where = "" if line is None else f", line {line}"
    return f"the policy {source}{where}: {said}"


def _not_toml(text: str, positions: Positions, said: str) -> tuple[int, str]:
    """Say where a file ceases to be TOML: what has no end is told by its beginning."""
    match = _WHERE.fullmatch(said)
    reason, number = match.groups() if match else (said, None)
    line = int(number) if number else text.rstrip().count("\n") + 1
    trouble = positions.trouble
    if trouble is not None and trouble.line <= line:
        # tomllib has read to the end of a value before it complains of the key.
        line, reason = trouble.line, trouble.said
    return line, f"it is not TOML: {reason[:1].lower()}{reason[1:]}"


def _content(given: str | Path) -> bytes:
    if str(given) in shipped_policies():
        return files(_SHIPPED).joinpath(f"{given}.toml").read_bytes()
    try:
        with Path(given).open("rb") as file:
            # One byte more tells that there is more.
            return file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        known = " and ".join(shipped_policies())
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PolicyError(
            f"the policy {given} cannot be read: {reason}; give a TOML file, or {known}, which "
            "onnxprobe has"
        ) from error
