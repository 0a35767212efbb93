"""Which intermediate outputs of an ONNX model give its input away, and how much.

::

    import onnxprobe

    report = onnxprobe.analyze("model.onnx", data="images.npz")
    for row in report.to_rows():
        print(row["name"], row["dof"], row["rank"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxprobe.errors import DataError, ModelError, OnnxProbeError, PolicyError, RunError
from onnxprobe.version import __version__

if TYPE_CHECKING:
    from onnxprobe.analysis.api import IncompleteError, analyze
    from onnxprobe.analysis.deriving import derive
    from onnxprobe.record import Report

__all__ = [
    "DataError",
    "IncompleteError",
    "ModelError",
    "OnnxProbeError",
    "PolicyError",
    "Report",
    "RunError",
    "__version__",
    "analyze",
    "derive",
]

# Loaded when first used: importing the package, as `onnxprobe --help` does, stays light.
_LAZY = {
    "IncompleteError": "onnxprobe.analysis.api",
    "Report": "onnxprobe.record",
    "analyze": "onnxprobe.analysis.api",
    "derive": "onnxprobe.analysis.deriving",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
