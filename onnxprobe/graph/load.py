"""From a file or bytes to a `Graph`: admitted, its weights apart, its functions inlined."""

from __future__ import annotations

import hashlib
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import ModelProto

from onnxprobe.errors import ModelError
from onnxprobe.graph.admission import admit
from onnxprobe.graph.files import ExternalFiles, FileDigest, read_model_file
from onnxprobe.graph.model import Graph
from onnxprobe.graph.weights import lift_weights
from onnxprobe.types import Program

__all__ = ["load_model", "parse_model"]


def load_model(path: Path, *, allow_links: bool = False) -> Graph:
    """Load a model from a file.

    Args:
        path: Path of an ``.onnx`` file; its external data lies beside it.
        allow_links: Whether external data may be reached through symbolic or hard links.

    Returns:
        The admitted graph.

    Raises:
        ModelError: If the file is missing, no ONNX model, malformed or unsafe.
    """
    content, digest = read_model_file(path)
    return parse_model(content, digest, ExternalFiles(path.parent, allow_links=allow_links))


def parse_model(
    content: bytes, digest: FileDigest | None = None, external: ExternalFiles | None = None
) -> Graph:
    """Parse, admit and lighten a serialised model.

    Args:
        content: A serialised ``ModelProto``.
        digest: Where it came from; a model given in memory has the name ``"(memory)"``.
        external: The files beside the model; none for a model in memory.

    Returns:
        The admitted graph.

    Raises:
        ModelError: If the bytes are no ONNX model, or the model is malformed or unsafe.
    """
    if digest is None:
        digest = FileDigest("(memory)", hashlib.sha256(content).hexdigest(), len(content))
    if external is None:
        external = ExternalFiles(None)
    try:
        proto = ModelProto.FromString(content)
    except DecodeError as error:
        raise ModelError(
            f"{digest.name} is not an ONNX model, or it is cut short ({error}); "
            "expected the protobuf file that an exporter writes"
        ) from error
    if not proto.HasField("graph"):
        raise ModelError(
            f"{digest.name} is not an ONNX model: it holds no graph; "
            "expected the protobuf file that an exporter writes"
        )
    admit(proto)
    # ONNX Runtime can be told to take settings from here; the audited file does not decide how it
    # is run.
    kept = [entry for entry in proto.metadata_props if entry.key != "ort_config"]
    del proto.metadata_props[:]
    proto.metadata_props.extend(kept)
    weights = lift_weights(proto, external)
    original = Program(proto.SerializeToString(), weights)
    # A protobuf keeps the memory of fields that were cleared: only another one is small.
    proto = ModelProto.FromString(original.proto)
    functions = len(proto.functions)
    if functions:
        proto = _inline_functions(proto)
    return Graph(proto, weights, original, (digest, *external.digests), functions)


def _inline_functions(proto: ModelProto) -> ModelProto:
    # Imported here: it takes a quarter of a second, and few models have functions.
    import onnx_ir
    from onnx_ir.passes.common import InlinePass

    try:
        inlined = InlinePass()(onnx_ir.from_proto(proto)).model
        result = onnx_ir.to_proto(inlined)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"the local functions cannot be inlined ({reason}); "
            "export the model with its functions flattened"
        ) from error
    # onnx-ir does not carry these.
    result.graph.sparse_initializer.extend(proto.graph.sparse_initializer)
    return result
