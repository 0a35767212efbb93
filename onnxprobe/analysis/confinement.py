"""What a worker may touch: decided by the parent before the worker reads a byte of a model."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["Confinement"]

# Where systems keep libraries and what they tell of themselves.
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/opt", "/nix", "/proc", "/sys", "/dev")
_CUDA_DEVICE = "/dev/nvidiactl"


@dataclass(frozen=True)
class Confinement:
    """Files that a worker reaches.

    Attributes:
        readable: Files and folders that it may read; ``None`` for everything.
        writable: Files that it may write.
        scratch: A folder of its own, in which it may do what it likes; its current one.
    """

    readable: tuple[str, ...] | None
    writable: tuple[str, ...]
    scratch: str

    @classmethod
    def of(
        cls,
        scratch: Path,
        *,
        readable: Iterable[Path] | None = (),
        writable: Iterable[Path] = (),
    ) -> Self:
        """Allow what is needed to compute at all, and some files.

        Args:
            scratch: A folder of the worker's own.
            readable: Files, and folders with everything inside; ``None`` for everything.
            writable: Files.

        Returns:
            The confinement.
        """
        read = None
        if readable is not None:
            asked = [each.resolve() for each in readable]
            read = tuple(dict.fromkeys(str(each) for each in [*asked, *_installation()]))
        write = [str(each.resolve()) for each in writable]
        if Path(_CUDA_DEVICE).exists():
            # Its driver talks through devices and shared memory.
            write.append("/dev")
        return cls(read, tuple(write), str(scratch.resolve()))

    @classmethod
    def read(cls, content: dict[str, Any]) -> Self:
        """Read what `message` wrote.

        Args:
            content: Plain data.

        Returns:
            The confinement.
        """
        read = content["readable"]
        return cls(
            None if read is None else tuple(read), tuple(content["writable"]), content["scratch"]
        )

    def message(self) -> dict[str, Any]:
        """Return this as plain data."""
        return asdict(self)


def _installation() -> list[Path]:
    """List where Python, its packages and their libraries lie."""
    folders = [*sys.path, *sysconfig.get_paths().values(), sys.prefix, sys.base_prefix, *_SYSTEM]
    folders += os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    folders.append(str(Path(__file__).parents[2]))
    # An empty entry would stand for the current folder, which may hold anything.
    return [Path(each) for each in dict.fromkeys(folders) if each and Path(each).is_absolute()]
