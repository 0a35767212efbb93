"""What works on this machine, what does not, and what to do about it."""

from __future__ import annotations

import os
import platform
import tempfile
from pathlib import Path
from typing import Any

from onnxprobe.analysis.conductor.installation import check_installation, installed
from onnxprobe.analysis.conductor.link import Link
from onnxprobe.analysis.conductor.questions import providers as ask_providers
from onnxprobe.analysis.conductor.workplace import state_folder
from onnxprobe.analysis.configuration import default_memory_bytes
from onnxprobe.analysis.confinement import Confinement
from onnxprobe.errors import DataError, OnnxProbeError
from onnxprobe.version import __version__

__all__ = ["examine"]

_SILENCE_S = 120.0
# By feature: what it does, and what it takes.
_FEATURES = {
    "files": ("a model's worker reaches no other files", "Linux 5.13 or later with Landlock"),
    "network": ("a model's worker makes no connections", "Linux with seccomp, on x86-64 or arm64"),
    "memory": ("a model's worker has a limit of memory", "Linux"),
}


def examine() -> dict[str, Any]:
    """Look at versions, providers, memory and what can be isolated.

    Returns:
        Plain data; ``problems`` lists what is wrong and what to do about it.
    """
    problems: list[dict[str, str]] = []
    providers: list[dict[str, Any]] = []
    features: dict[str, bool] | None = None
    try:
        check_installation()
    except DataError as error:
        problems.append({"what": "ONNX Runtime", "advice": str(error)})
    else:
        link = Link(Confinement.of, _SILENCE_S)
        try:
            providers = ask_providers(link)
            features = link.features
        except OnnxProbeError as error:
            problems.append({"what": "the worker process", "advice": str(error)})
        finally:
            link.close()
    problems += [
        {"what": each["name"], "advice": each["reason"]}
        for each in providers
        if not each["works"] and each["expected"]
    ]
    isolation = [
        {"feature": name, "what": what, "works": None if features is None else features.get(name)}
        for name, (what, _) in _FEATURES.items()
    ]
    problems += [
        {
            "what": f"nothing here sees to it that {what}",
            "advice": f"that takes {needs}; open models that nobody vouches for in a container",
        }
        for name, (what, needs) in _FEATURES.items()
        if features is not None and not features.get(name)
    ]
    state = state_folder()
    if not _is_writable(state):
        problems.append({
            "what": f"{state} cannot be written",
            "advice": "set XDG_STATE_HOME or give --work-dir, or no analysis can be resumed",
        })
    return {
        "onnxprobe": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": installed(),
        "providers": providers,
        "processors": os.cpu_count(),
        "memory_bytes": default_memory_bytes(),
        "isolation": isolation,
        "state": str(state),
        "problems": problems,
    }


def _is_writable(folder: Path) -> bool:
    """Whether a file can be made there; nothing of it stays."""
    there = next((each for each in (folder, *folder.parents) if os.path.lexists(each)), None)
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False
