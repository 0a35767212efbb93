"""Figures of the document."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from scripts.evidence.statistics import reliability
from scripts.evidence.tables import MEASURES, Networks, best, scored, table

__all__ = ["curves", "scatter"]

_NAME = "ρ, worst sample"


def scatter(networks: Networks, path: Path) -> None:
    """Draw the best attack against ρ, for every release, with the means of bins.

    Args:
        networks: Of a summary.
        path: Of the SVG file.
    """
    figure, axes = _axes("ρ, worst sample, data prior", "best attack R²")
    every = []
    for i, (name, network) in enumerate(scored(networks).items()):
        predicted, attained = table(network, MEASURES[_NAME]).ravel(), table(network, best).ravel()
        every.append((predicted, attained))
        axes.plot(predicted, attained, ".", color=f"C{i}", markersize=4, label=name)
    predicted, attained = (np.concatenate(part) for part in zip(*every, strict=True))
    bins = reliability(predicted, attained)
    axes.plot(
        [part.predicted for part in bins], [part.attained for part in bins], "k-o", label="bins"
    )
    axes.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
    axes.legend(fontsize=7)
    _save(figure, path)


def curves(networks: Networks, path: Path) -> None:
    """Draw the validation R² of decoders over rounds: of the fifth tensor at the first level.

    Args:
        networks: Of a summary.
        path: Of the SVG file.
    """
    figure, axes = _axes("round of 60 batches", "validation R² of the decoder")
    for name, network in networks.items():
        curve = network["tensors"][4]["levels"][0]["decoder"]["curve"]
        axes.plot(range(1, len(curve) + 1), curve, label=name)
    axes.legend(fontsize=7)
    _save(figure, path)


def _axes(across: str, up: str) -> tuple[mpl.figure.Figure, mpl.axes.Axes]:
    figure, axes = plt.subplots(figsize=(5, 4))
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure, axes


def _save(figure: mpl.figure.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Equal figures are equal files.
    with mpl.rc_context({"svg.hashsalt": "onnxprobe", "svg.fonttype": "none"}):
        figure.tight_layout()
        figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
