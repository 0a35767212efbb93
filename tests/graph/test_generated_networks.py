"""Rewrites of networks drawn at random: every tensor against the reference, outputs bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto

from onnxprobe.graph import (
    Reach,
    catalogue,
    expose_tensors,
    find_sharing,
    infer_types,
    readable_names,
    trace,
)
from onnxprobe.types import Array, TensorType
from tests.graph.checker import check_exposure
from tests.graph.models import model, node, opened, run, value
from tests.graph.networks import SHAPE, draw_feeds, draw_network

SEEDS = range(60)


def _drawn(seed: int) -> tuple[ModelProto, dict[str, Array]]:
    rng = np.random.default_rng(seed)
    return draw_network(rng, int(rng.integers(1, 16))), draw_feeds(rng)


def _sorted(proto: ModelProto) -> ModelProto:
    """Sort the nodes by their names' numbers: the reference runs them in order."""
    ordered = ModelProto()
    ordered.CopyFrom(proto)
    nodes = sorted(proto.graph.node, key=lambda each: _number(each.output[0]))
    del ordered.graph.node[:]
    ordered.graph.node.extend(nodes)
    return ordered


def _number(name: str) -> tuple[int, bool]:
    digits = "".join(each for each in name if each.isdigit())
    return int(digits), not name[-1].isalpha()


@pytest.mark.parametrize("seed", SEEDS)
def test_every_tensor_is_what_the_reference_computes(seed: int) -> None:
    proto, feeds = _drawn(seed)
    assert check_exposure(_sorted(proto), feeds)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_nodes_does_not_matter(seed: int) -> None:
    """Shuffled, a graph gives the same bits."""
    proto, feeds = _drawn(seed)
    found = []
    for each in (proto, _sorted(proto)):
        graph = opened(each)
        types = infer_types(opened(_sorted(proto)))
        names = sorted(info.name for info in catalogue(graph, types) if info.skip is None)
        found.append(run(expose_tensors(graph, names, types=types), feeds))
    assert found[0].keys() == found[1].keys()
    assert all(array.tobytes() == found[1][name].tobytes() for name, array in found[0].items())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_graph_cut_anywhere_computes_the_same(seed: int) -> None:
    """Cut at a random tensor and fed with its value, bit for bit."""
    proto, feeds = _drawn(seed)
    graph = opened(_sorted(proto))
    types = infer_types(graph)
    named = [info for info in catalogue(graph, types) if info.skip is None]
    floats = [info.name for info in named if info.type.dtype == "float32"]
    rng = np.random.default_rng(seed)
    at = str(rng.choice(floats))
    names = [info.name for info in named]
    whole = run(expose_tensors(graph, names, types=types), feeds)
    source = TensorType(at, "float32", None)
    part = expose_tensors(graph, names, types=types, sources=[source])
    found = run(part, {**feeds, at: whole[at]})
    spelled = readable_names(graph, names, types, {at})
    plain = readable_names(graph, names, types)
    for name in names:
        assert found[spelled[name]].tobytes() == whole[plain[name]].tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_reach_and_sharing_are_true(seed: int) -> None:
    """What no source reaches stays, a step stays nearby, shared numbers are equal."""
    proto, feeds = _drawn(seed)
    graph = opened(_sorted(proto))
    types = infer_types(graph)
    names = [info.name for info in catalogue(graph, types) if info.skip is None]
    spelled = readable_names(graph, names, types)
    program = expose_tensors(graph, names, types=types)
    first = run(program, feeds)
    moved = run(program, {**feeds, "x": feeds["x"] + np.float32(1e-6)})
    other = run(program, {**feeds, "x": feeds["x"][::-1] * np.float32(1.7)})
    for name, reach in trace(graph, ["x"], types).items():
        if reach in (Reach.NONE, Reach.SHAPE):
            assert np.array_equal(first[spelled[name]], other[spelled[name]])
        elif reach is Reach.PIECEWISE_CONSTANT and name in spelled:
            assert np.array_equal(first[spelled[name]], moved[spelled[name]])
    for name, origin in find_sharing(graph, types).same.items():
        assert np.array_equal(np.sort(first[name], None), np.sort(first[origin], None))


def test_the_networks_are_diverse() -> None:
    """Together they use every kind of node that can be drawn."""
    used = {each.op_type for seed in SEEDS for each in _drawn(seed)[0].graph.node}
    assert {"MatMul", "Split", "Cast", "If", "Reshape", "Softmax", "Add", "Floor"} <= used


def test_a_drawn_network_is_an_onnx_model() -> None:
    proto = model([node("Relu", "x", "y")], [value("x", SHAPE)], [value("y", SHAPE)])
    assert check_exposure(proto, {"x": draw_feeds(np.random.default_rng(0))["x"]}) == ["y"]
