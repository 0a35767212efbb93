"""Files that commands write: never over what they read, and a model with its weights as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxprobe.cli import signals
from onnxprobe.errors import DataError

if TYPE_CHECKING:
    from onnxprobe.report.files import AtomicFile

__all__ = ["ModelOutput", "keep_apart", "model_output"]


def keep_apart(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Check that no output is one of the files that are read.

    Args:
        outputs: Files to write.
        inputs: Files that are read; folders stand for themselves only.

    Raises:
        DataError: If one is, or two outputs are one file.
    """
    outputs, read = list(outputs), list(inputs)
    if len({path.absolute() for path in outputs}) < len(outputs):
        raise DataError("one file is named twice as an output")
    for output in outputs:
        for path in read:
            try:
                is_same = output.exists() and path.exists() and output.samefile(path)
            except OSError:
                continue
            if is_same:
                raise DataError(
                    f"{output} is a file that this command reads, which is never changed; name "
                    "another file"
                )


@dataclass(frozen=True)
class ModelOutput:
    """A model that is being written, and its weights where one file does not hold them.

    Attributes:
        file: The model.
        weights: The weights.
        model: What it is made of.
    """

    file: AtomicFile
    weights: AtomicFile
    model: Path

    def commit(self, found: dict[str, Any]) -> None:
        """Put both in place, or neither if an interrupt comes first.

        Args:
            found: What the worker says of them: ``data_bytes`` and ``files``.

        Raises:
            DataError: If one of them is a file that the model was read from.
        """
        folder = self.model.parent
        written = [self.file.path, *([self.weights.path] if found["data_bytes"] else [])]
        keep_apart(written, [folder / name for name in found["files"]])
        signals.hold()
        if found["data_bytes"]:
            self.weights.commit()
        self.file.commit()


@contextmanager
def model_output(model: Path, output: Path) -> Iterator[ModelOutput]:
    """Make room for a model.

    Args:
        model: What it is made of.
        output: Where to write it; weights go beside it, under its name with ``.data`` added.

    Yields:
        What is being written.

    Raises:
        DataError: If it cannot be written; the message names no temporary file.
    """
    from onnxprobe.report.files import AtomicFile

    keep_apart([output], [model])
    data = output.with_name(f"{output.name}.data")
    with AtomicFile(output) as file, AtomicFile(data) as weights:
        try:
            yield ModelOutput(file, weights, model)
        except DataError as error:
            said = str(error).replace(str(file.temporary.absolute()), str(output))
            raise DataError(said.replace(str(weights.temporary.absolute()), str(data))) from error
