"""Weights apart from the protobuf: as arrays, which may be views of a file."""

from __future__ import annotations

from onnx import ModelProto, TensorProto, numpy_helper

from onnxprobe.errors import ModelError
from onnxprobe.graph import walk
from onnxprobe.graph.dtypes import LIFTED_TYPES, dtype_name
from onnxprobe.graph.files import ExternalFiles
from onnxprobe.graph.stored import VALUE_FIELDS
from onnxprobe.types import Array

__all__ = ["INLINE_BYTES", "empty_tensor", "lift_weights"]

# Initializers up to this size stay in the protobuf: shape inference reads shapes and axes from
# them.
INLINE_BYTES = 1024
# What must stay inside the protobuf (bodies, attributes, exotic types) has to fit its 2 GB.
MAX_EMBEDDED_BYTES = 2**30


def lift_weights(proto: ModelProto, external: ExternalFiles) -> dict[str, Array]:
    """Take the large initializers out of a model, and put other external data into it.

    Args:
        proto: An admitted model; it is changed: large initializers of the main graph hold no data,
            and nothing refers to another file.
        external: The files beside it.

    Returns:
        The values of the emptied initializers, by name.

    Raises:
        ModelError: If external data is unsafe, or what must be embedded exceeds a gigabyte.
    """
    weights: dict[str, Array] = {}
    embedded_bytes = 0
    # The runtime forgets initializers that nothing reads, and then cannot be handed their values.
    read = {value.name for value in proto.graph.output}
    for node in proto.graph.node:
        read.update(node.input)
        read |= walk.outer_names(node)
    for tensor, is_initializer in walk.tensors(proto):
        is_external = tensor.data_location == TensorProto.EXTERNAL
        native = dtype_name(tensor.data_type) in LIFTED_TYPES
        lifted = is_initializer and native and tensor.name in read
        if is_external:
            array = external.array(tensor)
        elif lifted:
            array = numpy_helper.to_array(tensor)
        else:
            continue
        if lifted and array.nbytes > INLINE_BYTES:
            array.flags.writeable = False
            weights[tensor.name] = array
            empty_tensor(tensor)
        elif is_external:
            embedded_bytes += array.nbytes
            if embedded_bytes > MAX_EMBEDDED_BYTES:
                raise ModelError(
                    "external data of bodies, attributes and types such as "
                    f"{dtype_name(tensor.data_type)} exceeds {MAX_EMBEDDED_BYTES:,} bytes, "
                    "which onnxprobe cannot embed; "
                    "export the model with weights as initializers of the main graph"
                )
            del tensor.external_data[:]
            tensor.ClearField("data_location")
            tensor.raw_data = array.tobytes()
    return weights


def empty_tensor(tensor: TensorProto) -> None:
    """Take the values out of an initializer whose array the runtime is handed under its name.

    Args:
        tensor: An initializer of the main graph; it is changed.
    """
    for field in (*VALUE_FIELDS, "raw_data", "external_data"):
        tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    # Never opened: the runtime has the array.
    tensor.external_data.add(key="location", value="weights-held-in-memory")
