"""Static checks of one stored tensor: its values stand in one place and in the right amount."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from onnx import TensorProto

from onnxprobe.errors import ModelError
from onnxprobe.graph.dtypes import BITS, dtype_name

__all__ = ["VALUE_FIELDS", "admit_tensor", "first_repeated"]

MAX_ELEMENTS = 2**40
# numpy's limit; no operator takes more axes.
MAX_AXES = 64

VALUE_FIELDS = (
    "float_data",
    "int32_data",
    "string_data",
    "int64_data",
    "double_data",
    "uint64_data",
)
_FIELD_OF = {
    "float32": "float_data",
    "complex64": "float_data",
    "float64": "double_data",
    "complex128": "double_data",
    "int64": "int64_data",
    "uint32": "uint64_data",
    "uint64": "uint64_data",
    "string": "string_data",
}


def admit_tensor(tensor: TensorProto) -> None:
    """Refuse a stored tensor whose type or dimensions are impossible, or whose values are doubtful.

    Args:
        tensor: An initializer or an attribute, as parsed.

    Raises:
        ModelError: If it holds its values twice, in the wrong amount or in a field that its type
            does not use, or is of an unknown type, of impossible dimensions, a segment, or
            described by anything but UTF-8.
    """
    name = tensor.name
    texts = [name, *(text for entry in tensor.external_data for text in (entry.key, entry.value))]
    if any(isinstance(text, bytes) for text in texts):
        raise ModelError(
            f"stored tensor {name!r} bears a name or a location that is not UTF-8; "
            "export the model again"
        )
    dtype = dtype_name(tensor.data_type)
    if dtype is None or (dtype != "string" and dtype not in BITS):
        raise ModelError(
            f"stored tensor {name!r} has element type {dtype or tensor.data_type}, which onnxprobe "
            "does not know; export the model with another type"
        )
    _admit_dimensions(tensor)
    if tensor.HasField("segment"):
        raise ModelError(
            f"stored tensor {name!r} is a segment of a larger one; export the model again"
        )
    filled = [field for field in VALUE_FIELDS if getattr(tensor, field)]
    filled += ["raw_data"] if tensor.raw_data else []
    external = tensor.data_location == TensorProto.EXTERNAL
    filled += ["external_data"] if external else []
    if len(filled) > 1:
        raise ModelError(
            f"stored tensor {name!r} holds its values twice ({' and '.join(filled)}), and readers "
            "differ in which they take; export the model again"
        )
    if twice := first_repeated(entry.key for entry in tensor.external_data):
        raise ModelError(
            f"stored tensor {name!r} gives external_data key {twice!r} twice, and readers differ "
            "in which they take; export the model again"
        )
    if not external:
        _admit_amount(tensor, dtype, filled)


def first_repeated(names: Iterable[str]) -> str | None:
    """Return the first name that stands more than once.

    Args:
        names: Any names.

    Returns:
        The name; ``None`` if all differ.
    """
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _admit_dimensions(tensor: TensorProto) -> None:
    if len(tensor.dims) > MAX_AXES:
        raise ModelError(
            f"stored tensor {tensor.name!r} has {len(tensor.dims):,} dimensions, more than the "
            f"{MAX_AXES} that numpy holds; export the model again"
        )
    # An empty tensor, too, must be of a shape that arrays can have.
    if any(size < 0 for size in tensor.dims) or _positive_product(tensor) > MAX_ELEMENTS:
        raise ModelError(
            f"stored tensor {tensor.name!r} has impossible dimensions {list(tensor.dims)}; "
            "export the model again"
        )


def _positive_product(tensor: TensorProto) -> int:
    return math.prod(max(size, 1) for size in tensor.dims)


def _admit_amount(tensor: TensorProto, dtype: str, filled: list[str]) -> None:
    count = math.prod(tensor.dims)
    field = _FIELD_OF.get(dtype, "int32_data")
    if filled == ["raw_data"] and dtype != "string":
        given, needed = len(tensor.raw_data), math.ceil(count * BITS[dtype] / 8)
    elif filled and filled != [field]:
        raise ModelError(
            f"stored tensor {tensor.name!r} of type {dtype} holds its values as {filled[0]}, "
            f"expected {field}; export the model again"
        )
    else:
        given = len(getattr(tensor, field))
        # Types narrower than a byte are packed into bytes, complex numbers lie as pairs.
        packing = 2.0 if dtype.startswith("complex") else min(BITS.get(dtype, 8), 8) / 8
        needed = math.ceil(count * packing)
    if given != needed:
        raise ModelError(
            f"stored tensor {tensor.name!r} of type {dtype} and shape {list(tensor.dims)} needs "
            f"{needed} {'bytes' if filled == ['raw_data'] else 'values'}, got {given}; "
            "export the model again"
        )
