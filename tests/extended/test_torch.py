"""Whole models against automatic differentiation in PyTorch, in float64: Jacobians and ranks."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, numpy_helper

import onnxprobe
from onnxprobe.types import Array
from tests.graph.tangent.test_networks import BUILDS

if TYPE_CHECKING:
    from torch import Tensor, nn

pytestmark = [
    pytest.mark.extended,
    pytest.mark.skipif(
        importlib.util.find_spec("torch") is None,
        reason="PyTorch is not installed; pip install torch==2.13.0",
    ),
    # PyTorch itself uses what it deprecates.
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-6
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5)
# A singular value this close to a threshold may fall on either side of it.
NEAR = 1.25


def _compare(found: Array, truth: Array, name: str) -> None:
    """Compare two Jacobians, and the ranks that they have."""
    assert found.shape == truth.shape, name
    error = np.linalg.norm(found - truth) / np.linalg.norm(truth)
    assert error <= TOLERANCE, f"{name} is off by {error:.1e}"
    values, truths = (np.linalg.svd(each, compute_uv=False) for each in (found, truth))
    for tolerance in TOLERANCES:
        bound = tolerance * truths[0]
        if not ((truths > bound / NEAR) & (truths < bound * NEAR)).any():
            ranks = (values > tolerance * values[0]).sum(), (truths > bound).sum()
            assert ranks[0] == ranks[1], f"{name} at {tolerance:.0e}: {ranks}"


def _derived(
    proto: ModelProto | Path, feeds: Mapping[str, Array], source: str, names: list[str], **how: Any
) -> dict[str, Array]:
    """Take whole Jacobians of tensors through a derived model."""
    derived = onnxprobe.derive(proto, tensors=names, **how)
    session = onnxruntime.InferenceSession(
        derived.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    kinds = {each.name: each for each in session.get_inputs()}
    shape = [size if isinstance(size, int) else 1 for size in kinds[f"{source}@tangent"].shape[1:]]
    vectors = np.eye(int(np.prod(shape)), dtype=np.float32).reshape(-1, *shape)
    given = {**feeds, f"{source}@tangent": vectors}
    found = session.run([f"{name}@tangent" for name in names], given)
    return {
        name: each.reshape(len(vectors), -1).T.astype(np.float64)
        for name, each in zip(names, found, strict=True)
    }


@BUILDS
def test_every_jacobian_of_a_network_is_that_of_float64(build: Any) -> None:
    from tests.extended.torch_graph import jacobians, run

    proto = build()
    shape = tuple(each.dim_value for each in proto.graph.input[0].type.tensor_type.shape.dim)
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    truth = jacobians(lambda point: run(proto, point), x)
    names = [name for name, each in truth.items() if each.any()]
    found = _derived(proto, {"x": x}, "x", names)
    for name in names:
        _compare(found[name], truth[name], name)


def _script(*path: str) -> ModuleType:
    """Import a module that scripts share."""
    file = ROOT.joinpath("scripts", *path)
    sys.path.insert(0, str(file.parent))
    try:
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
    return module


def _networks() -> ModuleType:
    """Import the networks that `models/` were made of."""
    return _script("make_models", "torch_networks.py")


def _loaded(network: nn.Module, proto: ModelProto) -> nn.Module:
    """Give a network the weights of a file; exporters keep the names of most of them."""
    import torch

    stored = {each.name: numpy_helper.to_array(each) for each in proto.graph.initializer}
    unnamed = [
        stored[node.input[1]].T
        for node in proto.graph.node
        if node.op_type == "MatMul" and node.input[1] in stored
    ]
    state = network.state_dict()
    for name, current in state.items():
        if name in stored:
            array = stored[name]
        elif name.endswith("num_batches_tracked"):
            continue
        else:
            array = unnamed.pop(0)
        assert array.shape == tuple(current.shape), name
        state[name] = torch.tensor(np.asarray(array, np.float64))
    network.double().load_state_dict(state)
    assert not unnamed
    return network.eval()


def _image() -> Array:
    with np.load(ROOT / "models" / "digits.npz", allow_pickle=False) as archive:
        image = archive["images"][7].astype(np.float32) / np.float32(255)
    # Equal pixels tie in pooling windows, where there is no derivative.
    noise = np.random.default_rng(1).uniform(0, 0.05, image.shape)
    return np.asarray(image + noise, np.float32).reshape(1, 1, 8, 8)


@pytest.mark.parametrize("name", ["cnn_torch", "cnn_torch_batch1", "cnn_float16"])
def test_every_layer_of_the_convolutional_network(name: str) -> None:
    """Half precision is differentiated in float32, through the weights as they are stored."""
    from tests.extended.torch_graph import jacobians

    path = ROOT / "models" / f"digits_{name}.onnx"
    proto = onnx.load(path)
    network: Any = _loaded(_networks().ImageClassifier(), proto)
    x = _image()
    # Dropout is gone from the file, and flattening counts as a layer in both.
    layers = [index for index in range(len(network)) if index != 9]
    outputs = [node.output[0] for node in proto.graph.node if node.op_type != "Constant"]
    assert len(layers) == len(outputs)

    def tensors(point: Tensor) -> dict[str, Tensor]:
        found = {}
        for index in range(len(network)):
            point = network[index](point)
            if index in layers:
                found[outputs[layers.index(index)]] = point
        return found

    truth = jacobians(tensors, x)
    found = _derived(path, {proto.graph.input[0].name: x}, proto.graph.input[0].name, outputs)
    for each in outputs:
        _compare(found[each], truth[each], each)


def test_the_vision_transformer() -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from tests.extended.torch_graph import jacobians

    path = ROOT / "models" / "digits_vit_torch.onnx"
    network = _loaded(_networks().VisionTransformer(), onnx.load(path))
    x = _image()
    # Fused attention has no forward mode in PyTorch.
    with sdpa_kernel(SDPBackend.MATH):
        truth = jacobians(lambda point: {"logits": network(point)}, x)
    found = _derived(path, {"image": x}, "image", ["logits"], sizes={"batch": 1})
    _compare(found["logits"], truth["logits"], "logits")


def test_a_deep_layer_of_a_residual_network_has_the_rank_that_it_has() -> None:
    """Central differences in float32 misstate it by a fifth."""
    from tests.extended.torch_graph import jacobians, run

    resnet = _script("resnet.py")
    proto = resnet.ResNet(16).model
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    x = np.random.default_rng(1).normal(size=(1, *resnet.SHAPE)).astype(np.float32)
    names = [node.output[0] for node in proto.graph.node if node.op_type == "Relu"][-3:]

    def deep(point: Tensor) -> dict[str, Tensor]:
        found = run(proto, point)
        return {name: found[name] for name in names}

    truth = jacobians(deep, x)
    found = _derived(proto, {"input": x}, "input", names)
    for name in names:
        _compare(found[name], truth[name], name)


def test_the_token_classifier_by_its_embedding() -> None:
    from tests.extended.torch_graph import jacobians

    path = ROOT / "models" / "digits_tokens_torch.onnx"
    proto = onnx.load(path)
    network: Any = _loaded(_networks().TokenClassifier(), proto)
    with np.load(ROOT / "models" / "digits.npz", allow_pickle=False) as archive:
        tokens = archive["tokens"][7][None]
    lookup = proto.graph.node[0].output[0]
    table = network.embedding.weight.detach().numpy()

    def logits(embedded: Tensor) -> dict[str, Tensor]:
        features = network.features(embedded.transpose(1, 2))
        return {"logits": network.classifier(features)}

    truth = jacobians(logits, table[tokens])
    target = proto.graph.output[0].name
    feeds = {"tokens": tokens}
    found = _derived(path, feeds, lookup, [target], wrt=[lookup], sizes={"batch": 1})
    _compare(found[target], truth["logits"], target)
