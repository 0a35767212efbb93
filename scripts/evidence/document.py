"""The document: what a run found, in words that follow from its figures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripts.evidence import attack_tables, prose, real_images, sections, tables, training_section
from scripts.evidence.advice import advice
from scripts.evidence.cells import Cell
from scripts.evidence.findings import findings
from scripts.evidence.releases import Networks
from scripts.evidence.wording import wrapped

__all__ = ["earlier_runs", "render", "render_tensors", "write"]


def write(summary: Cell, path: Path) -> None:
    """Write the document, and its figures into a folder of its name.

    Args:
        summary: What a run found.
        path: Of the markdown file.
    """
    # Tables need no drawing library.
    from scripts.evidence import figures

    folder = path.with_suffix("")
    figures.scatter(summary["networks"], folder / "calibration.svg")
    figures.curves(summary["networks"], folder / "curves.svg")
    # All that the document says follows from this, as a test holds.
    (folder / "summary.json").write_text(json.dumps(summary) + "\n")
    (folder / "tensors.md").write_text(render_tensors(summary))
    path.write_text(render(summary, folder=folder.name, earlier=earlier_runs(folder)))


def earlier_runs(folder: Path) -> list[Cell]:
    """Return what runs before found, as far as it is kept."""
    path = folder / "earlier.json"
    found: list[Cell] = json.loads(path.read_text()) if path.exists() else []
    return found


def render_tensors(summary: Cell) -> str:
    """Return every release, network by network, as markdown."""
    parts = [
        f"## {name}\n\n{attack_tables.tensor_table(value)}"
        for name, value in summary["networks"].items()
    ]
    return "\n".join(["# Every tensor\n", wrapped(prose.TENSORS) + "\n", *parts])


def render(summary: Cell, folder: str | None = None, earlier: Sequence[Cell] = ()) -> str:
    """Return the document.

    Args:
        summary: What a run found.
        folder: Where its figures lie; without figures if not given.
        earlier: What runs before found, oldest first.

    Returns:
        Markdown.
    """
    networks = summary["networks"]
    if not networks:
        missed = f"## Not reached\n\n{_missed(summary)}"
        return f"{_head(summary['provenance'])}\nNo network was finished.\n\n{missed}"
    parts = [
        _head(summary["provenance"]),
        "## What was found\n",
        findings(summary, earlier),
        _design(networks),
        "## Is it calibrated?\n",
        prose.CALIBRATION,
        tables.calibration_table(networks),
        _figure(folder, "calibration", "Best attack against ρ, for every release"),
        tables.reliability_table(networks),
        prose.BIAS,
        attack_tables.bias_table(networks),
        "## Does it order tensors?\n",
        prose.ORDER,
        tables.order_table(networks),
        prose.ARCHITECTURES,
        tables.architecture_order_table(networks),
        "## How to choose thresholds\n",
        prose.THRESHOLDS,
        tables.threshold_table(networks),
        prose.TARGETS,
        tables.target_table(networks),
        "## What follows\n",
        advice(networks),
        "## Were the attacks done, or only tired?\n",
        prose.ATTACKS,
        attack_tables.budget_table(networks),
        _figure(folder, "curves", "What attacks gain from their budget"),
        prose.KINDS,
        attack_tables.kinds_table(networks),
        "How pictures look that the best attack makes at s = 0.1:\n",
        attack_tables.quality_table(networks),
        "## Rounded to int8\n",
        prose.ROUNDED,
        tables.rounded_table(networks),
        "## Bounds on real images\n",
        prose.REAL,
        real_images.real_table(networks),
        *_studies(summary),
        "## Not reached\n",
        _missed(summary),
        f"[Every tensor]({folder}/tensors.md) has a file of its own.\n" if folder else "",
    ]
    return "\n".join(part for part in parts if part)


def _head(provenance: Cell) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in provenance["packages"].items())
    options = " --quick" if provenance["quick"] else " --document docs/evidence.md"
    jobs = f" --jobs {provenance['jobs']}" if provenance["jobs"] > 1 else ""
    command = f"python -m scripts.evidence{options}{jobs}"
    question = (
        "Does what onnxprobe says of a tensor, without any attack, tell how well attacks do? Small "
        "networks were trained on real images, measured from their .onnx files alone, and attacked."
    )
    made = (
        f"Everything below is written by `{command}`, from the figures of a run, beside the few of "
        "earlier ones, and not edited: "
        f"{provenance['date']}, {provenance['machine']}, Python {provenance['python']}, "
        f"{packages}; {provenance['elapsed_s']} s of computing, on cores that other work had a "
        "share of, in one or more starts, which keep what is finished. Seeds "
        "are 0 unless said otherwise. Intervals are 95 % percentile intervals of a bootstrap over "
        "networks; of few networks, which share data, they are rough and rather too narrow."
    )
    return f"# Evidence\n\n{wrapped(question)}\n\n{wrapped(made)}\n"


def _design(networks: Networks) -> str:
    heads = ["network", "role", "input", "parameters", "accuracy on held-out images"]
    rows = [
        [
            name,
            network["role"],
            " × ".join(map(str, network["inputs"])),
            str(network["parameters"]),
            f"{network['accuracy']:.3f}",
            " / ".join(map(str, network["images"])),
            f"{network['exact']} of {len(network['tensors'])}",
        ]
        for name, network in networks.items()
    ]
    listed = tables.markdown(
        [*heads, "images: network / attacker / attacked", "exact derivatives"], rows
    )
    return f"## How it was measured\n\n{listed}\n{prose.METHOD}"


def _figure(folder: str | None, name: str, caption: str) -> str:
    return f"![{caption}]({folder}/{name}.svg)\n" if folder else ""


def _studies(summary: Cell) -> list[str]:
    parts = []
    for key, (title, text, make) in _STUDIES.items():
        if key in summary:
            parts += [f"## {title}\n", text, make(summary[key])]
    return parts


def _missed(summary: Cell) -> str:
    missed = [*summary["missed"], *(f"{key}: not run" for key in _STUDIES if key not in summary)]
    return "".join(wrapped(line, "- ") + "\n" for line in [*missed, *_NEVER])


_STUDIES: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "bounds": ("Does the bound hold where it must?", prose.BOUNDS, sections.bounds_section),
    "unbiased": ("Unbiased attackers", prose.UNBIASED, sections.unbiased_section),
    "controls": ("Controls", prose.CONTROLS, sections.controls_section),
    "differences": ("Finite differences", prose.DIFFERENCES, sections.differences_section),
    "halves": ("Finite differences in float16", prose.HALVES, sections.differences_section),
    "directions": ("Few directions", prose.DIRECTIONS, sections.directions_section),
    "samples": ("How many samples?", prose.SAMPLES, sections.samples_section),
    "runs": ("From run to run", prose.RUNS, sections.runs_section),
    "membership": ("Over training", prose.MEMBERSHIP, training_section.membership_section),
}
_NEVER = (
    "attackers who know more than noise, prior and model; larger or generative decoders: not tried",
    "total variation beyond 150 iterations: not tried",
    "guesses of ridge, decoders and refining that are cut off to [0, 1]: not tried",
    "dFIL against attacks on tensors that are not linear: no unbiased attacker of those is known",
    "networks above 80,000 parameters, photographs above 24 × 24: not tried",
)
