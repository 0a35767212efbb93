"""Figures of the document."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np

from scripts.evidence.releases import MEASURES, RHO, Networks, best, scored, table
from scripts.evidence.statistics import reliability

__all__ = ["curves", "scatter"]


def scatter(networks: Networks, path: Path) -> None:
    """Draw the best attack against ρ, for every release, with the means of bins.

    Args:
        networks: Of a summary.
        path: Of the SVG file.
    """
    figure, axes = _axes("ρ, worst sample, data prior", "best attack R²")
    every = []
    for i, (name, network) in enumerate(scored(networks).items()):
        predicted, attained = table(network, MEASURES[RHO]).ravel(), table(network, best).ravel()
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
    """Draw what attacks gain from their budget at the first level of noise.

    Args:
        networks: Of a summary.
        path: Of the SVG file.
    """
    figure, panels = plt.subplots(1, 3, figsize=(11, 4.2))
    # Those of the last one go on from the weights that they have for rounding.
    decoders = (
        (panels[0], 4, "fifth tensor"),
        (panels[1], 9, "last tensor, which began with rounding"),
    )
    for i, (name, network) in enumerate(networks.items()):
        for axes, depth, _ in decoders:
            if depth < len(network["tensors"]):
                curve = network["tensors"][depth]["levels"][0]["decoder"]["curve"]
                axes.plot(range(1, len(curve) + 1), curve, color=f"C{i}", label=name)
        errors = np.array(network["tensors"][4]["levels"][0]["refined"]["own_mse"])
        ends = np.cumsum([0, *network["budget"]["stages"]])[: len(errors)]
        panels[2].plot(ends, errors / errors[0], ".-", color=f"C{i}")
    for axes, _, which in decoders:
        axes.set_title(f"decoders of the {which}", fontsize=9)
        axes.set_xlabel("round of 60 batches")
        axes.set_ylabel("validation R²")
    panels[2].set_title("refining, fifth tensor", fontsize=9)
    panels[2].set_xlabel("iterations")
    panels[2].set_ylabel("error on own images, relative to the start")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(labels), fontsize=7)
    _save(figure, path, rect=(0, 0.07, 1, 1))


def _axes(across: str, up: str) -> tuple[mpl.figure.Figure, mpl.axes.Axes]:
    figure, axes = plt.subplots(figsize=(5, 4))
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure, axes


def _save(
    figure: mpl.figure.Figure,
    path: Path,
    rect: tuple[float, float, float, float] = (0, 0, 1, 1),
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Equal figures are equal files.
    with mpl.rc_context({"svg.hashsalt": "onnxprobe", "svg.fonttype": "none"}):
        figure.tight_layout(rect=rect)
        figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
