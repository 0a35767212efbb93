"""Broken models are refused with a sentence or read to the end: no other exception, no hang."""

from __future__ import annotations

import logging
import random
import time
from collections import Counter

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from onnxprobe.errors import OnnxProbeError
from onnxprobe.graph import (
    Graph,
    catalogue,
    choose_source,
    expose_all,
    expose_tensors,
    find_sharing,
    has_half_precision,
    index_limits,
    parse_model,
    random_nodes,
    trace,
    upcast_graph,
)
from onnxprobe.types import TensorType
from tests.graph.models import (
    branching,
    looping,
    model,
    node,
    perceptron,
    stored,
    tokens,
    value,
    weight,
)
from tests.graph.mutants import mutate

MUTANTS = 4000


def _calling() -> ModelProto:
    """Call a local function twice, and drop, cast and keep a sparse weight on the way."""
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    nodes = [node("Relu", "a", "t"), node("Add", "t a", "b")]
    proto = model(
        [
            node("f", "x", "h", domain="local"),
            node("Dropout", "h _ mode", "d mask"),
            node("Cast", "d", "c", to=TensorProto.FLOAT16),
            node("Cast", "c", "e", to=TensorProto.FLOAT),
            node("Add", "e s", "g"),
            node("f", "g", "y", domain="local"),
        ],
        [value("x", [9])],
        [value("y", [9])],
        [stored("mode", np.array(False))],
        domains={"local": 1},
        functions=[helper.make_function("local", "f", ["a"], ["b"], nodes, opsets)],
    )
    sparse = proto.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(stored("s", np.array([1.0], np.float32)))
    sparse.indices.CopyFrom(stored("i", np.array([3])))
    return proto


def _external() -> ModelProto:
    proto = perceptron()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="x.bin")
    tensor.external_data.add(key="offset", value="0")
    return proto


BASES = [perceptron(), branching(), looping(), tokens(), _calling(), _external()]


def _read_everything(graph: Graph) -> None:
    """Everything that reads a graph without native code."""
    listed = catalogue(graph, {})
    reached = trace(graph, [kind.name for kind in graph.inputs])
    names = [info.name for info in listed if info.skip is None]
    assert reached.keys() >= set(names)
    sharing = find_sharing(graph, {})
    for name in names:
        sharing.origin(name)
        graph.constant(name)
    random_nodes(graph)
    index_limits(graph)
    choose_source(graph, {}, None)
    expose_all(graph, {}).SerializeToString()
    types = {name: TensorType(name, "bfloat16", None) for name in names}
    expose_tensors(graph, names, types=types)
    if has_half_precision(graph):
        upcast_graph(graph).proto.SerializeToString()
    repr((graph.opsets, graph.outputs, graph.inputs)).encode()


def _outcome(content: bytes) -> str:
    try:
        _read_everything(parse_model(content))
    except OnnxProbeError as error:
        message = str(error)
        assert 20 < len(message) < 5000
        message.encode()
        return "refused"
    return "read"


@pytest.mark.parametrize("seed", range(4))
def test_a_mutant_is_refused_or_read(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """Each in less than a second."""
    # onnx-ir complains of every odd function.
    caplog.set_level(logging.CRITICAL, "onnx_ir")
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(MUTANTS // 4):
        content = mutate(rng, rng.choice(BASES))
        start = time.perf_counter()
        outcomes[_outcome(content)] += 1
        assert time.perf_counter() - start < 5.0
    assert outcomes["refused"] > MUTANTS / 40
    assert outcomes["read"] > MUTANTS / 40


@pytest.mark.parametrize("base", [*BASES[:5]])
def test_the_bases_themselves_are_read(base: ModelProto) -> None:
    assert _outcome(base.SerializeToString()) == "read"


def test_mutants_differ_from_their_base() -> None:
    """Or nothing would be tested."""
    rng = random.Random(0)
    content = {mutate(rng, BASES[0]) for _ in range(100)}
    assert len(content - {BASES[0].SerializeToString()}) > 80


def test_reading_everything_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that is not ours is seen."""

    def fail(graph: Graph) -> dict[str, int]:
        raise IndexError("list index out of range")

    monkeypatch.setitem(globals(), "index_limits", fail)
    with pytest.raises(IndexError, match="list index out of range"):
        _outcome(BASES[0].SerializeToString())


def test_a_tensor_of_every_size_near_the_limit_is_handled() -> None:
    """Empty arrays of absurd shapes, which numpy cannot make."""
    for dims in ([0, 2**61], [0, 2**33, 2**33], [2**63 - 1, 0], [1] * 70):
        proto = model([node("Identity", "w", "y")], [], [value("y", None)])
        proto.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=dims)
        assert _outcome(proto.SerializeToString()) == "refused"
    assert weight(0).size == 0
