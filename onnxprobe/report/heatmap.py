"""A report as node data of Model Explorer: a heat-map on the graph."""

from __future__ import annotations

import json
from typing import Any

from onnxprobe.record import Report, TensorRecord

__all__ = ["render_heatmap"]

# From safe to exposed, for readers with any colour vision.
_GRADIENT = [
    {"stop": 0.0, "bgColor": "#fff7ec"},
    {"stop": 0.5, "bgColor": "#fdbb84"},
    {"stop": 1.0, "bgColor": "#b30000", "textColor": "#ffffff"},
]


def render_heatmap(report: Report) -> bytes:
    """Render a report as node data.

    Args:
        report: Any report.

    Returns:
        UTF-8 JSON, a value by the name of a tensor: the share of the input that is recoverable at
        the first level of noise; where there is none, rank or degrees of freedom as a share of the
        source's.
    """
    noise = next((each.noise for tensor in report.tensors for each in tensor.release), None)
    choices: list[tuple[str, dict[str, float]]] = [
        (f"onnxprobe: recoverable share at noise {noise}", {}),
        ("onnxprobe: Jacobian rank share", {}),
        ("onnxprobe: degrees of freedom share", {}),
    ]
    for tensor in report.tensors:
        for (_, values), value in zip(choices, _shares(tensor), strict=True):
            if value is not None:
                values[tensor.name] = value
    name, values = next((each for each in choices if each[1]), choices[0])
    document: dict[str, Any] = {
        "name": name,
        "results": {tensor: {"value": value} for tensor, value in values.items()},
        "gradient": _GRADIENT,
    }
    # Lone surrogates in names survive as escapes.
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def _shares(tensor: TensorRecord) -> tuple[float | None, float | None, float | None]:
    jacobian, dof = tensor.jacobian, tensor.dof
    release = tensor.release[0] if tensor.release else None
    recoverable = release.recoverable if release else None
    attained = (release.attained or 0.0) if release else 0.0
    rank = jacobian.rank if jacobian is not None else None
    inputs = jacobian.inputs if jacobian is not None else 0
    return (
        max(recoverable.high, attained) if recoverable is not None else None,
        rank.max / inputs if rank is not None and inputs else None,
        dof.share if dof is not None else None,
    )
