"""Operators outside ONNX proper: expansions against kernels, tangents against differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, NodeProto, helper

from onnxprobe.graph import parse_model
from onnxprobe.graph.names import FreshNames
from onnxprobe.graph.tangent import Differentiated, differentiate
from onnxprobe.graph.tangent.contrib import ROUNDING
from onnxprobe.graph.tangent.emitter import Emitter, Value
from onnxprobe.graph.tangent.node import Node
from onnxprobe.graph.tangent.registry import NCHWC, NoRuleError, since_version
from onnxprobe.graph.tangent.rules import EXPANSIONS, RULES
from onnxprobe.graph.tangent.scope import Scope
from onnxprobe.graph.tangent.statics import Statics
from onnxprobe.types import Array, TensorType
from tests.graph.models import model, node, value
from tests.graph.tangent.attention_cases import ATTENTION
from tests.graph.tangent.classical_cases import CLASSICAL
from tests.graph.tangent.contrib_case import ML, MS, Case
from tests.graph.tangent.contrib_cases import CONTRIB
from tests.graph.tangent.recurrent_cases import RECURRENT

CASES = [*CONTRIB, *ATTENTION, *CLASSICAL, *RECURRENT]
REAL = ("float32", "float64")
K = 3
# A float32 kernel through a stencil of fourth order with this step is right to about 3e-4 of the
# largest element; a formula in float64 to 1e-8, and the tangents themselves to some roundings.
STEP, KERNEL_TOLERANCE = 2.0**-7, 1e-3
FORMULA_TOLERANCE = 1e-5


def _opsets(case: Case) -> dict[str, int]:
    return {"": case.opset, MS: 1, ML: 3}


def _model(case: Case, outputs: Sequence[tuple[str, Array]]) -> ModelProto:
    graph = helper.make_graph(
        [case.node],
        "case",
        [value(name, array.shape, str(array.dtype)) for name, array in case.feeds.items()],
        [value(name, array.shape, str(array.dtype)) for name, array in outputs],
    )
    opsets = [helper.make_opsetid(*each) for each in _opsets(case).items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _session(proto: ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


@cache
def _kernel(index: int) -> onnxruntime.InferenceSession:
    case = CASES[index]
    graph = helper.make_graph(
        [case.node],
        "case",
        [value(name, array.shape, str(array.dtype)) for name, array in case.feeds.items()],
        [helper.make_empty_tensor_value_info(name) for name in case.node.output if name],
    )
    opsets = [helper.make_opsetid(*each) for each in _opsets(case).items()]
    return _session(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def _primal(index: int, feeds: Mapping[str, Array]) -> list[Array]:
    """Compute all outputs that the node names."""
    case = CASES[index]
    if case.has_kernel:
        return list(_kernel(index).run(None, dict(feeds)))
    assert case.formula is not None
    return [np.asarray(each, np.float32) for each in case.formula(feeds)]


def _types(case: Case, outputs: Sequence[tuple[str, Array]]) -> dict[str, TensorType]:
    return {
        name: TensorType(name, str(array.dtype), array.shape)
        for name, array in [*case.feeds.items(), *outputs]
    }


def _named(index: int) -> list[tuple[str, Array]]:
    case = CASES[index]
    names = [name for name in case.node.output if name]
    return list(zip(names, _primal(index, case.feeds), strict=True))


def _derive(index: int) -> Differentiated:
    case, outputs = CASES[index], _named(index)
    sources = [
        name
        for name, array in case.feeds.items()
        if str(array.dtype) in REAL and name not in case.still
    ]
    graph = parse_model(_model(case, outputs).SerializeToString())
    return differentiate(graph, _types(case, outputs), sources)


def _truth(index: int, tangents: Mapping[str, Array]) -> tuple[dict[str, Array], float]:
    """Difference the formula in float64, else the kernel; return it with what may be missed."""
    case = CASES[index]
    names = [name for name, array in _named(index) if str(array.dtype) in REAL]

    def moved(step: float, which: int) -> list[Array]:
        dtype = np.float64 if case.formula else np.float32
        feeds = {
            name: (array.astype(np.float64) + step * tangents[name][which]).astype(dtype)
            if name in tangents
            else array
            for name, array in case.feeds.items()
        }
        found = case.formula(feeds) if case.formula else _primal(index, feeds)
        return [each.astype(np.float64) for each in found if str(each.dtype) in REAL]

    near_kinks = 0.25 if case.near_kinks else 1.0
    step = 1e-5 if case.formula else STEP * near_kinks
    rows: list[list[Array]] = []
    for which in range(K):
        near, far = [
            [ahead - behind for ahead, behind in zip(*pair, strict=True)]
            for pair in (
                (moved(step * width, which), moved(-step * width, which)) for width in (1, 2)
            )
        ]
        rows.append([(8 * a - b) / (12 * step) for a, b in zip(near, far, strict=True)])
    together = [np.stack(each) for each in zip(*rows, strict=True)]
    tolerance = FORMULA_TOLERANCE if case.formula else KERNEL_TOLERANCE / near_kinks
    return dict(zip(names, together, strict=True)), tolerance


def _check(index: int, scale: float = 1.0) -> None:
    """Compare tangents of every real output with differences of the operator."""
    case, derived = CASES[index], _derive(index)
    assert not derived.outcome.numerical
    assert not derived.outcome.failed
    rng = np.random.default_rng(5)
    tangents = {
        name: rng.normal(size=(K, *case.feeds[name].shape)).astype(np.float32)
        for name in derived.sources
    }
    proto = derived.proto
    if not case.has_kernel:
        proto = _without_primal(derived)
    feeds = {**case.feeds, **{derived.sources[name]: each for name, each in tangents.items()}}
    session = _session(proto)
    taken = {each.name for each in session.get_inputs()}
    feeds = {name: each for name, each in feeds.items() if name in taken}
    found = session.run(list(derived.tangents.values()), feeds)
    truth, tolerance = _truth(index, tangents)
    assert set(derived.tangents) == set(truth)
    for name, array in zip(derived.tangents, found, strict=True):
        assert array.shape == truth[name].shape
        largest = np.abs(truth[name]).max()
        assert largest > 0
        error = np.abs(scale * array - truth[name]).max() / largest
        assert error <= tolerance, f"{name} is off by {error:.1e}"


def _without_primal(derived: Differentiated) -> ModelProto:
    """Take out the operator itself, which no kernel here runs, and its outputs."""
    proto = ModelProto()
    proto.CopyFrom(derived.proto)
    kept = [each for each in proto.graph.output if each.name in derived.tangents.values()]
    nodes = [each for each in proto.graph.node if not set(each.output) & {"y", "z"}]
    assert len(nodes) == len(proto.graph.node) - 1
    del proto.graph.output[:], proto.graph.node[:]
    proto.graph.output.extend(kept)
    proto.graph.node.extend(nodes)
    return proto


INDICES = [pytest.param(index, id=case.label) for index, case in enumerate(CASES)]


@pytest.mark.parametrize("index", INDICES)
def test_a_tangent_is_what_differences_of_the_operator_give(index: int) -> None:
    _check(index)


@pytest.mark.parametrize("index", INDICES)
def test_a_tangent_wrong_by_one_per_cent_is_noticed(index: int) -> None:
    """The check above can fail, for every case."""
    with pytest.raises(AssertionError, match="is off by"):
        _check(index, 1.01)


def test_every_rule_for_an_operator_of_another_domain_is_among_the_cases() -> None:
    tried = {(case.node.domain, case.node.op_type) for case in CASES}
    # Refused, and a product that the runtime has on some processors only.
    left = {(MS, operator) for operator in ROUNDING.split()} | {(MS, "MatMulFpQ4")}
    # Channels in blocks are tried as whole networks.
    known = {key[:2] for key in [*RULES, *EXPANSIONS] if key[0] not in {"", NCHWC}}
    assert known <= tried | left


def test_what_rounds_by_a_scale_that_moves_is_refused() -> None:
    """Differences of it would only see steps."""
    made = node("DynamicQuantizeMatMul", "x w s", "y", domain=MS)
    inputs = [value("x", [2, 3]), value("w", [3, 4], "uint8"), value("s", [1])]
    whole = model([made], inputs, [value("y", [2, 4])], domains={MS: 1})
    derived = differentiate(parse_model(whole.SerializeToString()), {}, ["x"], ["y"])
    assert derived.outcome.failed["y"] == (
        "y (com.microsoft.DynamicQuantizeMatMul): it rounds what it multiplies to integers"
    )


def test_an_operator_of_an_unknown_domain_is_refused() -> None:
    made = node("Warp", "x", "y", "bend", domain="acme.vision")
    whole = model([made], [value("x", [2])], [value("y", [2])], domains={"acme.vision": 3})
    derived = differentiate(parse_model(whole.SerializeToString()), {}, ["x"], ["y"])
    assert derived.outcome.failed["y"] == (
        "bend (acme.vision.Warp): nothing is known of operators of the domain 'acme.vision', which "
        "ONNX Runtime does not have either; export the model with ONNX's own operators"
    )


def expanded(index: int) -> list[tuple[str, Array]] | None:
    case, outputs = CASES[index], _named(index)
    opsets = _opsets(case)
    version = since_version(case.node.domain, case.node.op_type, {"ai.onnx": case.opset, **opsets})
    expansion = EXPANSIONS.find(case.node.domain, case.node.op_type, version)
    if expansion is None:
        assert RULES.find(case.node.domain, case.node.op_type, version) is not None
        return None
    graph = parse_model(_model(case, outputs).SerializeToString())
    e = Emitter(FreshNames(graph.names), case.opset)
    one = Value(e, "unused", "int64")
    types = _types(case, outputs)
    statics = Statics(graph, e, types, opsets, {})
    scope = Scope(e, types, statics, one, opsets, lambda _scope, _nodes: None)
    written = expansion(Node(case.node, scope))
    pairs = [(name, each) for name, each in zip(case.node.output, written, strict=False) if each]
    proto = _written(case, e, [each for _, each in pairs if each])
    results = _session(proto).run([each.name for _, each in pairs if each], case.feeds)
    return [(name, array) for (name, _), array in zip(pairs, results, strict=True) if name]


def _written(case: Case, e: Emitter, outputs: Sequence[Value]) -> ModelProto:
    nodes: Sequence[NodeProto] = e.nodes
    graph = helper.make_graph(
        nodes,
        "expansion",
        [value(name, array.shape, str(array.dtype)) for name, array in case.feeds.items()],
        [helper.make_empty_tensor_value_info(each.name) for each in outputs],
        e.initializers,
    )
    opsets = [helper.make_opsetid(*each) for each in _opsets(case).items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.mark.parametrize("index", INDICES)
def test_an_expansion_computes_what_the_operator_computes(index: int) -> None:
    found = expanded(index)
    if found is None:
        return
    wanted = dict(_named(index))
    assert found
    for name, array in found:
        np.testing.assert_allclose(array, wanted[name], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("operator", "inputs", "outputs", "attributes", "reason"),
    [
        (
            "Attention",
            {"x": (2, 3, 8), "w": (8, 12), "b": (12,)},
            "y",
            {"num_heads": 2, "do_rotary": 1},
            "rotary embedding",
        ),
        (
            "MultiHeadAttention",
            {"x": (2, 3, 2, 3, 4)},
            "y",
            {"num_heads": 2},
            "packed operands",
        ),
        (
            "SkipLayerNormalization",
            {"x": (2, 3, 4), "s": (2, 3, 4), "g": (4,)},
            "y m",
            {},
            "no rule for output 1",
        ),
        (
            "FusedGemm",
            {"x": (2, 3), "w": (3, 4)},
            "y",
            {"activation": "Unheard"},
            "activation 'Unheard'",
        ),
    ],
)
def test_what_is_not_covered_is_said(
    operator: str,
    inputs: dict[str, tuple[int, ...]],
    outputs: str,
    attributes: dict[str, Any],
    reason: str,
) -> None:
    made = node(operator, " ".join(inputs), outputs, domain=MS, **attributes)
    whole = model([made], [value(*each) for each in inputs.items()], [value("y", None)])
    graph = parse_model(whole.SerializeToString())
    types = {name: TensorType(name, "float32", shape) for name, shape in inputs.items()}
    e = Emitter(FreshNames(graph.names), 17)
    statics = Statics(graph, e, types, {}, {})
    scope = Scope(e, types, statics, Value(e, "unused", "int64"), {}, lambda _scope, _nodes: None)
    expansion = EXPANSIONS.find(MS, operator, 1)
    assert expansion is not None
    with pytest.raises(NoRuleError, match=reason):
        expansion(Node(made, scope))
