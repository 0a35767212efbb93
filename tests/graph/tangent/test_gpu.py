"""On a CUDA device: operators that only CUDA has, and derived graphs as the CPU runs them.

Elsewhere each test is skipped with the reason that a user would be given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

import onnxprobe
from onnxprobe.errors import RunError
from onnxprobe.graph import canary_program, canary_weight
from onnxprobe.runtime import Settings, choose_provider
from onnxprobe.types import Array
from tests.graph.models import value
from tests.graph.tangent.contrib_case import Case
from tests.graph.tangent.test_contrib import CASES, expanded
from tests.graph.tangent.test_networks import BUILDS

pytestmark = pytest.mark.gpu

MODELS = Path(__file__).parents[3] / "models"
# Kernels of CPU and CUDA add up in different orders; TensorFloat-32 would leave about 5e-4.
DIFFERENCE = 1e-4
# Only these have a kernel on CUDA in this build; the runtime says which when asked.
ONLY_CUDA = [
    pytest.param(index, id=case.label)
    for index, case in enumerate(CASES)
    if not case.has_kernel and case.label != "Attention without bias"
]


@pytest.fixture(scope="module", autouse=True)
def options() -> dict[str, str]:
    """The options of a CUDA session that has every bit of float32."""
    try:
        provider, _ = choose_provider("cuda", Settings(), canary_program(), canary_weight())
    except RunError as error:
        pytest.skip(str(error))
    return provider.options


def _session(proto: onnx.ModelProto, options: dict[str, str] | None) -> Any:
    providers: list[Any] = ["CPUExecutionProvider"]
    if options is not None:
        providers = [("CUDAExecutionProvider", {"use_tf32": "0"}), *providers]
    return onnxruntime.InferenceSession(proto.SerializeToString(), providers=providers)


def _kernel(case: Case, options: dict[str, str]) -> list[Array]:
    inputs = [value(name, array.shape, str(array.dtype)) for name, array in case.feeds.items()]
    outputs = [helper.make_empty_tensor_value_info(name) for name in case.node.output if name]
    graph = helper.make_graph([case.node], "case", inputs, outputs)
    opsets = [helper.make_opsetid("", case.opset), helper.make_opsetid("com.microsoft", 1)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    try:
        session = _session(proto, options)
        found: list[Array] = session.run(None, case.feeds)
    except Exception as error:  # noqa: BLE001 (whatever the runtime throws)
        pytest.skip(f"this build of ONNX Runtime does not run it: {error}")
    return found


@pytest.mark.parametrize("index", ONLY_CUDA)
def test_an_expansion_computes_what_the_kernel_of_cuda_computes(
    index: int, options: dict[str, str]
) -> None:
    case = CASES[index]
    wanted = dict(zip([n for n in case.node.output if n], _kernel(case, options), strict=True))
    for name, array in expanded(index) or []:
        np.testing.assert_allclose(array, wanted[name], rtol=1e-4, atol=1e-4)


@BUILDS
def test_tangents_are_those_of_the_cpu(build: Any, options: dict[str, str]) -> None:
    """Every tensor of networks of five shapes."""
    proto = build()
    names = [name for node in proto.graph.node for name in node.output if name]
    derived = onnxprobe.derive(proto, tensors=names)
    rng = np.random.default_rng(3)
    shape = [each.dim_value for each in proto.graph.input[0].type.tensor_type.shape.dim]
    feeds = {
        "x": rng.normal(size=shape).astype(np.float32),
        "x@tangent": rng.normal(size=(5, *shape)).astype(np.float32),
    }
    wanted = [f"{name}@tangent" for name in names]
    found, expected = (_session(derived, each).run(wanted, feeds) for each in (options, None))
    for name, first, second in zip(names, found, expected, strict=True):
        assert np.linalg.norm(first - second) <= DIFFERENCE * np.linalg.norm(second), name


@pytest.mark.parametrize("name", ["digits_cnn_float16", "digits_vit_torch", "digits_net_jax"])
def test_a_derived_model_runs_on_cuda(name: str, options: dict[str, str]) -> None:
    derived = onnxprobe.derive(MODELS / f"{name}.onnx")
    first, second = derived.graph.input
    shape = [each.dim_value or 1 for each in first.type.tensor_type.shape.dim]
    rng = np.random.default_rng(0)
    feeds = {
        first.name: rng.random(shape, np.float32),
        second.name: rng.normal(size=(7, *shape)).astype(np.float32),
    }
    found, expected = (_session(derived, each).run(None, feeds) for each in (options, None))
    for each, other in zip(found, expected, strict=True):
        assert np.linalg.norm(each - other) <= DIFFERENCE * np.linalg.norm(other)
