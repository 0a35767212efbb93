"""The element types of ONNX, by the names onnxprobe uses for them."""

from __future__ import annotations

from onnx import TensorProto

__all__ = [
    "BITS",
    "HALF_TYPES",
    "LIFTED_TYPES",
    "NUMPY_TYPES",
    "READABLE_TYPES",
    "REAL_TYPES",
    "dtype_name",
    "element_type",
]

# The others are spelled as ONNX does, in small letters.
_NAMES = {int(TensorProto.FLOAT): "float32", int(TensorProto.DOUBLE): "float64"}
_TYPES = {name: value for value, name in _NAMES.items()}

# Bits per element as stored in raw_data; everything else in the enumeration is refused on loading.
BITS = {
    "bool": 8,
    "complex128": 128,
    "complex64": 64,
    "bfloat16": 16,
    "float16": 16,
    "float32": 32,
    "float64": 64,
    "float4e2m1": 4,
    "float8e4m3fn": 8,
    "float8e4m3fnuz": 8,
    "float8e5m2": 8,
    "float8e5m2fnuz": 8,
    "float8e8m0": 8,
    "int2": 2,
    "int4": 4,
    "int8": 8,
    "int16": 16,
    "int32": 32,
    "int64": 64,
    "uint2": 2,
    "uint4": 4,
    "uint8": 8,
    "uint16": 16,
    "uint32": 32,
    "uint64": 64,
}

# What an array coming out of the runtime can hold as it is; other numbers are cast to float32 to be
# read.
NUMPY_TYPES = frozenset(
    {"bool", "float16", "float32", "float64"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
HALF_TYPES = frozenset({"float16", "bfloat16"})
# Types whose tensors carry derivatives.
REAL_TYPES = frozenset({"float32", "float64"}) | HALF_TYPES
# What a runtime takes as an array in memory, apart from the protobuf: whole bytes, no pairs.
LIFTED_TYPES = NUMPY_TYPES | {"bfloat16"} | {name for name in BITS if name.startswith("float8")}
# What it can hand out, cast to float32 at most; it has no cast from the others.
READABLE_TYPES = frozenset(BITS) - {"complex64", "complex128", "float4e2m1"}


def dtype_name(element_type: int) -> str | None:
    """Return onnxprobe's name of an ONNX element type.

    Args:
        element_type: A value of ``TensorProto.DataType``.

    Returns:
        ``"float32"``, ``"int64"``, ``"bfloat16"``, ``"string"``, ...; ``None`` if undefined or
        unknown.

    Example:
        >>> dtype_name(1), dtype_name(16), dtype_name(0)
        ('float32', 'bfloat16', None)
    """
    if element_type == TensorProto.UNDEFINED or element_type not in TensorProto.DataType.values():
        return None
    return _NAMES.get(element_type) or str(TensorProto.DataType.Name(element_type)).lower()


def element_type(name: str) -> int:
    """Return the ONNX element type of a name; the inverse of `dtype_name`.

    Args:
        name: A name that `dtype_name` gives.

    Returns:
        A value of ``TensorProto.DataType``.

    Example:
        >>> element_type("float32"), element_type("int4") == TensorProto.INT4
        (1, True)
    """
    return _TYPES.get(name) or TensorProto.DataType.Value(name.upper())
