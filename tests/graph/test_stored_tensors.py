"""What the static checks of a stored tensor refuse, and what they let pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from onnxprobe.errors import ModelError
from onnxprobe.graph import parse_model
from onnxprobe.graph.dtypes import BITS, dtype_name, element_type
from onnxprobe.graph.stored import admit_tensor, first_repeated
from tests.graph.messages import exactly
from tests.graph.models import body, branching, model, node, relu, stored, value, with_bytes

FLOAT = TensorProto.FLOAT


def _tensor(dims: list[int], dtype: int = FLOAT, **fields: object) -> TensorProto:
    tensor = TensorProto(name="w", data_type=dtype, dims=dims)
    for field, content in fields.items():
        if isinstance(content, bytes):
            setattr(tensor, field, content)
        else:
            getattr(tensor, field).extend(content)
    return tensor


def _external(**entries: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    for key, text in entries.items():
        tensor.external_data.add(key=key, value=text)
    return tensor


def _segment() -> TensorProto:
    tensor = _tensor([2], float_data=[1.0, 2.0])
    tensor.segment.begin = 0
    return tensor


def _repeated_key() -> TensorProto:
    tensor = _external(location="safe.bin")
    tensor.external_data.add(key="location", value="../secret")
    return tensor


def _external_and_raw() -> TensorProto:
    tensor = _external(location="w.bin")
    tensor.raw_data = bytes(8)
    return tensor


TWICE = (
    "stored tensor 'w' holds its values twice (float_data and raw_data), and readers differ in "
    "which they take; export the model again"
)

REFUSED = [
    pytest.param(
        _tensor([2], float_data=[1.0, 2.0], raw_data=bytes(8)),
        TWICE,
    ),
    pytest.param(
        _tensor([1], float_data=[1.0], int32_data=[1], int64_data=[1]),
        "stored tensor 'w' holds its values twice (float_data and int32_data and int64_data), and "
        "readers differ in which they take; export the model again",
    ),
    pytest.param(
        _external_and_raw(),
        "stored tensor 'w' holds its values twice (raw_data and external_data), and readers differ "
        "in which they take; export the model again",
    ),
    pytest.param(
        _tensor([3], raw_data=bytes(8)),
        "stored tensor 'w' of type float32 and shape [3] needs 12 bytes, got 8; "
        "export the model again",
    ),
    pytest.param(
        _tensor([3], float_data=[1.0]),
        "stored tensor 'w' of type float32 and shape [3] needs 3 values, got 1; "
        "export the model again",
    ),
    pytest.param(
        _tensor([]),
        "stored tensor 'w' of type float32 and shape [] needs 1 values, got 0; "
        "export the model again",
    ),
    pytest.param(
        _tensor([2], int64_data=[1, 2]),
        "stored tensor 'w' of type float32 holds its values as int64_data, expected float_data; "
        "export the model again",
    ),
    pytest.param(
        _tensor([1], TensorProto.STRING, raw_data=b"a"),
        "stored tensor 'w' of type string holds its values as raw_data, expected string_data; "
        "export the model again",
    ),
    pytest.param(
        _tensor([3], TensorProto.INT4, raw_data=bytes(3)),
        "stored tensor 'w' of type int4 and shape [3] needs 2 bytes, got 3; export the model again",
    ),
    pytest.param(
        _tensor([2], TensorProto.COMPLEX64, float_data=[1.0, 2.0]),
        "stored tensor 'w' of type complex64 and shape [2] needs 4 values, got 2; "
        "export the model again",
    ),
    pytest.param(
        _tensor([1], 0),
        "stored tensor 'w' has element type 0, which onnxprobe does not know; "
        "export the model with another type",
    ),
    pytest.param(
        _tensor([1], 99),
        "stored tensor 'w' has element type 99, which onnxprobe does not know; "
        "export the model with another type",
    ),
    pytest.param(
        _tensor([1], TensorProto.FLOAT6E2M3),
        "stored tensor 'w' has element type float6e2m3, which onnxprobe does not know; "
        "export the model with another type",
    ),
    pytest.param(
        _tensor([2, -1]),
        "stored tensor 'w' has impossible dimensions [2, -1]; export the model again",
    ),
    pytest.param(
        _tensor([2**20, 2**21]),
        "stored tensor 'w' has impossible dimensions [1048576, 2097152]; export the model again",
    ),
    pytest.param(
        _tensor([0, 2**62]),
        f"stored tensor 'w' has impossible dimensions [0, {2**62}]; export the model again",
    ),
    pytest.param(
        _tensor([1] * 65, float_data=[1.0]),
        "stored tensor 'w' has 65 dimensions, more than the 64 that numpy holds; "
        "export the model again",
    ),
    pytest.param(
        _segment(),
        "stored tensor 'w' is a segment of a larger one; export the model again",
    ),
    pytest.param(
        _repeated_key(),
        "stored tensor 'w' gives external_data key 'location' twice, and readers differ in which "
        "they take; export the model again",
    ),
]


@pytest.mark.parametrize(("tensor", "message"), REFUSED)
def test_a_doubtful_tensor_is_refused(tensor: TensorProto, message: str) -> None:
    """With a sentence that says what is wrong with it."""
    with pytest.raises(ModelError, match=exactly(message)):
        admit_tensor(tensor)


def _as_initializer(tensor: TensorProto) -> ModelProto:
    return relu(tensor)


def _as_constant(tensor: TensorProto) -> ModelProto:
    nodes = [node("Constant", "", "c", value=tensor), node("Relu", "c", "y")]
    return model(nodes, [], [value("y", None)])


def _as_unknown_attribute(tensor: TensorProto) -> ModelProto:
    """A list of tensors, in an attribute that claims to be an integer."""
    proto = relu()
    attribute = proto.graph.node[0].attribute.add(name="hidden")
    attribute.tensors.append(tensor)
    attribute.type = attribute.INT
    return proto


def _in_a_body(tensor: TensorProto) -> ModelProto:
    proto = branching()
    proto.graph.node[1].attribute[1].g.initializer.append(tensor)
    return proto


def _as_sparse_values(tensor: TensorProto) -> ModelProto:
    proto = relu()
    sparse = proto.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(tensor)
    return proto


def _as_sparse_indices(tensor: TensorProto) -> ModelProto:
    proto = relu()
    sparse = proto.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(stored("v", [1.0]))
    sparse.indices.CopyFrom(tensor)
    return proto


def _as_sparse_attribute(tensor: TensorProto) -> ModelProto:
    proto = relu()
    attribute = proto.graph.node[0].attribute.add(name="sparse_value")
    attribute.sparse_tensor.values.CopyFrom(stored("v", [1.0]))
    attribute.sparse_tensor.indices.CopyFrom(tensor)
    return proto


def _in_a_function(tensor: TensorProto) -> ModelProto:
    proto = relu()
    constant = node("Constant", "", "b", value=tensor)
    proto.functions.append(helper.make_function("local", "f", [], ["b"], [constant], []))
    return proto


def _as_function_default(tensor: TensorProto) -> ModelProto:
    proto = relu()
    function = helper.make_function("local", "f", ["a"], ["b"], [node("Relu", "a", "b")], [])
    function.attribute_proto.append(helper.make_attribute("weights", tensor))
    proto.functions.append(function)
    return proto


def _in_training(tensor: TensorProto) -> ModelProto:
    proto = relu()
    training = proto.training_info.add()
    training.algorithm.CopyFrom(body([node("Relu", "x", "q")], [], initializers=[tensor]))
    return proto


@pytest.mark.parametrize(
    "place",
    [
        _as_initializer,
        _as_constant,
        _as_unknown_attribute,
        _in_a_body,
        _as_sparse_values,
        _as_sparse_indices,
        _as_sparse_attribute,
        _in_a_function,
        _as_function_default,
        _in_training,
    ],
)
def test_tensors_are_found_wherever_they_stand(place: Callable[[TensorProto], ModelProto]) -> None:
    """Two sets of values in one tensor: what is audited is not what runs."""
    tensor = _tensor([2], float_data=[1.0, 2.0], raw_data=bytes(8))
    with pytest.raises(ModelError, match=exactly(TWICE)):
        parse_model(place(tensor).SerializeToString())


@pytest.mark.parametrize(("where", "name"), [("NAME", None), ("LOCATION", "w"), ("KEYS", "w")])
def test_texts_that_are_not_utf8_are_refused(where: str, name: str | None) -> None:
    """The name, a location or a key."""
    tensor = _external(location="LOCATION", KEYS="1")
    tensor.name = name or "NAME"
    content = with_bytes(relu(tensor), where, b"\xff" * len(where))
    shown = repr(name) if name else repr(b"\xff\xff\xff\xff")
    with pytest.raises(
        ModelError,
        match=exactly(
            f"stored tensor {shown} bears a name or a location that is not UTF-8; "
            "export the model again"
        ),
    ):
        parse_model(content)


def _numpy_type(dtype: str) -> np.dtype[np.generic]:
    return np.dtype(helper.tensor_dtype_to_np_dtype(element_type(dtype)))


@pytest.mark.parametrize("dtype", sorted(BITS))
@pytest.mark.parametrize("count", [0, 1, 3])
def test_every_type_is_admitted_as_onnx_stores_it(dtype: str, count: int) -> None:
    """As raw bytes, and in the field of the type, packed as onnx packs it."""
    array = np.ones(count, _numpy_type(dtype))
    raw = TensorProto(name="w", data_type=element_type(dtype), dims=[count])
    raw.raw_data = bytes(-(-count * BITS[dtype] // 8))
    admit_tensor(raw)
    in_field = helper.make_tensor("w", element_type(dtype), [count], array.tolist())
    assert not in_field.raw_data
    admit_tensor(in_field)


def test_bits_are_those_of_numpy() -> None:
    """The table agrees with the types it describes."""
    narrow = {"int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "float4e2m1": 4}
    for dtype, bits in BITS.items():
        assert bits == narrow.get(dtype, 8 * _numpy_type(dtype).itemsize)


@pytest.mark.parametrize("size", [[], [0, 5], [1] * 64])
def test_unusual_shapes_are_admitted(size: list[int]) -> None:
    """A scalar, an empty array, 64 axes."""
    admit_tensor(stored("w", np.zeros(size, np.float32)))


def test_strings_are_admitted() -> None:
    admit_tensor(stored("w", np.array(["a", "b"], object)))


def test_the_first_repeated_name_is_told() -> None:
    assert first_repeated(["a", "b", "c", "b", "a"]) == "a"
    assert first_repeated(["a", "b"]) is None


def test_names_of_types_can_be_turned_around() -> None:
    """Every element type that ONNX has, but for none at all."""
    for number in TensorProto.DataType.values():
        name = dtype_name(number)
        assert (name is None) == (number == TensorProto.UNDEFINED)
        assert name is None or element_type(name) == number
    assert dtype_name(10_000) is None
