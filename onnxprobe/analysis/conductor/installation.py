"""Whether what must be installed is, told before anything fails for want of it."""

from __future__ import annotations

from importlib import metadata

from onnxprobe.errors import DataError

__all__ = ["check_installation", "installed"]

RUNTIMES = ("onnxruntime-gpu", "onnxruntime")
_PACKAGES = ("onnx", "onnx-ir", *RUNTIMES, "numpy", "scipy", "threadpoolctl", "pydantic", "pillow")
_OLDEST = (1, 24)


def installed() -> dict[str, str]:
    """List the packages that matter.

    Returns:
        Version by package; those that are missing are left out.
    """
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def check_installation() -> None:
    """Make sure that there is one ONNX Runtime, and that it is not too old.

    Raises:
        DataError: If there is none, or two that overwrite each other, or an old one; the message
            says what to type.
    """
    found = installed()
    runtimes = [name for name in RUNTIMES if name in found]
    if not runtimes:
        raise DataError("ONNX Runtime is not installed: pip install onnxruntime-gpu")
    if len(runtimes) > 1:
        raise DataError(
            "onnxruntime and onnxruntime-gpu are both installed, and each overwrites files of the "
            "other: pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu"
        )
    (name,) = runtimes
    parts = found[name].split(".")[:2]
    if tuple(int(part) for part in parts if part.isdigit()) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise DataError(
            f"{name} {found[name]} is older than {oldest}: pip install --upgrade {name}"
        )
