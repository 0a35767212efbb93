"""What a worker may touch: decided by the parent before the worker reads a byte of a model."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

__all__ = ["Confinement", "has_cuda_device"]

# Where systems keep libraries, and what they tell of themselves: no other process, no secret.
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/opt", "/nix", "/sys/devices", "/sys/fs/cgroup", "/sys/kernel/mm",
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm",
    "/proc/filesystems",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/os-release",
    "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
)  # fmt: skip
_CUDA_SYSTEM = ("/dev", "/proc", "/sys")
_CUDA_DEVICE = "/dev/nvidiactl"
# Names of folders that hold installed packages and nothing else.
_PACKAGES = frozenset({"site-packages", "dist-packages"})


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
            system = _CUDA_SYSTEM if has_cuda_device() else ()
            asked = [os.path.realpath(each) for each in readable]
            read = tuple(dict.fromkeys([*asked, *_installation(), *_SYSTEM, *system]))
        write = [os.path.realpath(each) for each in writable]
        if has_cuda_device():
            # Its driver talks through devices and shared memory.
            write.append("/dev")
        return cls(read, tuple(write), os.path.realpath(scratch))

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


def has_cuda_device() -> bool:
    """Tell whether a driver of CUDA has to be reached, which nothing here can confine."""
    return Path(_CUDA_DEVICE).exists()


def _installation() -> list[str]:
    """List where Python, its packages and their libraries lie."""
    prefixes = (sys.prefix, sys.base_prefix)
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # The path begins with the folder of whatever script was started, which may be anybody's home.
    paths = [
        each
        for each in sys.path
        if _PACKAGES.intersection(Path(each).parts) or each.startswith(prefixes)
    ]
    folders = [*paths, *named, *sysconfig.get_paths().values(), *prefixes]
    folders += os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    folders.append(str(Path(__file__).parents[1]))
    # An empty entry would stand for the current folder.
    return [each for each in dict.fromkeys(folders) if each and Path(each).is_absolute()]
