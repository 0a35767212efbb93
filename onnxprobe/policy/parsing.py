"""Reading a policy: TOML of a bounded size, with errors that name the line."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pydantic import ValidationError

from onnxprobe.errors import PolicyError
from onnxprobe.policy.language import Policy

__all__ = ["PolicyFile", "read_policy", "shipped_policies"]

_MAX_BYTES = 2**20
_SHIPPED = "onnxprobe.policy.shipped"
_HEADER = re.compile(r"^\s*\[\[?\s*([\w.\"'-]+)\s*\]\]?")


class PolicyFile:
    """A policy, and the file it came from.

    Attributes:
        policy: What it says.
        source: Path, or name of a policy that onnxprobe ships.
        sha256: Digest of the file.
    """

    def __init__(self, policy: Policy, source: str, sha256: str) -> None:
        self.policy, self.source, self.sha256 = policy, source, sha256


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
        text = content.decode("utf-8")
        document = tomllib.loads(text)
        policy = Policy.model_validate(document)
    except UnicodeDecodeError as error:
        raise PolicyError(f"the policy {given} is not UTF-8 text: {error.reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"the policy {given} is not TOML: {error}") from error
    except RecursionError as error:
        raise PolicyError(f"the policy {given} is nested too deep") from error
    except ValidationError as error:
        raise PolicyError(_sentence(given, text, error)) from error
    return PolicyFile(policy, str(given), hashlib.sha256(content).hexdigest())


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


def _sentence(given: str | Path, text: str, error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    path = tuple(first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        said = f"there is no key {path[-1]!r} here"
    elif first["type"] == "missing":
        said = f"{path[-1]!r} is missing"
    else:
        # Positions in lists and the model's inner fields are no words of the language.
        keys = [each for each in path if isinstance(each, str) and each not in _INNER]
        if keys and keys[-1] not in {"rule", "waiver"}:
            said = f"{'.'.join(keys[1:] or keys)}: {said[:1].lower()}{said[1:]}"
    return f"the policy {given}, line {_line(text, path)}: {said}"


_INNER = frozenset({"limits"})


def _line(text: str, path: Sequence[str | int]) -> int:
    """Find the line that an error is about: the table it is in, then the keys on the way."""
    lines = text.splitlines() or [""]
    at, end = 0, len(lines)
    keys = list(path)
    if len(keys) >= 2 and isinstance(keys[1], int):
        starts = [
            number
            for number, line in enumerate(lines)
            if (found := _HEADER.match(line)) and found[1] == keys[0]
        ]
        if keys[1] < len(starts):
            at = starts[keys[1]]
            later = (n for n in range(at + 1, len(lines)) if lines[n].lstrip().startswith("[["))
            end = next(later, len(lines))
        keys = keys[2:]
    for key in keys:
        if not isinstance(key, str):
            continue
        word = re.compile(rf"(?<![\w-])[\"']?{re.escape(key)}[\"']?(?![\w-])\s*(=|\]|\.)")
        found_at = next((n for n in range(at, end) if word.search(lines[n])), None)
        if found_at is not None:
            at = found_at
    return at + 1
