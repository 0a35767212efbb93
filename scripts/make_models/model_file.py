"""Writing a model so that it says nothing about the machine that made it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx

LARGEST_BYTES = 1_000_000

# The dynamo exporter of PyTorch notes on every node which source lines it came from.
STACK_TRACE = "pkg.torch.onnx.stack_trace"

WEIGHT_FIELDS = ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data")

SIGNS_OF_A_PATH = (b"/home/", b"/root/", b"/tmp/", b"/usr/", b":\\", b"site-packages", b".py")


def save_model(model: onnx.ModelProto, path: Path) -> None:
    """Strip, check and write a model; names stay as the exporter wrote them.

    Args:
        model: Any exporter's output; documentation and stack traces are removed in place.
        path: File to write.

    Raises:
        ValueError: If the file would be too large or would still name a path of this machine.
    """
    _strip(model)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"{path.name} takes {len(content)} bytes, more than {LARGEST_BYTES}")
    text = _without_weights(model)
    found = [sign for sign in SIGNS_OF_A_PATH if sign in text]
    if found:
        raise ValueError(f"{path.name} contains {found}, which may be part of a machine's path")
    path.write_bytes(content)


def _strip(model: onnx.ModelProto) -> None:
    for part in _messages(model):
        fields = part.DESCRIPTOR.fields_by_name
        if "doc_string" in fields:
            part.ClearField("doc_string")
        if "metadata_props" in fields:
            kept = [entry for entry in part.metadata_props if entry.key != STACK_TRACE]
            del part.metadata_props[:]
            part.metadata_props.extend(kept)


def _without_weights(model: onnx.ModelProto) -> bytes:
    """Return all but the weights, in which any three bytes turn up by chance."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for part in _messages(bare):
        if isinstance(part, onnx.TensorProto):
            for field in WEIGHT_FIELDS:
                part.ClearField(field)
    content: bytes = bare.SerializeToString()
    return content


def _messages(message: Any) -> Iterator[Any]:  # noqa: ANN401 - protobuf's messages share no type
    """Yield ``message`` and every message below it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            # A repeated field is a container, a singular one the message itself.
            for child in [value] if hasattr(value, "DESCRIPTOR") else value:
                yield from _messages(child)
