"""Write ``models/README.md`` from the files beside it."""

import hashlib
import sys
from pathlib import Path

import numpy as np
from catalogue import CATALOGUE, Entry, pinned
from measure import Measurement, Split, measure

LEAST_ACCURACY = 0.95

COLUMNS = (
    "file",
    "network",
    "framework",
    "exporter",
    "producer in the file",
    "opset",
    "inputs",
    "accuracy",
    "bytes",
    "sha256",
)

README = """\
# Models

Small classifiers of scikit-learn's handwritten digits, one for each way of making an `.onnx` file
that onnxprobe should cope with. `scripts/make_models/make` trains, exports and measures them and
writes this file; the frameworks it needs are not dependencies of onnxprobe.

{table}

Accuracy is what ONNX Runtime {onnxruntime} reaches on the CPU, on the {count} images of
`digits.npz`. A `?` stands for a batch axis that the exporter left without a name.

Made again on the same machine, every file is the same byte for byte. Another processor may round
differently in training: weights and digests then differ, accuracy hardly.

## `digits.npz`

The test split, {count} images drawn with a fixed seed and stratified by digit; the models never saw
them in training. sha256 `{digest}`.

| array | type and shape | content |
| --- | --- | --- |
{arrays}

Image models take `images / 255`, each in the layout that its input declares. The token classifier
takes `tokens`, a vocabulary of 17 words.

The digits come from *Optical Recognition of Handwritten Digits* by E. Alpaydin and C. Kaynak
(1998), <https://doi.org/10.24432/C50P49>, licensed under CC BY 4.0; scikit-learn distributes them.

## What was removed

Documentation strings, and the stack traces that PyTorch's exporter notes on every node, are
stripped after export: they name folders of the machine that made the file. Names of nodes and
tensors, operators, weights and all other metadata are as the exporter wrote them. All weights are
inside the files.
"""

CONTENT = {
    "images": "bytes 0 to 255: the grey level × 255 / 16, rounded",
    "labels": "digit 0 to 9",
    "tokens": "grey levels 0 to 16 of the pixels, row by row",
}


def row(entry: Entry, measured: Measurement) -> str:
    """Return one line of the table."""
    versions = pinned(entry.environment)
    cells = (
        f"`{entry.file}`",
        entry.network,
        entry.framework.format_map(versions),
        entry.exporter.format_map(versions),
        measured.producer,
        measured.opsets,
        measured.input,
        f"{measured.accuracy:.1%}",
        f"{measured.size_bytes:,}",
        f"`{measured.sha256}`",
    )
    return line(cells)


def line(cells: tuple[str, ...]) -> str:
    """Return cells as a line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def main(folder: Path) -> None:
    """Measure every model of ``folder``, print and write the table.

    Args:
        folder: Where the models lie and the table is written.

    Raises:
        SystemExit: If a model is not worth auditing, because it knows too few of the digits.
    """
    archive = folder / "digits.npz"
    split: Split = dict(np.load(archive))
    measured = {entry: measure(folder / entry.file, split) for entry in CATALOGUE}
    poor = [entry.file for entry, m in measured.items() if m.accuracy < LEAST_ACCURACY]
    if poor:
        raise SystemExit(f"{', '.join(poor)}: less than {LEAST_ACCURACY:.0%} of the digits right")
    readme = README.format(
        table="\n".join([
            line(COLUMNS),
            line(("---",) * len(COLUMNS)),
            *(row(entry, measurement) for entry, measurement in measured.items()),
        ]),
        arrays="\n".join(
            line((f"`{name}`", f"{array.dtype} {array.shape}", CONTENT[name]))
            for name, array in split.items()
        ),
        count=len(split["labels"]),
        digest=hashlib.sha256(archive.read_bytes()).hexdigest(),
        onnxruntime=pinned("measure")["onnxruntime"],
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
    print(readme)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
