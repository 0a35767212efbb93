"""From bytes to a graph: weights apart, nothing else changed, and the same numbers."""

from __future__ import annotations

import hashlib

import ml_dtypes
import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from onnxprobe.errors import ModelError
from onnxprobe.graph import Graph, load_model, parse_model
from onnxprobe.types import Array
from tests.graph.messages import beginning, exactly
from tests.graph.models import (
    MODELS,
    branching,
    looping,
    model,
    node,
    opened,
    perceptron,
    relu,
    run,
    run_file,
    stored,
    value,
    weight,
)


@pytest.mark.parametrize("content", [b"garbage", b"\x08", b"\x00" * 100, b"%PDF-1.7"])
def test_what_is_no_protobuf_is_refused(content: bytes) -> None:
    """With the name of the file."""
    with pytest.raises(ModelError, match=beginning("(memory) is not an ONNX model")):
        parse_model(content)


def test_a_truncated_model_is_refused() -> None:
    """At any byte, unless what is left is a smaller model."""
    content = perceptron().SerializeToString()
    refused = 0
    for length in range(1, len(content), 37):
        try:
            parse_model(content[:length])
        except ModelError:
            refused += 1
    assert refused > 0.9 * len(range(1, len(content), 37))


def test_a_message_without_a_graph_is_refused() -> None:
    with pytest.raises(
        ModelError,
        match=exactly(
            "(memory) is not an ONNX model: it holds no graph; "
            "expected the protobuf file that an exporter writes"
        ),
    ):
        parse_model(ModelProto(ir_version=8, producer_name="x").SerializeToString())


def test_bodies_nested_beyond_protobuf_are_refused() -> None:
    """An innermost body at depth 400, which nothing can read."""
    raw = b""
    for _ in range(400):
        raw = _field(1, _field(4, b"If") + _field(5, _field(6, raw)))
    with pytest.raises(
        ModelError, match=beginning("(memory) is not an ONNX model, or it is cut s")
    ):
        parse_model(_field(7, raw))


def _field(number: int, content: bytes) -> bytes:
    """Encode one length-delimited field."""
    length, sizes = len(content), []
    while length >= 0x80:
        sizes.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([number << 3 | 2, *sizes, length]) + content


def test_a_model_in_memory_has_a_digest() -> None:
    content = perceptron().SerializeToString()
    (digest,) = parse_model(content).files
    assert (digest.name, digest.size_bytes) == ("(memory)", len(content))
    assert digest.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("proto", "feeds"),
    [
        (perceptron(), {"x": weight(3, 8)}),
        (branching(), {"x": weight(3, 4), "c": np.array(False)}),
        (looping(), {"x": weight(20)}),
    ],
)
def test_the_original_runs_as_the_file_does(proto: ModelProto, feeds: dict[str, Array]) -> None:
    """Bit for bit."""
    content = proto.SerializeToString()
    expected = run_file(content, feeds)
    found = run(parse_model(content).original, feeds)
    assert [each.tobytes() for each in found.values()] == [each.tobytes() for each in expected]


def test_large_weights_are_lifted_and_emptied() -> None:
    """The protobuf is small, and the arrays are what it held."""
    graph = opened(perceptron())
    assert set(graph.weights) == {"w1", "w2"}
    for name, expected in (("w1", weight(8, 64)), ("w2", weight(64, 5, seed=2))):
        assert np.array_equal(graph.weights[name], expected)
        assert not graph.weights[name].flags.writeable
    for tensor in graph.proto.graph.initializer:
        emptied = tensor.name in graph.weights
        assert emptied == (not tensor.raw_data)
        assert emptied == (tensor.data_location == TensorProto.EXTERNAL)
    assert len(graph.original.proto) < 1500
    assert graph.original.weights is graph.weights


@pytest.mark.parametrize(("size", "lifted"), [(256, False), (257, True)])
def test_small_initializers_stay(size: int, lifted: bool) -> None:
    """Shape inference reads them: 1,024 bytes are small."""
    proto = relu(stored("w", np.zeros(size, np.float32)))
    proto.graph.node.append(node("Neg", "w", "n"))
    assert ("w" in opened(proto).weights) is lifted


def test_values_in_typed_fields_are_lifted() -> None:
    """As old exporters store them."""
    numbers = weight(20, 20)
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [20, 20], numbers.ravel())
    assert tensor.float_data
    proto = model(
        [node("MatMul", "x w", "y")], [value("x", [1, 20])], [value("y", [1, 20])], [tensor]
    )
    graph = opened(proto)
    assert np.array_equal(graph.weights["w"], numbers)
    assert not graph.proto.graph.initializer[0].float_data


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "float16", "float64", "bfloat16", "float8_e4m3fn"]
)
def test_weights_of_every_whole_type_are_lifted(dtype: str) -> None:
    """And cast by the runtime to what they were."""
    known = getattr(ml_dtypes, dtype, dtype)
    numbers = (np.arange(2000) % 2).astype(known)
    proto = model(
        [node("Cast", "w", "y", to=TensorProto.FLOAT)],
        [],
        [value("y", [2000])],
        [numpy_helper.from_array(numbers, "w")],
        opset=19,
        ir=9,
    )
    graph = opened(proto)
    assert graph.weights["w"].dtype == known
    assert np.array_equal(run(graph.original, {})["y"], numbers.astype(np.float32))


@pytest.mark.parametrize(
    "tensor",
    [
        stored("w", np.array(["a"] * 2000, object)),
        helper.make_tensor("w", TensorProto.INT4, [5000], [1] * 5000),
    ],
    ids=["strings", "int4"],
)
def test_other_weights_stay_in_the_protobuf(tensor: TensorProto) -> None:
    """The runtime takes no array of strings or of half bytes."""
    kind = "string" if tensor.data_type == TensorProto.STRING else "int4"
    nodes = [node("Identity", "w", "y")]
    graph = opened(model(nodes, [], [value("y", None, kind)], [tensor], opset=21, ir=10))
    assert graph.weights == {}
    assert graph.proto.graph.initializer[0] == tensor


def test_an_initializer_that_nothing_reads_stays() -> None:
    """The runtime forgets it, and then refuses to be handed its values."""
    graph = opened(relu(stored("unused", weight(50, 50))))
    assert graph.weights == {}
    assert run(graph.original, {"x": weight(4)})["y"].shape == (4,)


def _read_by_output() -> ModelProto:
    proto = relu(stored("w", weight(50, 50)))
    proto.graph.output.append(value("w", [50, 50]))
    return proto


def _read_by_a_dead_node() -> ModelProto:
    proto = relu(stored("w", weight(50, 50)))
    proto.graph.node.append(node("Neg", "w", "dead"))
    return proto


def _read_by_a_body() -> ModelProto:
    proto = branching()
    proto.graph.initializer.append(stored("big", weight(300, 4)))
    then = proto.graph.node[1].attribute[0].g
    then.node.append(node("ReduceSum", "big", "sum", keepdims=0))
    then.node.append(node("Add", "up sum", "up2"))
    then.output[0].name = "up2"
    return proto


@pytest.mark.parametrize(
    ("proto", "name", "feeds"),
    [
        (_read_by_output(), "w", {"x": weight(4)}),
        (_read_by_a_dead_node(), "w", {"x": weight(4)}),
        (_read_by_a_body(), "big", {"x": weight(3, 4), "c": np.array(True)}),
    ],
)
def test_weights_that_something_reads_are_lifted(
    proto: ModelProto, name: str, feeds: dict[str, Array]
) -> None:
    """An output, a node that leads nowhere, a body."""
    graph = opened(proto)
    assert name in graph.weights
    expected = run_file(proto.SerializeToString(), feeds)
    found = run(graph.original, feeds)
    assert [each.tobytes() for each in found.values()] == [each.tobytes() for each in expected]


def test_sparse_initializers_survive() -> None:
    """Dense ones of their size would be lifted."""
    proto = model([node("Identity", "s", "y")], [], [value("y", [400])])
    sparse = proto.graph.sparse_initializer.add(dims=[400])
    sparse.values.CopyFrom(stored("s", np.array([1.5, 2.5], np.float32)))
    sparse.indices.CopyFrom(stored("s_i", np.array([3, 399])))
    graph = opened(proto)
    assert "s" in graph.initializers
    assert graph.weights == {}
    expected = np.zeros(400, np.float32)
    expected[[3, 399]] = 1.5, 2.5
    assert np.array_equal(run(graph.original, {})["y"], expected)


def test_settings_in_the_metadata_are_dropped() -> None:
    """The audited file does not decide how it is run; other metadata stays."""
    proto = relu()
    proto.metadata_props.add(key="ort_config", value='{"session_options": {}}')
    proto.metadata_props.add(key="author", value="x")
    graph = opened(proto)
    assert [entry.key for entry in graph.proto.metadata_props] == ["author"]
    assert b"ort_config" not in graph.original.proto


def test_inputs_with_a_default_need_not_be_fed() -> None:
    """Before IR version 4 every weight was an input."""
    proto = perceptron()
    proto.ir_version = 3
    for tensor in proto.graph.initializer:
        proto.graph.input.append(value(tensor.name, list(tensor.dims)))
    graph = opened(proto)
    assert [kind.name for kind in graph.inputs] == ["x"]
    x = weight(2, 8)
    (expected,) = run_file(proto.SerializeToString(), {"x": x})
    assert run(graph.original, {"x": x})["y"].tobytes() == expected.tobytes()


def test_the_memory_of_lifted_weights_is_not_kept_twice() -> None:
    """A protobuf keeps the room of cleared fields: the graph holds another one."""
    content = relu(stored("w", np.zeros(3_000_000, np.float32)))
    content.graph.node.append(node("Neg", "w", "n"))
    graph = opened(content)
    assert graph.proto.ByteSize() < 1000
    assert graph.weights["w"].nbytes == 12_000_000


def test_the_model_is_otherwise_as_it_came() -> None:
    """Names, documentation, types, opsets: every field but the emptied ones."""
    proto = branching()
    proto.producer_name, proto.doc_string = "tests", "as it came"
    proto.graph.value_info.append(value("h", ["n", 4]))
    graph = opened(proto)
    assert graph.proto == proto
    assert opened(perceptron()).proto != perceptron()


def test_two_graphs_do_not_share_what_they_compute() -> None:
    first, second = opened(perceptron()), opened(branching())
    assert first.outputs == ("y",)
    assert second.outputs == ("z",)
    assert first.producers == {"h": 0, "hb": 1, "r": 2, "y": 3}


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_here_runs_as_its_file_does(path: object) -> None:
    graph = load_model(path)  # type: ignore[arg-type]
    feeds = _ones(graph)
    expected = run_file(path, feeds)  # type: ignore[arg-type]
    found = run(graph.original, feeds)
    assert [each.tobytes() for each in found.values()] == [each.tobytes() for each in expected]


def _ones(graph: Graph) -> dict[str, Array]:
    return {
        kind.name: np.ones([n if isinstance(n, int) else 2 for n in kind.shape or ()], kind.dtype)
        for kind in graph.inputs
    }
