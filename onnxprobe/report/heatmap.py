"""A report as node data of Model Explorer: a heat-map on the graph."""

from __future__ import annotations

import json
from typing import Any

from onnxprobe.record import Report, TensorRecord

__all__ = ["render_heatmap"]

# From safe to exposed, for readers with any colour vision: up to each share, a colour. Shares are
# absolute, so that a graph of which everything is exposed is dark everywhere.
_COLOURS = [
    (0.05, {"bgColor": "#fff7ec", "textColor": "#000000"}),
    (0.25, {"bgColor": "#fdd49e", "textColor": "#000000"}),
    (0.5, {"bgColor": "#fdbb84", "textColor": "#000000"}),
    (0.75, {"bgColor": "#ef6548", "textColor": "#000000"}),
    (1.0, {"bgColor": "#b30000", "textColor": "#ffffff"}),
]
# The viewer takes a file whose results have this name for one of several graphs.
_RESERVED = "results"


def render_heatmap(report: Report) -> bytes:
    """Render a report as node data.

    Args:
        report: Any report.

    Returns:
        UTF-8 JSON, a value by the name of a node, by which the viewer's adapter for ONNX knows it:
        of its outputs, the largest share of the input that is recoverable at the first level of
        noise; where there is none, rank or degrees of freedom as a share of the source's. Nodes
        without a name go by their outputs, which that adapter does not find. A node named
        ``results`` is left out: the viewer could not read the file.
    """
    noise = next((each.noise for tensor in report.tensors for each in tensor.release), None)
    choices: list[tuple[str, dict[str, float]]] = [
        (f"onnxprobe: recoverable share at noise {noise}", {}),
        ("onnxprobe: Jacobian rank share", {}),
        ("onnxprobe: degrees of freedom share", {}),
    ]
    for tensor in report.tensors:
        key = tensor.name if tensor.node.startswith("#") else tensor.node
        for (_, values), value in zip(choices, _shares(tensor), strict=True):
            if value is not None and key != _RESERVED:
                values[key] = max(value, values.get(key, value))
    name, values = next((each for each in choices if each[1]), choices[0])
    # What lies above the last threshold would have no colour, and a share may exceed 1.
    last = max([1.0, *values.values()])
    thresholds = [{"value": limit, **colours} for limit, colours in _COLOURS]
    thresholds[-1]["value"] = last
    document: dict[str, Any] = {
        "name": name,
        "results": {key: {"value": value} for key, value in values.items()},
        "thresholds": thresholds,
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
