"""Writing a rewritten graph as a file that stands on its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto

from onnxprobe.errors import DataError
from onnxprobe.types import Array, Program

__all__ = ["write_model", "write_program"]

# Above this the weights go into a file of their own; protobuf ends at 2 GB.
MAX_SINGLE_FILE_BYTES = 2**30 + 2**29
_PAGE_BYTES = 4096


def write_model(
    proto: ModelProto,
    weights: Mapping[str, Array],
    path: Path,
    data_name: str | None = None,
    data_path: Path | None = None,
) -> int:
    """Write a model together with its weights.

    Args:
        proto: The model, with large initializers that hold no data. It is changed: the initializers
            get their values, or references to them.
        weights: The values of those initializers, by name.
        path: Where to write the model.
        data_name: What the model calls a file of weights beside it, used where the model would not
            fit one file; the path's name with ``.data`` added if not given.
        data_path: Where to write that file; beside the model, under that name, if not given.

    Returns:
        Bytes written beside the model; 0 where everything fits one file.

    Raises:
        DataError: If a file cannot be written.
    """
    size_bytes = sum(array.nbytes for array in weights.values()) + proto.ByteSize()
    data_name = data_name or f"{path.name}.data"
    data_path = data_path or path.with_name(data_name)
    written = 0
    try:
        if size_bytes > MAX_SINGLE_FILE_BYTES:
            written = _reference(proto, weights, data_path, data_name)
        else:
            _embed(proto, weights)
        path.write_bytes(proto.SerializeToString())
    except OSError as error:
        raise DataError(
            f"{error.filename or path} cannot be written: {error.strerror}; "
            "give a path in a folder that takes it"
        ) from error
    return written


def _embed(proto: ModelProto, weights: Mapping[str, Array]) -> None:
    for tensor in _emptied(proto, weights):
        del tensor.external_data[:]
        tensor.ClearField("data_location")
        tensor.raw_data = weights[tensor.name].tobytes()


def _reference(proto: ModelProto, weights: Mapping[str, Array], path: Path, location: str) -> int:
    position = 0
    with path.open("wb") as file:
        for tensor in _emptied(proto, weights):
            padding = -position % _PAGE_BYTES
            file.write(bytes(padding))
            position += padding
            array = np.ascontiguousarray(weights[tensor.name])
            entry = {"location": location, "offset": position, "length": array.nbytes}
            del tensor.external_data[:]
            for key, value in entry.items():
                tensor.external_data.add(key=key, value=str(value))
            # As bytes, whatever the type: no copy is made.
            file.write(array.reshape(-1).view(np.uint8).data)
            position += array.nbytes
    return position


def _emptied(proto: ModelProto, weights: Mapping[str, Array]) -> Iterator[TensorProto]:
    for tensor in proto.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL and tensor.name in weights:
            yield tensor


def write_program(
    program: Program, path: Path, data_name: str | None = None, data_path: Path | None = None
) -> int:
    """Write a program as a model.

    Args:
        program: What a runtime would execute.
        path: Where to write it.
        data_name: What it calls a file of weights beside it, as for `write_model`.
        data_path: Where to write that file.

    Returns:
        Bytes written beside the model.
    """
    proto = ModelProto.FromString(program.proto)
    return write_model(proto, program.weights, path, data_name, data_path)
